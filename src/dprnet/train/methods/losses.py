"""The losses of the methods that are compared, as pure functions; Eq. 5 to 8 are in ``embed.losses``.

Whatever is drawn at random comes from torch's own generator, which the training loop seeds at every step.

Shape legend
    B  photos of a batch    D  numbers of an embedding    N  training instances    g  cells of a grid
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from dprnet.embed.losses import triplet


def relations(classes: Tensor) -> tuple[Tensor, Tensor]:
    """(B, B) who is a positive of whom (never of itself), and who is a negative.

    >>> relations(torch.tensor([0, 0, 1]))[0].int().tolist()
    [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    """
    same = classes[:, None] == classes[None, :]
    return same & ~torch.eye(len(classes), dtype=torch.bool, device=classes.device), ~same


def draw(allowed: Tensor, count: int = 1) -> Tensor:
    """(B, g) of bool -> (B, count) a random allowed column of each row, without repeats while there are enough.

    Raises:
        ValueError: a row without an allowed column.
    """
    if not bool(allowed.any(dim=1).all()):
        raise ValueError("a row allows no column")
    # Random keys; what is not allowed comes after everything that is.
    keys = torch.rand(allowed.shape, device=allowed.device).masked_fill(~allowed, -1.0)
    order = keys.argsort(dim=1, descending=True)
    turn = torch.arange(count, device=allowed.device)[None] % allowed.sum(dim=1, keepdim=True)
    return order.gather(1, turn)


def random_triplet(vectors: Tensor, classes: Tensor, margin: float) -> Tensor:
    """Eq. 5 over one random positive and one random negative of every anchor, the mean over the anchors that have both.

    Args:
        vectors: (B, D).
        classes: (B,).
        margin: added to the difference of squared distances.
    """
    positive, negative = relations(classes)
    rows = (positive.any(dim=1) & negative.any(dim=1)).nonzero()[:, 0]
    if not len(rows):
        return 0 * vectors.sum()
    p, n = draw(positive[rows])[:, 0], draw(negative[rows])[:, 0]
    return triplet(vectors[rows], vectors[p], vectors[n], margin) / len(rows)


def hardest_negative(vectors: Tensor, classes: Tensor, margin: float) -> Tensor:
    """``[d(a, p)^2 - min_n d(a, n)^2 + margin]+``, the mean over all pairs (a, p) of a batch (NegTriplet).

    >>> v = torch.tensor([[0.0], [1.0], [3.0]])
    >>> hardest_negative(v, torch.tensor([0, 0, 1]), margin=4.0).item()  # (1 - 9 + 4 -> 0; 1 - 4 + 4 = 1) / 2
    0.5
    """
    positive, negative = relations(classes)
    apart = (vectors[:, None] - vectors[None]).square().sum(dim=2)
    nearest = apart.masked_fill(~negative, torch.inf).amin(dim=1, keepdim=True)
    usable = positive & negative.any(dim=1, keepdim=True)
    if not bool(usable.any()):
        return 0 * vectors.sum()
    return (apart - nearest + margin).clamp_min(0)[usable].mean()


def centre(features: Tensor, classes: Tensor, centres: Tensor) -> Tensor:
    """``|f - c_y|^2 / 2``, the mean over a batch (centre loss; Wen et al. 2016).

    >>> centre(torch.tensor([[1.0, 2.0]]), torch.tensor([1]), torch.tensor([[9.0, 9.0], [1.0, 0.0]])).item()
    2.0
    """
    return (features - centres[classes]).square().sum(dim=1).mean() / 2


def proxy_nll(vectors: Tensor, meta: Tensor, scale: float) -> Tensor:
    """Softmax negative log-likelihood to fixed one-hot proxies: the cosine with proxy m is the m-th number (DREML).

    Args:
        vectors: (B, M) of length 1.
        meta: (B,) the meta-class of each, in [0, M).
        scale: of the cosines.

    >>> round(proxy_nll(torch.eye(2), torch.tensor([0, 1]), scale=1.0).item(), 4)  # log(1 + 1 / e)
    0.3133
    """
    return functional.cross_entropy(scale * vectors, meta)


def draw_grid(classes: Tensor, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each reference a grid of its positives and random negatives of the batch (GSN).

    Returns:
        (R,) rows of the references that have both, (R, g) rows of the cells, (R, g) whether a cell matches.
        g is ``cells``, or less where the batch is smaller.
    """
    positive, negative = relations(classes)
    rows = (positive.any(dim=1) & negative.any(dim=1)).nonzero()[:, 0]
    positive, negative = positive[rows], negative[rows]
    g = min(cells, len(classes) - 1)
    most = min(int(positive.sum(dim=1).amax()) if len(rows) else 0, max(g - 1, 0))
    if not len(rows) or not most:
        empty = torch.zeros((0, g), dtype=torch.long, device=classes.device)
        return rows[:0], empty, empty.bool()
    found = torch.cat([draw(positive, most), draw(negative, g - most)], dim=1)
    # Where the matches lie must tell nothing.
    place = torch.rand(found.shape, device=found.device).argsort(dim=1)
    found = found.gather(1, place)
    return rows, found, positive.gather(1, found)


def grid_search(similarity: Tensor, matches: Tensor, temperature: float) -> Tensor:
    """Cross-entropy between where a reference searches, ``softmax(s / t)`` over the cells, and where its matches lie.

    Args:
        similarity: (R, g) of each reference with its cells.
        matches: (R, g) of bool, at least one a row.
        temperature: t.

    >>> s = torch.zeros(1, 4)
    >>> round(grid_search(s, torch.tensor([[True, True, False, False]]), 1.0).item(), 4)  # log 4
    1.3863
    """
    wanted = matches.to(similarity) / matches.sum(dim=1, keepdim=True)
    return -(wanted * functional.log_softmax(similarity / temperature, dim=1)).sum(dim=1).mean()


def found_share(similarity: Tensor, matches: Tensor) -> Tensor:
    """(R,) share of the matches among as many best cells as there are matches; ties count against (R-precision).

    >>> found_share(torch.tensor([[0.9, 0.1, 0.5]]), torch.tensor([[True, True, False]])).tolist()
    [0.5]
    """
    # Wrong cells first, then a stable sort: of equal similarities the wrong one stays ahead.
    wrong_first = matches.long().argsort(dim=1, stable=True)
    order = similarity.gather(1, wrong_first).argsort(dim=1, descending=True, stable=True)
    ranked = matches.gather(1, wrong_first).gather(1, order)
    wanted = matches.sum(dim=1)
    inside = torch.arange(matches.shape[1], device=matches.device)[None] < wanted[:, None]
    return (ranked & inside).sum(dim=1) / wanted.clamp_min(1)


def draw_pairs(vectors: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of a batch for the methods that compare two photos: of each photo a random positive, the nearest negative
    by its vector and a random negative.

    Returns:
        (n,) rows of the first, (n,) rows of the second, (n,) 1.0 where both show one instance.
    """
    positive, negative = relations(classes)
    rows = (positive.any(dim=1) & negative.any(dim=1)).nonzero()[:, 0]
    if not len(rows):
        return rows, rows, vectors.new_zeros(0)
    alike = (vectors.detach() @ vectors.detach().T)[rows].masked_fill(~negative[rows], -torch.inf)
    others = torch.cat([draw(positive[rows])[:, 0], alike.argmax(dim=1), draw(negative[rows])[:, 0]])
    right = torch.cat([vectors.new_ones(len(rows)), vectors.new_zeros(2 * len(rows))])
    return rows.repeat(3), others, right


def pair_loss(scores: Tensor, right: Tensor) -> Tensor:
    """Binary cross-entropy of pair scores in which positives and negatives weigh the same.

    >>> round(pair_loss(torch.zeros(3), torch.tensor([1.0, 0.0, 0.0])).item(), 4)  # log 2
    0.6931
    """
    each = functional.binary_cross_entropy_with_logits(scores, right, reduction="none")
    weights = torch.where(right > 0.5, 0.5 / right.sum().clamp_min(1), 0.5 / (1 - right).sum().clamp_min(1))
    return (weights * each).sum()
