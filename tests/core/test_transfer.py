"""Arrays go to a device as they are, also those that torch would not take; one lane where cores are shared already."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dprnet.core.transfer import LANES, lanes_of, own_stream, sent


def test_a_tensor_holds_the_array_also_where_that_is_read_only_or_strided():
    array = np.arange(24, dtype=np.uint8).reshape(4, 6)
    locked = array.copy()
    locked.flags.writeable = False
    for one in (array, array[::-1, ::2], locked, np.broadcast_to(np.uint8(3), (2, 3))):
        with own_stream("cpu"):
            tensor = sent(one, "cpu")
        np.testing.assert_array_equal(tensor.numpy(), one)


def test_lanes():
    assert lanes_of("cpu") == lanes_of(torch.device("cpu")) == 1
    assert lanes_of("cuda:1") == LANES


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_two_threads_have_streams_of_their_own():
    import threading

    seen = []

    def work() -> None:
        with own_stream("cuda"):
            seen.append((torch.cuda.current_stream().cuda_stream, float(sent(np.ones(9, np.float32), "cuda").sum())))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [value for _, value in seen] == [9, 9]
    assert len({stream for stream, _ in seen}) == 2
