"""The memory of earlier batches: what it holds, in which order it forgets, and that it survives a checkpoint."""

from __future__ import annotations

import torch

from dprnet.train.memory import Memory


def fed(*batches):
    memory = Memory(4, 2)
    for numbers in batches:
        memory.add(torch.tensor([[float(n), 1.0] for n in numbers]), torch.tensor(numbers))
    return memory


def test_it_grows_then_forgets_the_oldest():
    assert fed().content()[1].tolist() == []
    assert fed([1, 2, 3]).content()[1].tolist() == [1, 2, 3]
    vectors, classes = fed([1, 2, 3], [4, 5, 6]).content()
    assert classes.tolist() == [5, 6, 3, 4]
    assert vectors[:, 0].tolist() == [5.0, 6.0, 3.0, 4.0]


def test_it_keeps_no_gradient():
    memory = Memory(2, 1)
    memory.add(torch.ones(1, 1, requires_grad=True), torch.tensor([0]))
    assert not memory.content()[0].requires_grad


def test_it_goes_on_from_a_checkpoint():
    first, second = fed([1, 2, 3]), Memory(4, 2)
    second.load_state_dict(first.state_dict())
    for memory in (first, second):
        memory.add(torch.zeros(2, 2), torch.tensor([8, 9]))
    assert first.content()[1].tolist() == second.content()[1].tolist() == [9, 2, 3, 8]


def test_none_is_kept_where_none_is_wanted():
    memory = Memory(0, 3)
    memory.add(torch.zeros(2, 3), torch.tensor([0, 1]))
    assert memory.content()[0].shape == (0, 3)
