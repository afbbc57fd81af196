"""The bootstrap likelihood-ratio test of a selection: is one more component worth it?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.data import Rows
from gmmlab.errors import NumericalWarning, warn
from gmmlab.estimators.fitting import Budget
from gmmlab.estimators.sample import Sample, of_rows
from gmmlab.estimators.search import Cell, Fitted, Starts, search
from gmmlab.estimators.starting import Starting, counting
from gmmlab.score.bootstrap import Bootstrap, bootstrap, statistic

TOGETHER = 4096  # rows of the samples that climb in one stack: with few rows a call costs more than what it computes


class Tested(NamedTuple):
    """One line of the test: so many components against one more."""

    n_components: int
    against: int
    statistic: float  # twice the log of the likelihood ratio
    p_value: float
    draws: int  # samples so far
    failed: int  # to how many of them a model could not be fitted
    stuck: int  # in how many the larger model came out less likely

    @classmethod
    def of(cls, k: int, state: Bootstrap) -> Tested:
        """How far a test has come."""
        return cls(k, k + 1, state.observed, state.p_value, len(state.drawn), state.failed, state.stuck)


class Fits(NamedTuple):
    """How the models of a test are fitted: as those of the selection were, and all to their ends.

    The larger one also starts from the fit of the smaller one with each of its components cut in two. So it hardly ever
    ends below it, where a search that misses its optimum in samples would make the data look special.
    """

    cells: tuple[Cell, Cell]
    starting: Starting
    budget: Budget
    ridge: float
    rng: torch.Generator

    def of(self, sample: Sample, columns: int = 1) -> list[Fitted]:
        """Both cells, for each column of weights; all of the first before those of the second."""
        small, large = self.cells
        starts = self.starting.starts(sample, [small.k, large.k], columns, self.rng)
        fits = self._climbed(sample, small, starts)
        wider = [
            {large.k: [*found[large.k], *_cut(one, sample.x, counting(sample, c))]}
            for c, (one, found) in enumerate(zip(fits, starts, strict=True))
        ]
        return fits + self._climbed(sample, large, wider)

    def _climbed(self, sample: Sample, cell: Cell, starts: Sequence[Starts]) -> list[Fitted]:
        *_, last = search(sample, [cell], starts, _sound, self.budget, ridge=self.ridge)
        return last.fitted()

    def of_samples(self, samples: Float[Tensor, "b n d"]) -> Float[Tensor, "b 2"]:
        """Log-likelihoods of both in each sample, NaN where one was refused; all samples climb in one stack."""
        b, n, d = samples.shape
        weight = torch.eye(b, dtype=samples.dtype, device=samples.device).repeat_interleave(n, 0)
        rows = samples.reshape(b * n, d)
        sample = of_rows(Rows(rows, [], gaps=bool(rows.isnan().any())), weight)
        logliks = [one.loglik if one.model is not None else torch.nan for one in self.of(sample, b)]
        return torch.tensor(logliks, dtype=torch.float64).view(2, b).T


class Data(NamedTuple):
    """The rows that the test is of, and which of their entries are missing."""

    sample: Sample
    gaps: Bool[Tensor, "n d"] | None

    @property
    def n(self) -> int:
        """Rows of each sample: as many as the weights say; as many as there are where some have gaps."""
        return max(1, round(self.sample.n)) if self.gaps is None else len(self.gaps)


def in_turn(data: Data, fits: Iterable[Fits], draws: int, level: float) -> Iterator[list[Tested]]:
    """Test after test, each as it goes, until one has a p-value above `level`.

    A model that cannot be fitted to the rows ends the tests with a warning.
    """
    done: list[Tested] = []
    for each in fits:
        small, large = pair = each.of(data.sample)
        refused = [one for one in pair if one.model is None]
        if refused:
            which = f"{refused[0].cell.covariance_type} with {refused[0].cell.k} components"
            warn(f"No test of {which}, which was refused: {refused[0].refused}.", NumericalWarning)
            return
        for state in _states(data, each, small, large, draws):
            yield [*done, Tested.of(small.cell.k, state)]
        done.append(Tested.of(small.cell.k, state))
        if state.p_value > level:
            return


def _states(data: Data, fits: Fits, small: Fitted, large: Fitted, draws: int) -> Iterator[Bootstrap]:
    """One test as it goes."""
    assert small.model is not None
    observed = float(statistic(torch.tensor([[small.loglik, large.loglik]], dtype=torch.float64)))

    def refit(samples: Float[Tensor, "b n d"]) -> Float[Tensor, "b 2"]:
        return fits.of_samples(samples if data.gaps is None else samples.masked_fill(data.gaps, torch.nan))

    at_once = max(1, TOGETHER // data.n)
    return bootstrap(small.model, observed, refit, data.n, fits.rng, draws=draws, at_once=at_once)


def _sound(fitted: Sequence[Fitted]) -> list[Fitted]:
    return [one for one in fitted if one.model is not None]


def _cut(one: Fitted, x: Float[Tensor, "m d"], rows: Int[Tensor, "r"]) -> list[Float[Tensor, "m _"]]:
    """Partitions of some rows in which one component after the other is cut across its longest axis."""
    if one.model is None:
        return []
    resp, longest = one.model.posterior(x[rows]).resp, torch.linalg.eigh(one.model.gaussian.cov)[1][:, :, -1]
    side = ((x[rows] - one.model.gaussian.mean[:, None].to(x)) @ longest[:, :, None].to(x) > 0).squeeze(-1).to(x)
    parts = []
    for j in range(one.model.k):
        part = torch.cat([resp, resp[:, j, None] * side[j, :, None]], dim=1)
        part[:, j] *= 1 - side[j]
        parts.append(x.new_zeros(len(x), part.shape[1]).index_copy_(0, rows, part))
    return parts
