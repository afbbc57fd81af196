"""What many partitions of the same rows have in common: who goes with whom, and the one partition that stands for all.

None of it depends on how groups are numbered, so that draws of a sampler, which changes the numbers at will, can be
summed up. `relabelled` is for what does.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.kernels.agreement import contingency
from gmmlab.score.agreement import match_labels


@runtime_checkable
class Loss(Protocol):
    """What is lost if a partition is reported, expected over the draws that a similarity is of."""

    def __call__(
        self, labels: Int[Tensor, "n"], psm: Float[Tensor, "n n"], weight: Float[Tensor, "n"] | None = None
    ) -> float: ...


def similarity(draws: Int[Tensor, "s n"]) -> Float[Tensor, "n n"]:
    """The share of partitions in which two rows are together: the posterior similarity matrix, if they are draws."""
    total = torch.zeros(draws.shape[1], draws.shape[1], dtype=torch.float64, device=draws.device)
    for labels in draws:
        total += labels[:, None] == labels
    return total / len(draws)


def binder(labels: Int[Tensor, "n"], psm: Float[Tensor, "n n"], weight: Float[Tensor, "n"] | None = None) -> float:
    """Binder's loss of a partition: the share of pairs of rows that are together here and not in a draw, or vice versa.

    Expected over the draws whose similarity is given. A row counts `weight` times, a pair by the product. See Binder
    (1978), with equal costs.
    """
    w = _counts(labels, psm, weight)
    wrong = w @ (psm - (labels[:, None] == labels).to(psm)).abs() @ w  # zero for a row with itself
    return float(wrong / (w.sum() ** 2 - w @ w).clamp(min=1.0))


def variation(labels: Int[Tensor, "n"], psm: Float[Tensor, "n n"], weight: Float[Tensor, "n"] | None = None) -> float:
    """The expected variation of information between a partition and a draw, in nats, as far as similarity tells it.

        1/n sum_i (log sum_j 1_ij + log sum_j p_ij - 2 log sum_j p_ij 1_ij)      1_ij: i and j are together here

    The middle term is the same for all partitions; with the mean log size of the draws' groups in its place this is a
    lower bound of the expectation. Exact for a single draw. It asks for fewer small groups than Binder's loss. A row
    counts `weight` times. See Wade and Ghahramani (2018), eq. 13.
    """
    w, own = _counts(labels, psm, weight), labels[:, None]
    sums = psm.new_zeros(len(labels), int(labels.max()) + 1).index_add_(1, labels, psm * w)
    together = sums.gather(1, own).squeeze(1)
    size = torch.bincount(labels, w)[labels]
    return float(w @ (size.log() + sums.sum(1).log() - 2 * together.log()) / w.sum())


def variation_of_information(a: Int[Tensor, "n"], b: Int[Tensor, "n"]) -> float:
    """What two partitions tell about rows that the other does not, H(a | b) + H(b | a), in nats. See Meila (2007)."""
    joint = contingency(a, b).double() / len(a)
    return float(2 * _entropy(joint.flatten()) - _entropy(joint.sum(0)) - _entropy(joint.sum(1)))


def mutual_information(a: Int[Tensor, "n"], b: Int[Tensor, "n"], weight: Float[Tensor, "n"] | None = None) -> float:
    """What one partition tells of the other, H(a) + H(b) - H(a, b), in nats: of experts and a known factor, say.

    Zero where they are independent. Rows count `weight` times.
    """
    w = torch.ones(len(a), dtype=torch.float64, device=a.device) if weight is None else weight.double()
    (own_a, k), (own_b, j) = ((part.unique(return_inverse=True)[1], len(part.unique())) for part in (a, b))
    joint = torch.bincount(own_a * j + own_b, w, minlength=k * j).view(k, j) / w.sum()
    return max(0.0, float(_entropy(joint.sum(0)) + _entropy(joint.sum(1)) - _entropy(joint.flatten())))


def point(
    draws: Int[Tensor, "s n"],
    psm: Float[Tensor, "n n"],
    loss: Loss = variation,
    weight: Float[Tensor, "n"] | None = None,
) -> int:
    """The number of the draw with the least expected loss."""
    losses = [loss(labels, psm, weight) for labels in draws]
    return losses.index(min(losses))


def relabelled(draws: Int[Tensor, "s n"], reference: Int[Tensor, "n"]) -> Int[Tensor, "s n"]:
    """The same partitions with the numbers of a reference, so that the most rows agree; extra groups get new ones."""
    return torch.stack([match_labels(reference, labels)[labels] for labels in draws])


def _counts(labels: Int[Tensor, "n"], psm: Float[Tensor, "n n"], weight: Float[Tensor, "n"] | None) -> Tensor:
    return psm.new_ones(len(labels)) if weight is None else weight.to(psm)


def _entropy(p: Float[Tensor, "k"]) -> Float[Tensor, ""]:
    return -torch.special.xlogy(p, p).sum()
