"""Losses of the retrieval network (paper 3.3, Eq. 5 to 8). Pure functions of tensors.

Shape legend
    B  images of a batch (P instances x K photos)    D  numbers of an embedding    N  training instances
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from dprnet.core.errors import MissingExtra


def triplet(anchors: Tensor, positives: Tensor, negatives: Tensor, margin: float = 0.3) -> Tensor:
    """``sum [ |a - p|^2 - |a - n|^2 + margin ]+`` over the triplets, each (T, D) (paper, Eq. 5; FaceNet).

    >>> one, two = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    >>> triplet(one, two, two, margin=0.3).item()
    0.30000001192092896
    """
    near = (anchors - positives).square().sum(dim=1)
    far = (anchors - negatives).square().sum(dim=1)
    return (near - far + margin).clamp_min(0).sum()


def batch_hard(embeddings: Tensor, instances: Tensor, margin: float = 0.3, *, squared: bool = False) -> Tensor:
    """``[ margin + max_p d(a, p) - min_n d(a, n) ]+``, the mean over the anchors of a batch (paper, Eq. 6).

    The paper's equation is a sum over the P x K anchors; the mean differs by that constant and leaves the learning
    rate free of the batch size. Anchors without a positive or a negative in the batch are left out; without any the
    loss is 0.

    Args:
        embeddings: (B, D).
        instances: (B,) which instance each shows.
        margin: alpha of the paper.
        squared: whether d is the squared Euclidean distance (the lost equation does not tell; Hermans et al. 2017
            use the plain one).

    Raises:
        MissingExtra: pytorch-metric-learning is not installed.
    """
    try:
        from pytorch_metric_learning.distances import LpDistance
        from pytorch_metric_learning.losses import TripletMarginLoss
        from pytorch_metric_learning.miners import BatchHardMiner
        from pytorch_metric_learning.reducers import MeanReducer
    except ImportError:
        raise MissingExtra("pytorch-metric-learning", "training the embedder needs it; install dprnet[train]") from None
    distance = LpDistance(normalize_embeddings=False, p=2, power=2 if squared else 1)
    hardest = BatchHardMiner(distance=distance)(embeddings, instances)
    if hardest[0].numel() == 0:
        return 0 * embeddings.sum()
    loss: Tensor = TripletMarginLoss(margin=margin, distance=distance, reducer=MeanReducer())(
        embeddings, instances, hardest
    )
    return loss


def centroid_triplet(embeddings: Tensor, instances: Tensor, margin: float = 0.3) -> Tensor:
    """Each photo against the mean of its instance's other photos and the nearest mean of another instance.

    Wieczorek et al. 2021 (CTL); an option, not in the paper. Returns the mean over the photos that have both; 0
    where there is none.
    """
    same = instances[:, None] == instances[None, :]
    others = same & ~torch.eye(len(instances), dtype=torch.bool, device=same.device)
    usable = others.any(dim=1) & (~same).any(dim=1)
    if not usable.any():
        return 0 * embeddings.sum()
    own = others.to(embeddings) @ embeddings / others.sum(dim=1, keepdim=True).clamp_min(1)
    near = _length(embeddings - own)
    centroids = same.to(embeddings) @ embeddings / same.sum(dim=1, keepdim=True)
    far = _length(embeddings[:, None, :] - centroids[None, :, :]).masked_fill(same, torch.inf).amin(dim=1)
    return (margin + near - far).clamp_min(0)[usable].mean()


def imitation(given: Tensor, wanted: Tensor) -> Tensor:
    """The mean of 1 - cosine over the rows that have something to imitate (ours).

    Args:
        given: (B, K) of length 1.
        wanted: (B, K) of length 1, or 0 throughout where there is nothing to imitate.

    Returns:
        A number from 0 to 2; 0 where no row has anything.

    >>> told = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> float(imitation(told, torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])))
    0.5
    """
    there = wanted.abs().sum(dim=1) > 0
    return ((1 - (given * wanted).sum(dim=1)) * there).sum() / there.sum().clamp_min(1)


def contrast(
    embeddings: Tensor, instances: Tensor, seen: Tensor, seen_instances: Tensor, temperature: float = 0.1
) -> Tensor:
    """Mean over anchors and their positives of ``-log exp(a.p / t) / sum_x exp(a.x / t)``, x all but the anchor.

    The supervised contrastive loss (Khosla et al. 2020, "out") in which embeddings of earlier batches take part as
    further negatives and positives (cross-batch memory, Wang et al. 2020); an option, not in the paper. A thousand
    garments met in one step are worth more than a classifier of which each row is right once in a hundred steps.
    Anchors without a positive are left out; without any the loss is 0.

    Args:
        embeddings: (B, D) of length 1.
        instances: (B,) which instance each shows.
        seen: (M, D) of earlier batches, of length 1, without gradient; M may be 0.
        seen_instances: (M,).
        temperature: t.

    >>> a = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> loss = contrast(a, torch.tensor([0, 0, 1]), a[:0], torch.zeros(0, dtype=torch.long), temperature=1.0)
    >>> round(loss.item(), 4)  # log(1 + exp(0 - 1))
    0.3133
    """
    logits = embeddings @ torch.cat([embeddings, seen]).T / temperature
    same = instances[:, None] == torch.cat([instances, seen_instances])[None, :]
    itself = torch.eye(len(embeddings), len(logits.T), dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(itself, -torch.inf)
    positive = same & ~itself
    share = (logits - logits.logsumexp(dim=1, keepdim=True)).masked_fill(~positive, 0)
    count = positive.sum(dim=1)
    if not (usable := count > 0).any():
        return 0 * embeddings.sum()
    return -(share.sum(dim=1)[usable] / count[usable]).mean()


def _length(vectors: Tensor) -> Tensor:
    # The root has no slope at 0, and a photo repeated in a batch can lie on its own centroid.
    return vectors.square().sum(dim=-1).clamp_min(1e-12).sqrt()


def smoothed_cross_entropy(logits: Tensor, instances: Tensor, epsilon: float = 0.1) -> Tensor:
    """``-sum_i q_i log p_i`` with q_y = 1 - e (N - 1) / N and q_i = e / N elsewhere, the mean over a batch (Eq. 7).

    Args:
        logits: (B, N).
        instances: (B,) the true instance y, in [0, N).
        epsilon: e of the paper (Szegedy et al. 2016).
    """
    return functional.cross_entropy(logits, instances, label_smoothing=epsilon)


def retrieval_loss(classification: Tensor, distance: Tensor) -> Tensor:
    """``L_cls + L_batchhard``, unit weights (paper, Eq. 8)."""
    return classification + distance
