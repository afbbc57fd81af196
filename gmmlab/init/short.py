"""Many starts, few steps each; the best go on. And the default start, which is made that way.

Biernacki, Celeux and Govaert (2003) found short runs of EM from many starts, the best of which is continued, to be the
most reliable start at a given cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.errors import NotPositiveDefinite
from gmmlab.families import Structure
from gmmlab.init.hierarchy import Determinant, by_first_row, standardised, svd_scaled, ward, whitened
from gmmlab.init.kmeans import kmeans
from gmmlab.init.partitions import from_labels, from_responsibilities
from gmmlab.model import Mixture
from gmmlab.steps import e_step, m_step

SAMPLE = 2000  # rows that starts are tried on: Ward's tree takes time and memory with their square
LEAVES = 30  # groups that the determinant criterion starts from: each costs a step of its tree
ROUNDS = ((5, 2), (8, 1))  # steps of a round, and how many go on

Score = Callable[[Mixture, float, int], float]
Run = Callable[[Sequence[Mixture], Tensor, int], list["Trial"]]


class Trial(NamedTuple):
    """A model on its way, and the mean log-likelihood per row of the model one refit before it."""

    model: Mixture
    evidence: float


def climb(models: Sequence[Mixture], x: Float[Tensor, "n d"], steps: int) -> list[Trial]:
    """Each model after `steps` steps of EM; those that break down on the way are left out."""
    return [trial for model in models for trial in _climb(model, x, steps)]


def _climb(model: Mixture, x: Float[Tensor, "n d"], steps: int) -> Iterator[Trial]:
    evidence = -torch.inf
    try:
        for _ in range(steps):
            stats = e_step(model, x)
            model, evidence = m_step(model, stats), float(stats.score)
    except NotPositiveDefinite:
        return
    yield Trial(model, evidence)


def corrected(model: Mixture, evidence: float, n: int) -> float:
    """Mean log-likelihood less what small components are expected to lose on new rows.

        evidence - 1/n sum_k p n_k / (n_k - 2 p / d + 1)

    with p parameters and n_k rows in a component of a d-variate mixture. For one Gaussian with a covariance matrix,
    p = d (d + 3) / 2, the loss is exact (Bedrick and Tsai, 1994; Hurvich and Tsai, 1989, for d = 1); components whose
    rows hardly exceed their parameters lose without bound. With rows in plenty it is the same for all models of a kind,
    and the evidence alone decides.
    """
    p = model.components.n_parameters / model.k
    rows = model.weights * n
    spare = (rows - 2 * p / model.d + 1).clamp(min=1e-6)  # finite, so that the evidence still orders hopeless models
    return evidence - float((p * rows / spare).sum()) / n


def best_of(
    x: Float[Tensor, "n d"],
    starts: Iterable[Mixture],
    *,
    rounds: Sequence[tuple[int, int]] = ROUNDS,
    score: Score = corrected,
    run: Run = climb,
) -> Mixture:
    """The start that does best in short runs of EM, after those runs.

    Each of `rounds` is a number of steps and how many of the models go on from there. `run` takes a list of models some
    steps further, and may do so for all together. Raises `NotPositiveDefinite` if no start survives.
    """
    models = list(starts)
    for steps, keep in rounds:
        if len(models) == 1:
            break
        trials = run(models, x, steps)
        if not trials:
            raise NotPositiveDefinite(
                f"None of {len(models)} starts has positive definite covariances after {steps} steps. Try fewer "
                "components, a larger reg_covar, or a simpler covariance_type."
            )
        trials.sort(key=lambda trial: score(trial.model, trial.evidence, len(x)), reverse=True)
        models = [trial.model for trial in trials[:keep]]
    return models[0]


def partitions(x: Float[Tensor, "n d"], k: int, rng: torch.Generator) -> Iterator[Int[Tensor, "n"]]:
    """Partitions that suit different shapes of groups, each of them once: at most three, none of which sees units.

    k-means of standardised rows, for round groups, and the determinant criterion on whitened rows at two scales at
    which long, thin and parallel groups survive.
    """
    white = whitened(x)
    leaf = ward(svd_scaled(x)).labels(min(len(x), max(LEAVES, 4 * k)))
    makers: list[Callable[[], Tensor]] = [
        lambda: kmeans(standardised(x), k, rng),
        lambda: Determinant(4.0).upon(white, leaf).labels(k),
        lambda: Determinant(16.0).upon(white, leaf).labels(k),
    ]
    seen: list[Tensor] = []
    for make in makers:
        labels = by_first_row(make())
        if not any(torch.equal(labels, other) for other in seen):
            seen.append(labels)
            yield labels


def automatic(
    x: Float[Tensor, "n d"], k: int, structure: Structure, rng: torch.Generator, *, ridge: float = 0.0
) -> Mixture:
    """The default start: the best of several partitions of (a sample of) the rows, by short runs."""
    if k == 1:
        return from_labels(x, torch.zeros(len(x), dtype=torch.int64, device=x.device), structure, ridge=ridge)
    rows = sample_of(len(x), max(SAMPLE, 40 * k), rng).to(x.device)
    sample = x if len(rows) == len(x) else x[rows]
    best = best_of(sample, _models(sample, k, structure, rng, ridge))
    return best.replace(components=best.gaussian.replace(origin=x.mean(0)))


def _models(
    x: Float[Tensor, "n d"], k: int, structure: Structure, rng: torch.Generator, ridge: float
) -> Iterator[Mixture]:
    for labels in partitions(x, k, rng):
        try:
            resp = torch.nn.functional.one_hot(labels, k).to(x.dtype)  # k-means may leave groups empty
            yield from_responsibilities(x, resp, structure, ridge=ridge)
        except NotPositiveDefinite:
            continue


def sample_of(n: int, size: int, rng: torch.Generator) -> Int[Tensor, "m"]:
    """Indices of all n rows, or of `size` of them drawn without replacement, in order."""
    if n <= size:
        return torch.arange(n)
    if n <= 100 * size:
        return torch.randperm(n, generator=rng, device=rng.device)[:size].sort().values
    drawn = torch.randint(n, (2 * size,), generator=rng, device=rng.device).unique()  # n numbers need not be shuffled
    return drawn[torch.randperm(len(drawn), generator=rng, device=rng.device)[:size]].sort().values
