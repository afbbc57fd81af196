"""Samplers on a few rows, for `sample/test_exact.py`; run as a program where many sweeps are wanted.

`python chains.py NAME ROWS SWEEPS` prints the partition of each sweep. A program checks no annotations, which takes
several times as long as the sweeps do.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from itertools import islice

import torch

from gmmlab.families import NormalInverseWishart
from gmmlab.gates import Constant
from gmmlab.model import Mixture
from gmmlab.sample import Dirichlet, Restaurant, Sticks, Sweep, Weights, blocked_gibbs, collapsed_gibbs, split_merge
from gmmlab.sample.collapsed import Tables, swept
from gmmlab.sample.draws import compact, sets
from gmmlab.sample.random import log_dirichlet
from gmmlab.sample.split_merge import Base, sliced

ROWS = torch.tensor([[-1.2, 0.2], [1.3, -0.6], [-0.8, -0.4], [0.9, 0.5], [0.1, 0.3], [0.4, 1.2]], dtype=torch.float64)
PRIOR = NormalInverseWishart.of(torch.zeros(2), 0.3 * torch.eye(2), kappa=0.2, dof=4.0)
ALPHA = 0.8
PROCESSES = {
    "collapsed": Restaurant(),
    "split_merge": Restaurant(),
    "dirichlet": Dirichlet(3),
    "sticks": Sticks(3),
}
FRESH = 1000  # sweeps between tables that are made anew


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def start(k: int, x: torch.Tensor, rng: torch.Generator) -> Mixture:
    return Mixture(PRIOR.repeated(k).sample(rng, x.mean(0)), Constant.of(torch.ones(k)))


def sweeps(name: str, x: torch.Tensor, rng: torch.Generator, **options) -> Iterator[Sweep]:
    process = PROCESSES[name]
    if isinstance(process, Weights):
        return blocked_gibbs(start(process.k, x, rng), x, PRIOR, process, rng, alpha=ALPHA, **options)
    if name == "collapsed":
        return collapsed_gibbs(start(1, x, rng), x, PRIOR, rng, alpha=ALPHA, **options)
    return split_merge(start(1, x, rng), x, PRIOR, rng, alpha=ALPHA, proposals=1, **options)


def canonical(labels: list[int]) -> tuple[int, ...]:
    seen: dict[int, int] = {}
    return tuple(seen.setdefault(label, len(seen)) for label in labels)


def partitions(name: str, n: int, rng: torch.Generator) -> Iterator[tuple[int, ...]]:
    """The partition of each sweep."""
    x = ROWS[:n]
    if name in AGAIN:
        return in_turn(AGAIN[name], x, rng)
    if name == "rows alone":
        return row_by_row(x, rng)
    return (canonical(sweep.info.labels.tolist()) for sweep in sweeps(name, x, rng))


def row_by_row(x: torch.Tensor, rng: torch.Generator) -> Iterator[tuple[int, ...]]:
    """Those of collapsed Gibbs without drawing parameters in each sweep, which takes the most time of few rows."""
    prior, labels = PRIOR.replace(mean=PRIOR.mean - x.mean(0)), torch.zeros(len(x), dtype=torch.int64)
    while True:
        tables = Tables(x - x.mean(0), labels, prior, ALPHA)
        for _ in range(FRESH):
            tables.sweep(rng)
            yield canonical(tables.labels.tolist())
        labels = torch.tensor(canonical(tables.labels.tolist()))


def in_turn(
    swept_once: Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor],
    x: torch.Tensor,
    rng: torch.Generator,
) -> Iterator[tuple[int, ...]]:
    """Rows drawn from the parameters, labels from the rows, and again: partitions are those of the prior.

    See Geweke (2004).
    """
    labels = torch.arange(len(x))
    while True:
        groups = sets(x, labels, x.mean(0))
        x = PRIOR.posterior(groups).sample(rng, x.mean(0)).sample(labels, rng)
        labels = swept_once(x, labels, rng)
        yield canonical(labels.tolist())


def one_by_one(x: torch.Tensor, labels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Labels after a sweep of collapsed Gibbs from these labels."""
    return compact(swept(x, labels, PRIOR, ALPHA, rng))


def at_once(x: torch.Tensor, labels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Labels after all rows were drawn at once."""
    groups = sets(x, labels, x.mean(0))
    drawn = Mixture(PRIOR.posterior(groups).sample(rng, x.mean(0)), Constant(log_dirichlet(groups.w, rng)))
    return compact(sliced(drawn, labels, x, Base(PRIOR, ALPHA), rng)[0])


AGAIN = {"rows one by one, in turn": one_by_one, "rows at once, in turn": at_once}


def few_sweeps_inside() -> None:
    """Any number of them is exact."""
    importlib.import_module("gmmlab.sample.split_merge").SCANS = 1  # type: ignore[attr-defined]


if __name__ == "__main__":
    name, rows, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    few_sweeps_inside()
    for partition in islice(partitions(name, rows, rng_of(0)), most):
        sys.stdout.write("".join(map(str, partition)) + "\n")
