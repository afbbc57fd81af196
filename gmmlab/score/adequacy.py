"""Whether rows look as if they came from a mixture: what they should be, beside what they are.

Distances    a row of component k has (x - mu_k)' Sigma_k^-1 (x - mu_k) ~ chi2_d, or d F(d, nu_k) for Student's t
Columns      a column put through its distribution function is uniform (probability integral transform; Dawid, 1984)
Densities    so is the share of the model's own draws that are less dense than a row (Box, 1980)

All of it is exact for rows that the model was not fitted to, and nearly so where n is large: fitted parameters bring
rows closer by the parameters' share of n. Rows that overlapping components exchange bend the distances of both, as the
rows of a component are those assigned to it.

Rows may count `weight` times: a row of weight 2 is two rows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from gmmlab import algebra
from gmmlab.algebra.conditioning import marginal
from gmmlab.algebra.univariate import column
from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import Components, Gaussian
from gmmlab.families.parts import columns_of, dof_of, ellipsoids, squared_distances
from gmmlab.kernels.patterns import patterns
from gmmlab.kernels.tails import distance_at, distance_tail, order_tail
from gmmlab.model import Mixture


class Distances(NamedTuple):
    """Squared Mahalanobis distances of some rows of one component, by rising distance, for a QQ plot.

    `low` to `high` holds each of the order statistics with the probability asked for, one at a time: of m points some
    may lie outside although all is well.
    """

    rows: Int[Tensor, "m"]  # which of the rows they are
    observed: Float[Tensor, "m"]
    expected: Float[Tensor, "m"]  # medians of the order statistics
    low: Float[Tensor, "m"]
    high: Float[Tensor, "m"]
    n: float  # rows of the component, by weight, of which m are shown
    gap: float  # Kolmogorov's distance of all n from what is expected, at most 1


@torch.no_grad()
def own_distances(mixture: Mixture, x: Float[Tensor, "n d"], labels: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """The squared Mahalanobis distance of each row to the component it is assigned to; NaN for noise (-1).

    A row with gaps has the distance of the columns it has, carried to the distance among complete rows that is as
    rarely exceeded; NaN if it has none. Computed in float64, O(n d^2).
    """
    out, dof = x.new_full((len(x),), torch.nan, dtype=torch.float64), dof_of(mixture.components).tolist()
    for pattern in patterns(x) if len(x) else ():
        if not pattern.observed:
            continue
        part = _ellipsoids(mixture.components, pattern.observed, complete=not pattern.missing)
        for k in labels[pattern.rows].unique().tolist():
            if k >= 0:
                rows = pattern.rows[labels[pattern.rows] == k]
                index = torch.tensor([k], device=rows.device)
                delta = squared_distances(part.take(index), x[rows][:, pattern.observed])[:, 0]
                if pattern.missing:
                    tail = distance_tail(delta, len(pattern.observed), dof[k]).clamp(min=1e-300)
                    delta = distance_at(tail, mixture.d, dof[k])
                out[rows] = delta
    return out


@torch.no_grad()
def distances(
    mixture: Mixture,
    x: Float[Tensor, "n d"],
    *,
    m: int = 500,
    level: float = 0.95,
    weight: Float[Tensor, "n"] | None = None,
) -> tuple[Distances, ...]:
    """For each component the distances of its rows beside those expected: at most m of them, always the extremes.

    The envelope is that of order statistics, exact for independent rows. A component without rows has none to show.
    """
    if m < 2:
        raise ValueError(f"A plot of m={m} points was asked for; expected at least 2, for the two extremes.")
    if not 0 < level < 1:
        raise ValueError(f"The level of the envelope is {level}; expected a number between 0 and 1.")
    labels = algebra.assign(mixture, x)[0]
    delta = own_distances(mixture, x, labels)
    plots = []
    for k, dof in enumerate(dof_of(mixture.components).tolist()):
        rows = ((labels == k) & ~delta.isnan()).nonzero().flatten()
        plots.append(_plot(rows, delta[rows], _of(weight, rows), law=(mixture.d, dof), m=m, level=level))
    return tuple(plots)


def thin(n: int, m: int) -> Int[Tensor, "m"]:
    """At most m of the places 0 to n - 1, rising, both ends among them, and the closer the nearer to an end.

    Even steps of the log odds of a rank: the tails of a sample are where it differs.
    """
    if n <= m:
        return torch.arange(n)
    reach = math.log(2 * n - 1)  # the log odds of the first rank, (1 - 1/2) / n
    share = torch.sigmoid(torch.linspace(-reach, reach, m, dtype=torch.float64))
    return (share * n).long().clamp(0, n - 1).unique()


@torch.no_grad()
def transforms(mixture: Mixture, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Each entry put through the distribution function of its column, P(X_j <= x_ij); NaN where it is missing.

    Student's t takes O(n d k) evaluations on the host, about a fifth of a microsecond each.
    """
    parts = [column(mixture, j).cdf(x[None, :, j])[0] for j in range(x.shape[1])]
    return torch.stack(parts, dim=1).to(x)


class Uniformity(NamedTuple):
    """Histograms of numbers from 0 to 1 that should be uniform, column by column."""

    counts: Float[Tensor, "d b"]
    n: Float[Tensor, "d"]  # numbers that are there
    gap: Float[Tensor, "d"]  # Kolmogorov's distance to uniform, at most 1; NaN without numbers

    def band(self, level: float = 0.95) -> tuple[Float[Tensor, "d"], Float[Tensor, "d"]]:
        """Between which counts a bin lies with the probability `level`, by the normal approximation."""
        b = self.counts.shape[1]
        mean = self.n / b
        side = -torch.special.ndtri(mean.new_tensor((1 - level) / 2)) * (mean * (1 - 1 / b)).sqrt()
        return (mean - side).clamp(min=0), mean + side


def uniformity(u: Float[Tensor, "n d"], bins: int = 20, weight: Float[Tensor, "n"] | None = None) -> Uniformity:
    """Histograms and distances to uniform of each column; missing numbers (NaN) are left out."""
    if bins < 1:
        raise ValueError(f"bins={bins}; expected a whole number of at least 1.")
    counts, n, gaps = [], [], []
    for numbers in u.T:
        rows = (~numbers.isnan()).nonzero().flatten()
        there, w = numbers[rows].double(), _of(weight, rows)
        counts.append(torch.bincount((there * bins).long().clamp(0, bins - 1), w, minlength=bins))
        n.append(w.sum())
        gaps.append(kolmogorov(there, w))
    return Uniformity(torch.stack(counts), torch.stack(n), torch.tensor(gaps, device=u.device, dtype=torch.float64))


def kolmogorov(u: Float[Tensor, "n"], weight: Float[Tensor, "n"] | None = None) -> float:
    """sup |F_n(u) - u|, how far the empirical distribution is from uniform; NaN without numbers.

    Above 1.36 n^-1/2 in 5 % of uniform samples, and in fewer where parameters were fitted to them. See Kolmogorov
    (1933).
    """
    w = torch.ones_like(u, dtype=torch.float64) if weight is None else weight.double()
    if not float(w.sum()) > 0:
        return math.nan
    ordered, order = u.double().sort()
    above = w[order].cumsum(0)  # of the steps of F_n, which begin at those of the row before
    below = torch.cat([above.new_zeros(1), above[:-1]])
    return float(torch.maximum(above / above[-1] - ordered, ordered - below / above[-1]).max())


@torch.no_grad()
def tails(mixture: Mixture, x: Float[Tensor, "n d"], rng: torch.Generator, draws: int = 10_000) -> Float[Tensor, "n"]:
    """How rare each row is: the share of draws of the model that are at most as dense, (1 + how many) / (1 + draws).

    Uniform for rows of the model: 1 minus the mass of the highest-density region on whose edge the row lies. A row with
    gaps is compared by the columns it has, for which each pattern of gaps scores the draws anew; one without an entry
    has 1.
    """
    if draws < 1:
        raise ValueError(f"draws={draws}; expected a whole number of at least 1.")
    drawn = mixture.sample(draws, rng)[0].to(x.device)  # in float64: heavy tails leave the range of float32
    out, density = x.new_ones(len(x), dtype=torch.float64), algebra.log_prob(mixture, x).double()
    for pattern in patterns(x) if len(x) else ():
        if pattern.observed:  # of other rows nothing is known, nothing is rare
            part = marginal(mixture, pattern.observed) if pattern.missing else mixture
            least = part.log_prob(drawn[:, pattern.observed]).double().sort().values
            below = torch.searchsorted(least, density[pattern.rows], right=True)
            out[pattern.rows] = (1 + below).double() / (1 + draws)
    return out


class Worst(NamedTuple):
    """The rows that a model finds most surprising, the worst first."""

    rows: Int[Tensor, "m"]
    log_prob: Float[Tensor, "m"]  # of the entries that are there
    tail: Float[Tensor, "m"]  # share of the model's draws that are at most as dense


@torch.no_grad()
def worst_rows(mixture: Mixture, x: Float[Tensor, "n d"], m: int, rng: torch.Generator, draws: int = 10_000) -> Worst:
    """The m rows of least density, or all if there are fewer; rows with gaps are ranked by how rare they are.

    Among n rows of the model the rarest is expected at a tail of 1 / (n + 1).
    """
    density, tail = algebra.log_prob(mixture, x), tails(mixture, x, rng, draws)
    near = torch.arange(len(x), device=x.device)
    if m < len(x):  # only these are put in order
        near = (tail <= tail.kthvalue(max(m, 1)).values).nonzero().flatten()
    order = near[density[near].argsort(stable=True)]
    order = order[tail[order].argsort(stable=True)][:m]
    return Worst(order, density[order], tail[order])


class Histogram(NamedTuple):
    """A column in bins of equal width, as a density; all of one value are one bar."""

    edges: Float[Tensor, "e"]  # one more than bins
    heights: Float[Tensor, "b"]


def histogram(values: Float[Tensor, "n"], bins: int, weight: Float[Tensor, "n"] | None = None) -> Histogram:
    """Of a column in which something is there; missing entries are left out."""
    rows = (~values.isnan()).nonzero().flatten()
    values, w = values[rows].double(), _of(weight, rows)
    low, high = float(values.min()), float(values.max())
    if high == low:
        width = max(abs(low), 1.0)
        low, high = low - width / 2, high + width / 2
    edges = torch.linspace(low, high, bins + 1, dtype=torch.float64, device=values.device)
    which = ((values - low) / (high - low) * bins).long().clamp(0, bins - 1)
    return Histogram(edges, torch.bincount(which, w, minlength=bins) * (bins / (high - low) / w.sum()))


class Predictive(NamedTuple):
    """A histogram of one column as a density, and the density that the model gives it."""

    edges: Float[Tensor, "e"]  # one more than bins
    heights: Float[Tensor, "b"]
    at: Float[Tensor, "g"]
    density: Float[Tensor, "g"]
    parts: Float[Tensor, "k g"]  # what of it is due to each component; the rest is noise


@torch.no_grad()
def predictive(
    mixture: Mixture,
    x: Float[Tensor, "n d"],
    target: int,
    *,
    bins: int = 40,
    points: int = 400,
    weight: Float[Tensor, "n"] | None = None,
) -> Predictive:
    """The histogram of one column, missing entries left out, and the model's marginal density of it.

    The density is that at the fitted parameters, on a grid a tenth wider than the rows on either side. Raises
    `ValueError` for a column in which nothing is there.
    """
    values = x[:, target]
    if bool(values.isnan().all()):
        raise ValueError(f"Column {target} has no entry; expected at least one to draw a histogram of.")
    return against(mixture, target, histogram(values, bins, weight), points)


@torch.no_grad()
def against(mixture: Mixture, target: int, shown: Histogram, points: int) -> Predictive:
    """The model's marginal density of a column beside a histogram of it, which may serve many models."""
    low, high = float(shown.edges[0]), float(shown.edges[-1])
    margin = (high - low) / 10
    at = torch.linspace(low - margin, high + margin, points, dtype=torch.float64, device=shown.edges.device)
    line = column(mixture, target)
    return Predictive(shown.edges, shown.heights, at, line.prob(at[None])[0], line.parts(at[None])[0])


def _ellipsoids(components: Components, columns: list[int], *, complete: bool) -> Gaussian:
    return ellipsoids(components if complete else columns_of(components, columns))


def _plot(rows: Tensor, delta: Tensor, weight: Tensor, *, law: tuple[int, float], m: int, level: float) -> Distances:
    """Rows of one component and their distances, which have this law: columns and degrees of freedom.

    A row of some weight stands for so many order statistics, and is shown at the middle one.
    """
    order, n = delta.argsort(), float(weight.sum())
    shown = order[thin(len(rows), m).to(rows.device)]
    rank = torch.empty_like(weight).index_copy_(0, order, weight[order].cumsum(0)) - (weight - 1) / 2
    median, low, high = (
        distance_at(order_tail(rank[shown], n, p), *law) for p in (0.5, (1 + level) / 2, (1 - level) / 2)
    )
    gap = kolmogorov(distance_tail(delta, *law), weight)
    return Distances(rows[shown], delta[shown], median, low, high, n, gap)


def _of(weight: Tensor | None, rows: Int[Tensor, "m"]) -> Float[Tensor, "m"]:
    """How often each of some rows counts, in float64."""
    return torch.ones(len(rows), dtype=torch.float64, device=rows.device) if weight is None else weight[rows].double()
