"""How sure a mixture is of its rows: entropies, bars of responsibilities, confusion and overlap of components."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.gates import Posterior


def labels_of(posterior: Posterior) -> Int[Tensor, "n"]:
    """The most probable component of each row, -1 where noise is more probable than any."""
    top = posterior.resp.max(1)
    return top.indices if posterior.none is None else torch.where(posterior.none > top.values, -1, top.indices)


def choices(posterior: Posterior) -> tuple[Int[Tensor, "n"], Int[Tensor, "n"]]:
    """The most probable component of each row and the one after it; k stands for noise.

    The second is of no meaning with one component and no noise.
    """
    first = labels_of(posterior)
    first = torch.where(first < 0, posterior.resp.shape[1], first)
    return first, _with_none(posterior).scatter(1, first[:, None], -1.0).argmax(1)


def row_entropy(posterior: Posterior) -> Float[Tensor, "n"]:
    """How undecided each row is, -sum_k r_k log r_k in nats, noise counted as a component; between 0 and log k."""
    entropy = torch.special.entr(posterior.resp).sum(1)
    return entropy if posterior.none is None else entropy + torch.special.entr(posterior.none)


def relative_entropy(posterior: Posterior) -> Float[Tensor, "n"]:
    """The entropy of each row as a part of the most there could be, from 0 (certain) to 1 (all alike).

    A row with nothing to choose from is certain.
    """
    choices = posterior.resp.shape[1] + (posterior.none is not None)
    return (row_entropy(posterior) / math.log(max(choices, 2))).clamp(0, 1)


class Bars(NamedTuple):
    """Rows in the order of their labels, each label from its surest row to its least sure, as b stacked bars.

    Noise comes last. A bar is the mean of `size` neighbouring rows of one label.
    """

    resp: Float[Tensor, "b k"]
    none: Float[Tensor, "b"]  # zero without noise
    label: Int[Tensor, "b"]  # -1 for noise
    size: Int[Tensor, "b"]  # rows of each bar
    order: Int[Tensor, "n"]  # the rows as they stand, one bar after the other
    bar: Int[Tensor, "n"]  # the bar of each row

    def rows(self, bar: int) -> Int[Tensor, "c"]:
        """The rows of a bar, the surest first."""
        end = int(self.size[: bar + 1].sum())
        return self.order[end - int(self.size[bar]) : end]


def bars(posterior: Posterior, m: int) -> Bars:
    """At most m stacked bars of responsibilities; every label that has rows gets its share of them, at least one.

    Raises `ValueError` for fewer bars than labels.
    """
    resp, label = posterior.resp, labels_of(posterior)
    n, k = resp.shape
    none = resp.new_zeros(n) if posterior.none is None else posterior.none
    place = torch.where(label < 0, k, label)  # noise last
    sure = torch.where(label < 0, none, resp.amax(1))
    order = sure.argsort(descending=True, stable=True)
    order = order[place[order].argsort(stable=True)]
    size = torch.bincount(place, minlength=k + 1)
    share = _shares(size, m)
    within = torch.arange(n, device=resp.device) - (size.cumsum(0) - size)[place[order]]
    bar_of = (share.cumsum(0) - share)[place[order]] + within * share[place[order]] // size[place[order]]
    b = int(share.sum())
    count = torch.bincount(bar_of, minlength=b)
    bar = torch.empty_like(bar_of)
    bar[order] = bar_of
    parts = resp.new_zeros(b, k, dtype=torch.float64).index_add_(0, bar, resp.double())
    rest = resp.new_zeros(b, dtype=torch.float64).index_add_(0, bar, none.double())
    labels = torch.arange(k + 1, device=resp.device).repeat_interleave(share)
    means = (parts / count[:, None]).to(resp), (rest / count).to(resp)
    return Bars(*means, torch.where(labels == k, -1, labels), count, order, bar)


def confusion(posterior: Posterior, weight: Float[Tensor, "n"] | None = None) -> Float[Tensor, "i j"]:
    """E[r_j | label i], the mean responsibility of j among the rows assigned to i: what labels hide.

    Rows count `weight` times. Sums are one; a label without rows has NaN. With noise there is one more row and column
    for it, the last. The diagonal is the share of label i that is expected to be right.
    """
    joint = _with_none(posterior)
    labels = labels_of(posterior)
    k, labels = joint.shape[1], torch.where(labels < 0, joint.shape[1] - 1, labels)
    if weight is not None:
        joint = joint * weight.to(joint)[:, None]
    sums = joint.new_zeros(k, k).index_add_(0, labels, joint)
    return sums / torch.bincount(labels, weight, minlength=k).to(joint)[:, None]


def misclassification(resp: Float[Tensor, "n k"]) -> Float[Tensor, "k k"]:
    """omega_{j|i} = P(pi_j p_j(X) > pi_i p_i(X) | X from component i), estimated from rows; zero on the diagonal.

    omega_{j|i} = sum_n r_ni [r_nj > r_ni] / sum_n r_ni: rows stand for draws of component i by their responsibility.
    The overlap of a pair is omega_{j|i} + omega_{i|j}. The measure is that of Maitra and Melnykov (2010), who take the
    integral; this is the empirical estimate. Cost O(n k^2), a table of (n, k) at a time.
    """
    resp = resp.double()
    sums = torch.stack([own @ (resp > own[:, None]).double() for own in resp.T])
    return sums / resp.sum(0)[:, None]


def _shares(size: Int[Tensor, "j"], m: int) -> Int[Tensor, "j"]:
    """How many of m bars each label gets: one, and of the rest in proportion to its rows, never more than rows."""
    there = size > 0
    spare = m - int(there.sum())
    if spare < 0:
        raise ValueError(f"{m} bars were asked for {int(there.sum())} labels; expected at least one bar for each.")
    return torch.minimum(size, there.long() + spare * size // size.sum())


def _with_none(posterior: Posterior) -> Float[Tensor, "n j"]:
    resp = posterior.resp.double()
    return resp if posterior.none is None else torch.cat([resp, posterior.none[:, None].double()], dim=1)
