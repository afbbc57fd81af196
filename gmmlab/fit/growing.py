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
from typing import Any, NamedTuple

import numpy as np
import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import Full, Gaussian
from gmmlab.gates import Constant
from gmmlab.kernels import precision as kernel
from gmmlab.kernels.tails import distance_at
from gmmlab.model import Mixture
from gmmlab.record import Record, shared

REFRESH = 1000  # updates of a component after which its rounding errors are taken out
PRUNE = 50  # rows after which components are looked at that may die, or are to be refreshed
LOG_2PI = math.log(2 * math.pi)
LEAST = 1e-16  # a row that moves a component by less leaves it as it is, to rounding

Coefficient = Callable[[kernel.Vector], kernel.Vector]


def exact(w: kernel.Vector) -> kernel.Vector:
    """The coefficient of weighted moments, w (1 - w)."""
    return w * (1 - w)


def published(w: kernel.Vector) -> kernel.Vector:
    """The coefficient of the papers, w (1 - 3 w + w^2)."""
    return w * (1 - 3 * w + w * w)


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
    """Steps of `every` rows, in their order. Entries may be missing (NaN); rows without any are passed over."""
    garden, log_p, happened = _Garden(grown, rule), list[float](), list[Event]()
    x, weights = x.double(), [1.0] * len(x) if weight is None else weight.tolist()
    for i, (times, gaps) in enumerate(zip(weights, torch.isnan(x).sum(1).tolist(), strict=True), 1):
        if gaps < x.shape[1] and times > 0:
            seen = garden.take(x[i - 1], times, gaps)
            happened += seen.events
            log_p += seen.log_prob
        else:
            garden.rows += 1
        if i % every == 0 or i == len(x):
            evidence = sum(log_p) / len(log_p) if log_p else float("nan")
            yield Step(i, garden.snapshot(), evidence, tuple(happened))
            log_p, happened = [], []


class _Seen(NamedTuple):
    log_prob: list[float]  # of the row under the mixture before it, if there was one
    events: list[Event]


class _Garden:
    """The mixture while it grows, in its own memory: what is of size k on the host, where it costs least."""

    def __init__(self, grown: Grown, rule: Rule) -> None:
        self.rule, self.mean, self.precision = rule, grown.mean.clone(), grown.precision.clone()
        names = ("log_det", "sp", "age", "name")
        self.log_det, self.sp, self.age, self.name = (getattr(grown, name).cpu().numpy().copy() for name in names)
        self.rows, self.born, self.updates = int(grown.seen), int(grown.born), self.age.copy()

    def snapshot(self) -> Grown:
        names = ("log_det", "sp", "age", "name")
        held = {name: torch.tensor(getattr(self, name), device=self.mean.device) for name in names}
        seen, born = (torch.tensor(count, dtype=torch.int64) for count in (self.rows, self.born))
        return Grown(mean=self.mean.clone(), precision=self.precision.clone(), **held, seen=seen, born=born)

    def take(self, row: Float[Tensor, "d"], times: float, gaps: int) -> _Seen:
        """See a row of which so many entries are missing."""
        self.rows += 1
        if not len(self.sp):
            return _Seen([], [self._born(row, times)])
        missing = torch.isnan(row).nonzero().flatten() if gaps else None
        at = kernel.apart(self.mean, self.precision, row) if missing is None else self._completed(row, missing)
        distance, log_det = at.distance.cpu().numpy(), self.log_det
        if missing is not None:
            log_det = log_det + self._marginal_log_det(missing)
        shown, rule = len(row) - gaps, self.rule
        joint = np.log(self.sp) - 0.5 * (shown * LOG_2PI + log_det + distance)
        top = joint.max()
        resp = np.exp(joint - top)
        total = resp.sum()
        log_p = float(top + np.log(total) - np.log(self.sp.sum()))
        if (rule.most is None or len(self.sp) < rule.most) and float(distance.min()) >= rule.far(shown):
            return _Seen([log_p], [self._born(row, times)])
        self._move(at, distance, resp * (times / total), missing)
        return _Seen([log_p], self._pruned() if self.rows % PRUNE == 0 else [])

    def _born(self, row: Float[Tensor, "d"], times: float) -> Event:
        width = self.rule.width.to(row)
        share = torch.from_numpy(self.sp / self.sp.sum()).to(row) if len(self.sp) else None
        centre = torch.zeros_like(row) if share is None else share @ self.mean
        self.mean = torch.cat([self.mean, torch.where(torch.isnan(row), centre, row)[None]])
        self.precision = torch.cat([self.precision, torch.diag_embed(width**-2)[None]])
        self.sp *= self.rule.forgetting
        for name, value in (("log_det", 2 * float(width.log().sum())), ("sp", times), ("age", 1.0), ("updates", 0.0)):
            setattr(self, name, np.append(getattr(self, name), value))
        self.name = np.append(self.name, self.born)
        self.born += 1
        return Event(self.rows, BIRTH, self.born - 1)

    def _move(self, at: kernel.Apart, distance: Any, resp: Any, missing: Tensor | None) -> None:
        """Counts of all, and parameters of those that the row moves."""
        self.sp *= self.rule.forgetting
        self.sp += resp
        self.age += 1
        w = resp / self.sp
        touched = np.flatnonzero(w * (1 + distance) > LEAST)
        share = w[touched]
        made = kernel.change(share, self.rule.coefficient(share), distance[touched], self.mean.shape[1])
        self.mean.addcmul_(at.offset, torch.from_numpy(w)[:, None].to(self.mean))
        self.updates[touched] += 1
        if not made.sound.all():
            touched, share, made = touched[made.sound], share[made.sound], made.only(made.sound)
        before = None if missing is None else self.precision[touched].clone()
        kernel.rank_one_(self.precision, at.solved, made, touched.tolist())
        self.log_det[touched] += made.log_det
        if before is not None and missing is not None:
            self._blurred(touched, torch.from_numpy(share).to(before), before, missing)
        if self.rows % PRUNE == 0 and (self.updates >= REFRESH).any():
            self._refresh()

    def _refresh(self) -> None:
        """Log-determinants anew, from precisions that are symmetric again."""
        old = np.flatnonzero(self.updates >= REFRESH)
        precision = (self.precision[old] + self.precision[old].mT) / 2
        self.precision[old], self.log_det[old] = precision, -torch.linalg.slogdet(precision)[1].cpu().numpy()
        self.updates[old] = 0

    def _pruned(self) -> list[Event]:
        """Old components with few rows go, unless none would be left."""
        keep = (self.age <= self.rule.oldest) | (self.sp >= self.rule.fewest)
        if keep.all() or not keep.any():
            return []
        events = [Event(self.rows, DEATH, int(name)) for name in self.name[~keep]]
        for name in ("mean", "precision", "log_det", "sp", "age", "name", "updates"):
            setattr(self, name, getattr(self, name)[np.flatnonzero(keep)])
        return events

    # rows with gaps

    def _completed(self, row: Float[Tensor, "d"], missing: Int[Tensor, "t"]) -> kernel.Apart:
        """Deviations whose missing entries are what the others make one expect: distances are those of the others."""
        offset = (row - self.mean).nan_to_num()
        pulled = (self.precision[:, missing] @ offset[:, :, None]).squeeze(-1)
        offset[:, missing] = -torch.linalg.solve(self.precision[:, missing][:, :, missing], pulled)
        solved = torch.bmm(self.precision, offset[:, :, None]).squeeze(-1)
        return kernel.Apart(offset, solved, (offset * solved).sum(-1))

    def _marginal_log_det(self, missing: Int[Tensor, "t"]) -> Any:
        """What the missing columns take from the log-determinants."""
        return torch.linalg.slogdet(self.precision[:, missing][:, :, missing])[1].cpu().numpy()

    def _blurred(self, at: Any, w: Float[Tensor, "j"], before: Float[Tensor, "j d d"], missing: Tensor) -> None:
        """Missing entries are known up to their conditional covariance, which is added back: O(d^3)."""
        cov = torch.linalg.inv(self.precision[at])
        cov[:, missing[:, None], missing] += w[:, None, None] * torch.linalg.inv(before[:, missing][:, :, missing])
        precision = torch.linalg.inv(cov)
        self.precision[at] = (precision + precision.mT) / 2
        self.log_det[at] = torch.linalg.slogdet(cov)[1].cpu().numpy()
