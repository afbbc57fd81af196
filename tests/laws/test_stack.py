"""A stack of models is its models: fitted together they end where each ends alone."""

from __future__ import annotations

import itertools

import cases
import pytest
import torch
from torch import Tensor

from gmmlab.fit import last, plateau, run, whole
from gmmlab.fit.together import climb
from gmmlab.gates import Constant
from gmmlab.init import METHODS, from_labels, start
from gmmlab.kernels.groups import Groups
from gmmlab.model import Mixture
from gmmlab.stack import stack, unstack
from gmmlab.steps import e_step


@pytest.fixture
def rows(rng: torch.Generator) -> Tensor:
    return cases.blobs(rng, n=240, d=2, spread=3.0)


@pytest.fixture
def models(rows: Tensor, rng: torch.Generator) -> list[Mixture]:
    """Every structure with one to four components."""
    grid = itertools.product(cases.STRUCTURES.values(), (1, 4, 2, 3))
    return [start(rows, k, s, METHODS["kmeans"], rng, ridge=1e-6) for s, k in grid]


def test_groups_sum_and_spread(rng):
    values = torch.randn(6, 2, generator=rng)
    for sizes in ((6,), (3, 3), (1, 2, 3)):
        groups = Groups(sizes)
        parts = values.split(list(sizes))
        torch.testing.assert_close(groups.sum(values), torch.stack([part.sum(0) for part in parts]))
        spread = groups.spread(groups.sum(values))
        torch.testing.assert_close(spread, torch.cat([part.sum(0).expand_as(part) for part in parts]))
        assert groups.k == 6 and groups.g == len(sizes)


def test_one_pass_over_the_rows_serves_all(models, rows):
    together = e_step(stack(models), rows)
    at = 0
    for j, model in enumerate(models):
        alone = e_step(model, rows)
        torch.testing.assert_close(together.evidence[j], alone.evidence, rtol=1e-10, atol=1e-8)
        torch.testing.assert_close(together.gate.w[at : at + model.k], alone.gate.w, rtol=1e-8, atol=1e-8)
        at += model.k


def test_unstacking_gives_the_models_back(models, rows):
    again = unstack(stack(models))
    for one, other in zip(models, again, strict=True):
        torch.testing.assert_close(one.log_prob(rows), other.log_prob(rows), rtol=1e-12, atol=1e-12)
        assert one.n_parameters == other.n_parameters


def test_fitted_together_as_alone(models, rows):
    finished = sorted(itertools.chain.from_iterable(climb(stack(models), lambda _: whole(rows), tol=1e-7)))
    assert [one.j for one in finished] == list(range(len(models)))
    for one, model in zip(finished, models, strict=True):
        alone = last(run(model, whole(rows), stop=plateau(1e-7)))
        assert one.converged and not one.singular
        assert one.n_iter == alone.i and one.trace[-1] == pytest.approx(alone.info.evidence, rel=1e-10)
        torch.testing.assert_close(one.model.gaussian.mean, alone.model.gaussian.mean, rtol=1e-6, atol=1e-6)


def test_leaps_end_where_em_ends_and_sooner(models, rows):
    tol = 1e-8
    plain = sorted(itertools.chain.from_iterable(climb(stack(models), lambda _: whole(rows), tol=tol)))
    leapt = sorted(
        itertools.chain.from_iterable(climb(stack(models), lambda _: whole(rows), tol=tol, accelerated=True))
    )
    for one, other in zip(plain, leapt, strict=True):
        assert other.converged and len(other.trace) == other.n_iter
        assert other.trace[-1] > one.trace[-1] - 10 * tol
        assert all(after >= before - 1e-12 for before, after in itertools.pairwise(other.trace))
        score = float(other.model.assign(rows)[1])
        assert score >= other.trace[-1] - 1e-9  # the model that is handed over is no leap
    assert sum(one.n_iter for one in leapt) < 0.8 * sum(one.n_iter for one in plain)


@pytest.mark.parametrize("steps", [5, 6, 7, 8])
def test_the_last_of_so_many_steps_is_no_leap(models, rows, steps):
    finished = itertools.chain.from_iterable(
        climb(stack(models[-8:]), lambda _: whole(rows), tol=0.0, max_iter=steps, accelerated=True)
    )
    for one in finished:
        assert one.n_iter == steps and not one.converged
        assert float(one.model.assign(rows)[1]) >= one.trace[-1] - 1e-9


def test_each_model_has_weights_of_its_own(rng):
    """A bootstrap, or a fold left out, is another weight for the same row."""
    rows = cases.blobs(rng, n=240, d=2, spread=0.5)
    model = start(rows, 2, cases.STRUCTURES["VVV"], METHODS["kmeans"], rng, ridge=1e-6)
    weight = torch.randint(0, 3, (len(rows), 3), generator=rng).to(rows)
    source = lambda active: whole(rows, weight[:, active])  # noqa: E731 - a source in one line
    together = sorted(itertools.chain.from_iterable(climb(stack([model] * 3), source, tol=1e-9)))
    assert len({one.n_iter for one in together}) > 1
    for j in range(3):
        alone = last(run(model, whole(rows, weight[:, j]), stop=plateau(1e-9)))
        torch.testing.assert_close(together[j].model.gaussian.mean, alone.model.gaussian.mean)


def test_a_singular_model_is_set_aside_and_the_others_go_on(rows):
    labels = torch.zeros(len(rows), dtype=torch.long)
    labels[0] = 1  # one row alone has no covariance matrix
    bad = from_labels(rows, labels, cases.STRUCTURES["VVV"], ridge=1e-300)
    good = from_labels(rows, (rows[:, 0] > 0).long(), cases.STRUCTURES["VVV"], ridge=1e-300)
    finished = sorted(
        itertools.chain.from_iterable(climb(stack([bad, good]), lambda _: whole(rows), tol=1e-8, floor=1e-8))
    )
    assert finished[0].singular and not finished[0].converged
    assert finished[1].converged and not finished[1].singular
    alone = last(run(good, whole(rows), stop=plateau(1e-8)))
    assert float(finished[1].model.assign(rows)[1]) == pytest.approx(float(alone.model.assign(rows)[1]), abs=1e-6)


def test_a_stack_is_no_distribution(models):
    with pytest.raises(TypeError, match="take one of them first"):
        stack(models).sample(3, torch.Generator())
    assert isinstance(unstack(stack(models))[0].gate, Constant)
