"""Rows of which some entries are not seen but known to lie between limits.

With the columns o that are seen, c that lie in a box B = (l, u), and of which m nothing is known, component k has

    p_k(x_o, x_c in B) = N(x_o | mu_o, Sigma_oo) P_k(x_c in B | x_o)

and expects of x_c the mean and covariance of the conditional normal inside of B. Those of x_m follow as if x_c had been
seen (`missing.py`). Exact for one such entry, and for covariances along the axes; two or more that are correlated are
integrated over points that are the same in every step (`kernels/boxes.py`). See Lee and Scott (2012), section 4.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.errors import BadData
from gmmlab.families.conditioning import Conditional, conditional, marginal
from gmmlab.families.gaussian import Gaussian
from gmmlab.families.missing import completion
from gmmlab.kernels.boxes import drawn_in_correlated_box, inside_correlated_box, rule
from gmmlab.kernels.patterns import Pattern, patterns
from gmmlab.kernels.truncation import inside_interval, taken
from gmmlab.stats import Moments

NODES = 127


class Entries(NamedTuple):
    """Rows whose entries are seen, or else (NaN) lie from `low` to `high`, which may be infinite."""

    x: Float[Tensor, "n d"]
    low: Float[Tensor, "n d"]
    high: Float[Tensor, "n d"]
    nodes: int = NODES

    @property
    def bounded(self) -> Bool[Tensor, "n d"]:
        """The entries that are not seen and have a limit."""
        return torch.isnan(self.x) & (torch.isfinite(self.low) | torch.isfinite(self.high))

    @property
    def patterns(self) -> list[Pattern]:
        """Rows of which the same columns are seen, and the same bounded."""
        return patterns(self.x, self.bounded)

    def take(self, rows: Bool[Tensor, "n"]) -> Entries:
        """Some of the rows."""
        return self._replace(x=self.x[rows], low=self.low[rows], high=self.high[rows])

    def of(self, pattern: Pattern) -> Censored:
        """The rows of a pattern."""
        at = pattern.rows
        low, high = self.low[at][:, pattern.bounded], self.high[at][:, pattern.bounded]
        return Censored(pattern, self.x[at][:, pattern.observed], low, high, self.nodes)


def entries(
    x: Float[Tensor, "n d"], lower: Tensor | None = None, upper: Tensor | None = None, nodes: int = NODES
) -> Entries:
    """Rows with limits: one number, (d,), (n, d), or (n,) for one column; None for none.

    Raises `BadData` for other shapes, limits that are NaN or in the wrong order, and entries that are seen beyond
    limits of their own; those of a column tell of its NaN alone.
    """
    low, high = _limit(lower, "lower", -torch.inf, x), _limit(upper, "upper", torch.inf, x)
    hidden = torch.isnan(x)
    _check(hidden & ~(low < high), x, low, high, "lower below upper, and in X what is known exactly")
    beyond = torch.zeros_like(hidden)
    for limit, past in ((low, x < low.to(x)), (high, x > high.to(x))):
        beyond |= past & (limit.ndim == 2)
    _check(beyond, x, low, high, "NaN in X where limits are all that is known")
    return Entries(x, low.expand_as(x), high.expand_as(x), nodes)


def _limit(given: Tensor | None, name: str, none: float, x: Float[Tensor, "n d"]) -> Float[Tensor, "..."]:
    """The limit of all entries, limits of columns, or of each entry."""
    n, d = x.shape
    limit = x.new_full((), none, dtype=torch.float64) if given is None else given.double().to(x.device)
    if limit.shape == (n,) and d == 1 and n > 1:
        limit = limit[:, None]
    if limit.shape not in ((), (d,), (n, d)):
        raise BadData(
            f"{name} has the shape {tuple(limit.shape)}; expected one number, {(d,)} for columns, or {(n, d)}."
        )
    if bool((bad := torch.isnan(limit)).any()):
        raise BadData(
            f"{name} is NaN in {int(bad.sum())} entries; expected numbers, and {none} where there is no limit."
        )
    return limit


def _check(bad: Bool[Tensor, "n d"], x: Tensor, low: Tensor, high: Tensor, expected: str) -> None:
    if not bool(bad.any()):
        return
    row, column = (int(at) for at in bad.nonzero()[0])
    low, high = low.expand_as(x), high.expand_as(x)
    raise BadData(
        f"Row {row} is {float(x[row, column]):g} in column {column}, with limits from {float(low[row, column]):g} to "
        f"{float(high[row, column]):g} ({int(bad.sum())} such entries); expected {expected}."
    )


class Censored(NamedTuple):
    """Rows of one pattern: what is seen of them, and the limits of what is bounded.

    `nodes` points are taken where three or more entries are integrated together, a quarter as many for two.
    """

    pattern: Pattern
    x: Float[Tensor, "m o"]
    low: Float[Tensor, "m c"]
    high: Float[Tensor, "m c"]
    nodes: int

    @property
    def kept(self) -> list[int]:
        """The columns of which something is known, in their order."""
        return sorted([*self.pattern.observed, *self.pattern.bounded])

    def width(self, gaussian: Gaussian) -> int:
        """Numbers that are held for a row."""
        c, q = self.low.shape[1], len(self.kept)
        correlated = gaussian.structure.dense and c > 1
        return gaussian.k * (q + c * c + (self._points * (c + 6) if correlated else 20 * c))

    def part(self, rows: slice | Int[Tensor, "i"]) -> Censored:
        """Some of the rows."""
        pattern = self.pattern._replace(rows=self.pattern.rows[rows])
        return self._replace(pattern=pattern, x=self.x[rows], low=self.low[rows], high=self.high[rows])

    def within(self, gaussian: Gaussian) -> Within:
        """What each component says of the rows, in float64."""
        given, low, high = self._given(gaussian)
        if given.chol.ndim == 3 and low.shape[2] > 1:
            points = rule(self._points, low.shape[2] - 1).to(low.device)
            found = inside_correlated_box(given.chol, *_in_line(low, high), points)
            log_mass, mean, cov = (part.view(*low.shape[:2], *part.shape[1:]) for part in found)
            return Within(given.log_prob + log_mass, given.mean + mean, cov)
        sd = given.chol.flatten(1)
        log_mass, z, spread = inside_interval(low / sd, high / sd)
        return Within(given.log_prob + log_mass.sum(2), given.mean + sd * z, sd.square() * spread)

    def drawn(self, gaussian: Gaussian, rng: torch.Generator) -> Float[Tensor, "m c"]:
        """What lies between the limits, drawn from the first component given what is seen."""
        given, low, high = self._given(gaussian)
        if given.chol.ndim == 3 and low.shape[2] > 1:
            return given.mean[:, 0] + drawn_in_correlated_box(given.chol, *_in_line(low[:, :1], high[:, :1]), rng)
        sd = given.chol.flatten(1)[0]
        u = torch.rand(low[:, 0].shape, generator=rng, dtype=torch.float64, device=rng.device).to(low)
        return given.mean[:, 0] + sd * taken(low[:, 0] / sd, high[:, 0] / sd, u)[1]

    def _given(self, gaussian: Gaussian) -> tuple[Conditional, Float[Tensor, "m k c"], Float[Tensor, "m k c"]]:
        """The components given what is seen, and the limits as deviations from their means."""
        kept = self.kept
        part = gaussian if len(kept) == gaussian.d else marginal(gaussian, kept)
        given = conditional(part, [kept.index(j) for j in self.pattern.observed], self.x.double())
        return given, self.low.double()[:, None] - given.mean, self.high.double()[:, None] - given.mean

    @property
    def _points(self) -> int:
        return self.nodes if self.low.shape[1] > 2 else -(-self.nodes // 4)

    def sums(self, gaussian: Gaussian, within: Within, resp: Float[Tensor, "m k"]) -> Moments:
        """Expected moments of complete rows, weighted by responsibilities."""
        kept, k = self.kept, gaussian.k
        at_seen, at_bounded = ([kept.index(j) for j in part] for part in (self.pattern.observed, self.pattern.bounded))
        origin = gaussian.origin.double()[kept]
        y = within.mean.new_empty(k, len(self.x), len(kept))
        y[:, :, at_seen] = self.x.double()
        y[:, :, at_bounded] = within.mean.transpose(0, 1)
        y -= origin
        weight = resp.double().T[:, :, None]
        s1 = (weight * y).sum(1)
        if gaussian.structure.dense:
            s2 = (weight * y).mT @ y
            columns = torch.tensor(at_bounded, device=y.device)
            s2[:, columns[:, None], columns] += _spread(within.cov, resp.double())
        else:
            s2 = (weight * y.square()).sum(1)
            s2[:, at_bounded] += torch.einsum("mk,mkc->kc", resp.double(), within.cov)
        seen = Moments(resp.sum(0, dtype=torch.float64), s1, s2, origin=origin)
        if not self.pattern.missing:
            return seen.replace(origin=gaussian.origin)
        return completion(gaussian, kept).push(seen, gaussian.origin)


class Within(NamedTuple):
    """Log densities of rows with the probability of their limits, and what is expected of what lies between these.

    Covariances are variances where columns are independent given what is seen.
    """

    log_prob: Float[Tensor, "m k"]
    mean: Float[Tensor, "m k c"]
    cov: Float[Tensor, "m k c c"] | Float[Tensor, "m k c"]


def _in_line(
    low: Float[Tensor, "m k c"], high: Float[Tensor, "m k c"]
) -> tuple[Int[Tensor, "b"], Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    """The boxes of all rows and components, and whose each is."""
    m, k, _ = low.shape
    return torch.arange(k, device=low.device).repeat(m), low.flatten(0, 1), high.flatten(0, 1)


def _spread(cov: Tensor, resp: Float[Tensor, "m k"]) -> Float[Tensor, "k c c"]:
    """The sum of covariances within the limits; of variances where there is one column."""
    if cov.ndim == 3:
        return torch.diag_embed(torch.einsum("mk,mkc->kc", resp, cov))
    return torch.einsum("mk,mkcd->kcd", resp, cov)
