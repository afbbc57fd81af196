"""Mixtures that grow with a stream: every row is seen once, and components are born where none explains it.

The incremental Gaussian mixture network, in the form that holds precisions (Heinen, Engel and Pinto, 2012; Pinto and
Engel, 2015). For a row x, with e_j = x - mu_j and d_j^2 = e_j' L_j e_j of every component j:

    novelty       none, or all d_j^2 >= the (1 - tau) quantile of chi-square: a component is born at x
    assignment    r_j as of any mixture, with the weights sp_j / sum sp
    counts        sp_j <- sp_j + r_j, age_j <- age_j + 1;     w = r_j / sp_j
    mean          mu_j <- mu_j + w e_j
    covariance    C_j <- (1 - w) C_j + a e_j e_j', through its inverse (`kernels/precision.py`)

Exact weighted moments have a = w (1 - w). The papers and their code have a = w (1 - 3 w + w^2), as they take one
deviation from the new mean: that is negative for w > 0.382, in the first rows of a component, and can lose positive
definiteness; such updates are left out. Components that are old and took few rows die. Rows are assigned once and for
all, so that the result depends on their order. With `forgetting`, counts decay by that factor for each row, and what is
old fades.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import Full, Gaussian
from gmmlab.gates import Constant
from gmmlab.kernels import precision as kernel
from gmmlab.kernels.compiled import can_run
from gmmlab.kernels.tails import distance_at
from gmmlab.kernels.threads import one_blas_thread
from gmmlab.model import Mixture
from gmmlab.record import Record, shared

REFRESH = 1000  # updates of a component after which its rounding errors are taken out
PRUNE = 50  # rows after which components are looked at that may die, or are to be refreshed
LOG_2PI = math.log(2 * math.pi)
FEWEST = 1000  # rows whose calls take long enough to compile what is done with them: 25 ms
LEAST = 1e-16  # a row that moves a component by less leaves it as it is, to rounding

Coefficient = Callable[[float], float]
Index = NDArray[np.intp]


def exact(w: float) -> float:
    """The coefficient of weighted moments, w (1 - w)."""
    return w * (1 - w)


def published(w: float) -> float:
    """The coefficient of the papers, w (1 - 3 w + w^2)."""
    return w * (1 - 3 * w + w * w)


#: The same over w, by powers of w.
POLYNOMIALS: dict[Coefficient, tuple[float, float, float]] = {exact: (1.0, -1.0, 0.0), published: (1.0, -3.0, 1.0)}


@dataclass(frozen=True)
class Rule:
    """How a mixture grows; see the module. `width` are the standard deviations of a new component."""

    width: Float[Tensor, "d"]
    tau: float = 0.1
    oldest: float = 0.0  # rows that a component may take before it has to show `fewest`
    fewest: float = 0.0
    most: int | None = None  # components; beyond that every row goes to those that are there
    coefficient: Coefficient = exact
    forgetting: float = 1.0

    def far(self, shown: int) -> float:
        """The squared distance from which on a row is new to a component, by the entries that are there."""
        return _quantile(self.tau, shown)


@cache
def _quantile(tau: float, d: int) -> float:
    return float(distance_at(torch.tensor(tau, dtype=torch.float64), d, torch.inf)) if tau else torch.inf


class Grown(Record):
    """A mixture of k Gaussians in precisions, and what is remembered of each: counts `sp`, `age`, a lasting `name`."""

    mean: Float[Tensor, "k d"]
    precision: Float[Tensor, "k d d"]
    log_det: Float[Tensor, "k"]  # of the covariances
    sp: Float[Tensor, "k"]
    age: Float[Tensor, "k"]
    name: Int[Tensor, "k"]
    seen: Int[Tensor, ""] = shared()  # rows so far
    born: Int[Tensor, ""] = shared()  # components so far

    @classmethod
    def empty(cls, like: Float[Tensor, "d"]) -> Grown:
        """Nothing yet."""
        d, none = len(like), torch.zeros((), dtype=torch.int64)
        zero = like.new_zeros(0, dtype=torch.float64)
        square, name = zero.new_zeros(0, d, d), torch.zeros(0, dtype=torch.int64, device=like.device)
        return cls(zero.new_zeros(0, d), square, zero, zero, zero, name, none, none)

    @property
    def k(self) -> int:
        """Number of components."""
        return len(self.mean)

    @property
    def weights(self) -> Float[Tensor, "k"]:
        """Shares of the counts."""
        return self.sp / self.sp.sum()

    def mixture(self) -> Mixture:
        """The same as a mixture with covariances, O(k d^3). A component that is not positive definite raises."""
        eye = torch.eye(self.mean.shape[1]).to(self.mean)
        root = torch.linalg.cholesky(self.precision.flip(-1, -2)).flip(-1, -2)  # upper: L = U U'
        half = torch.linalg.solve_triangular(root, eye.expand_as(root), upper=True)
        chol = half.mT  # C = U^-T U^-1
        gaussian = Gaussian(self.mean, chol, torch.zeros_like(self.sp), self.weights @ self.mean, Full())
        return Mixture(gaussian, Constant.of(self.sp))


class Event(NamedTuple):
    """A birth or a death: the row after which it happened, counted from 1, and the lasting name of the component."""

    row: int
    kind: str
    component: int

    @property
    def words(self) -> str:
        """What a log says of it."""
        return f"A {self.kind} at row {self.row}: component {self.component}."


BIRTH, DEATH = "birth", "death"


@dataclass(frozen=True, eq=False)
class Step:
    """Some rows further: their number from 1 on, the mixture after them, and the births and deaths among them."""

    i: int
    grown: Grown
    evidence: float  # mean log density of the rows, each under the mixture just before it; the first has none
    happened: tuple[Event, ...]

    @cached_property
    def model(self) -> Mixture:
        """The mixture after these rows."""
        return self.grown.mixture()

    @property
    def info(self) -> Step:
        """For those who look there for the evidence."""
        return self

    @property
    def events(self) -> list[tuple[str, str]]:
        """Kinds and words of what happened, for the log of a session."""
        return [(event.kind, event.words) for event in self.happened]


def grow(
    grown: Grown, x: Float[Tensor, "n d"], rule: Rule, weight: Float[Tensor, "n"] | None = None, every: int = 1
) -> Iterator[Step]:
    """Steps of `every` rows, in their order. Entries may be missing (NaN); rows without any are passed over.

    Rows come one by one, each with some small products: that is done on the host, wherever they are, and compiled where
    rows are many (`kernels/stream_tiles.py`, which needs numba, the `fast` extra).
    """
    garden, rows = _Garden(grown, rule), x.double().cpu().contiguous().numpy()
    weights = np.ones(len(rows)) if weight is None else weight.double().cpu().contiguous().numpy()
    many = len(rows) >= FEWEST and rule.coefficient in POLYNOMIALS and can_run()
    take = garden.take_many if many else garden.take_all
    for i in range(0, len(rows), every):
        with one_blas_thread():
            seen = take(rows[i : i + every], weights[i : i + every])
        log_p = [value for one in seen for value in one.log_prob]
        evidence = sum(log_p) / len(log_p) if log_p else float("nan")
        happened = tuple(event for one in seen for event in one.events)
        yield Step(min(i + every, len(rows)), garden.snapshot(), evidence, happened)


class _Seen(NamedTuple):
    log_prob: tuple[float, ...] = ()  # of the row under the mixture before it, if there was one
    events: tuple[Event, ...] = ()


class _Garden:
    """The mixture while it grows, in its own memory on the host."""

    HELD = ("mean", "precision", "log_det", "sp", "age", "name")

    def __init__(self, grown: Grown, rule: Rule) -> None:
        self.rule, self.device, self.width = rule, grown.mean.device, rule.width.double().cpu().numpy()
        held = (getattr(grown, name).cpu().numpy().copy() for name in self.HELD)
        self.mean, self.precision, self.log_det, self.sp, self.age, self.name = held
        self.rows, self.born, self.updates = int(grown.seen), int(grown.born), self.age.copy()

    def snapshot(self) -> Grown:
        held = {name: torch.tensor(getattr(self, name), device=self.device) for name in self.HELD}
        seen, born = (torch.tensor(count, dtype=torch.int64) for count in (self.rows, self.born))
        return Grown(**held, seen=seen, born=born)

    def take_all(self, rows: kernel.Array, times: kernel.Array) -> list[_Seen]:
        """See some rows, each of which counts so many times."""
        gaps = np.isnan(rows).sum(1)
        return [self.take(*one) for one in zip(rows, times.tolist(), gaps.tolist(), strict=True)]

    def take_many(self, rows: kernel.Array, times: kernel.Array) -> list[_Seen]:
        """The same, compiled between births, gaps, and looks at who may die."""
        from gmmlab.kernels.stream_tiles import take_rows

        seen, at, log_prob, rule = list[_Seen](), 0, np.empty(len(rows)), self.rule
        far, curve = rule.far(rows.shape[1]), np.array(POLYNOMIALS[rule.coefficient])
        while at < len(rows):
            held = (self.mean, self.precision, self.log_det, self.sp, self.age, self.updates)
            closed = rule.most is not None and len(self.sp) >= rule.most
            ends = (math.inf if closed else far, rule.forgetting, LEAST, PRUNE - self.rows % PRUNE)
            done = take_rows(rows[at:], times[at:], *held, log_prob[at:], curve, *ends) if len(self.sp) else 0
            if done:
                self.rows += done
                seen.append(_Seen(tuple(log_prob[at : at + done].tolist()), self._looked()))
            else:
                seen += self.take_all(rows[at : at + 1], times[at : at + 1])
            at += max(done, 1)
        return seen

    def take(self, row: kernel.Array, times: float, gaps: int) -> _Seen:
        """See a row that counts so many times, and of which so many entries are missing."""
        self.rows += 1
        shown, rule = len(row) - gaps, self.rule
        if not shown or not times > 0:
            return _Seen()
        if not len(self.sp):
            return _Seen((), (self._born(row, times),))
        missing = np.flatnonzero(np.isnan(row)) if gaps else None
        at = kernel.apart(self.precision, row - self.mean if missing is None else self._completed(row, missing))
        log_det = self.log_det if missing is None else self.log_det + self._marginal_log_det(missing)
        joint = np.log(self.sp) - 0.5 * (shown * LOG_2PI + log_det + at.distance)
        top = joint.max()
        resp = np.exp(joint - top)
        total = resp.sum()
        log_p = float(top + np.log(total / self.sp.sum()))
        if (rule.most is None or len(self.sp) < rule.most) and at.distance.min() >= rule.far(shown):
            return _Seen((log_p,), (self._born(row, times),))
        self._move(at, resp * (times / total), missing)
        return _Seen((log_p,), self._looked())

    def _looked(self) -> tuple[Event, ...]:
        """Every so many rows components are made fresh, and some die."""
        if self.rows % PRUNE:
            return ()
        self._refresh()
        return self._pruned()

    def _born(self, row: kernel.Array, times: float) -> Event:
        centre = self.sp @ self.mean / self.sp.sum() if len(self.sp) else np.zeros_like(row)
        self.sp *= self.rule.forgetting
        self.mean = np.append(self.mean, np.where(np.isnan(row), centre, row)[None], axis=0)
        self.precision = np.append(self.precision, np.diag(self.width**-2.0)[None], axis=0)
        self.log_det = np.append(self.log_det, 2 * np.log(self.width).sum())
        self.sp, self.age = np.append(self.sp, times), np.append(self.age, 1.0)
        self.name, self.updates = np.append(self.name, self.born), np.append(self.updates, 0.0)
        self.born += 1
        return Event(self.rows, BIRTH, self.born - 1)

    def _move(self, at: kernel.Apart, resp: kernel.Array, missing: Index | None) -> None:
        """Counts of all, and parameters of those that the row moves."""
        self.sp *= self.rule.forgetting
        self.sp += resp
        self.age += 1
        w = resp / self.sp
        self.mean += w[:, None] * at.offset
        for j, (share, distance) in enumerate(zip(w.tolist(), at.distance.tolist(), strict=True)):
            if not share * (1 + distance) > LEAST:
                continue
            self.updates[j] += 1
            made = kernel.change(share, self.rule.coefficient(share), distance, len(self.width))
            if made is None:
                continue
            before = None if missing is None else self.precision[j].copy()
            kernel.rank_one_(self.precision[j], at.solved[j], made)
            self.log_det[j] += made.log_det
            if before is not None and missing is not None:
                self._blur(j, share, before, missing)

    def _refresh(self) -> None:
        """Log-determinants anew where many rows have come, from precisions that are symmetric again."""
        old = np.flatnonzero(self.updates >= REFRESH)
        if len(old):
            precision = (self.precision[old] + self.precision[old].transpose(0, 2, 1)) / 2
            self.precision[old], self.log_det[old] = precision, -np.linalg.slogdet(precision)[1]
            self.updates[old] = 0

    def _pruned(self) -> tuple[Event, ...]:
        """Old components with few rows go, unless none would be left."""
        keep = (self.age <= self.rule.oldest) | (self.sp >= self.rule.fewest)
        if keep.all() or not keep.any():
            return ()
        events = tuple(Event(self.rows, DEATH, name) for name in self.name[~keep].tolist())
        for name in (*self.HELD, "updates"):
            setattr(self, name, getattr(self, name)[keep])
        return events

    # rows with gaps

    def _completed(self, row: kernel.Array, missing: Index) -> kernel.Array:
        """Deviations whose missing entries are what the others make one expect: distances are those of the others."""
        offset = np.nan_to_num(row - self.mean)
        pulled = self.precision[:, missing] @ offset[:, :, None]
        offset[:, missing] = -np.linalg.solve(self.precision[:, missing][:, :, missing], pulled)[:, :, 0]
        return offset

    def _marginal_log_det(self, missing: Index) -> kernel.Array:
        """What the missing columns take from the log-determinants."""
        return np.linalg.slogdet(self.precision[:, missing][:, :, missing])[1]

    def _blur(self, j: int, w: float, before: kernel.Array, missing: Index) -> None:
        """Missing entries are known up to their conditional covariance, which is added back: O(d^3)."""
        block, cov = np.ix_(missing, missing), np.linalg.inv(self.precision[j])
        cov[block] += w * np.linalg.inv(before[block])
        precision = np.linalg.inv(cov)
        self.precision[j], self.log_det[j] = (precision + precision.T) / 2, np.linalg.slogdet(cov)[1]
