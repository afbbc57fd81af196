"""Laws of the bootstrap test: its p-value is a count, its samples come from the smaller model, it can be stopped."""

from __future__ import annotations

from itertools import islice

import cases
import pytest
import torch

from gmmlab.families import Full
from gmmlab.fit import last, plateau, run, whole
from gmmlab.init import METHODS, start
from gmmlab.score import Bootstrap, bootstrap


def total(x, k):
    """Log-likelihood of a fit of k components."""
    first = start(x, k, Full(), METHODS["kmeans"], torch.Generator().manual_seed(0), ridge=1e-6)
    return float(last(run(first, whole(x), stop=plateau(1e-3))).info.evidence) * len(x)


def test_the_p_value_counts_ties_and_the_data_themselves():
    drawn = torch.tensor([1.0, 5.0, 7.0, float("nan"), -2.0], dtype=torch.float64)
    state = Bootstrap(5.0, drawn)
    assert state.p_value == pytest.approx((1 + 2) / (1 + 4))
    assert (state.failed, state.stuck) == (1, 1)
    assert Bootstrap(5.0, drawn[:0]).p_value == 1


def test_samples_come_from_the_smaller_model_whatever_the_batch(rng):
    small = cases.random_mixture(Full(), cases.blobs(rng), 2, rng)
    seen = {at_once: [] for at_once in (1, 3)}
    for at_once, samples in seen.items():

        def refit(x, samples=samples):
            samples.extend(x)
            return torch.stack([x.sum((1, 2)), 2 * x.sum((1, 2))], 1)

        states = list(bootstrap(small, 0.0, refit, 50, torch.Generator().manual_seed(1), draws=7, at_once=at_once))
        assert [len(state.drawn) for state in states] == [*range(at_once, 7, at_once), 7]
    assert all(torch.equal(a, b) for a, b in zip(seen[1], seen[3], strict=True))
    pooled = torch.cat(seen[1])
    mean = small.weights @ small.components.mean
    spread = pooled.std(0) / len(pooled) ** 0.5
    assert bool(((pooled.mean(0) - mean).abs() < 5 * spread).all())
    torch.testing.assert_close(states[-1].drawn, 2 * torch.stack([x.sum() for x in seen[1]]))


def test_it_can_be_stopped_and_does_no_work_before_it_is_asked(rng):
    small = cases.random_mixture(Full(), cases.blobs(rng), 2, rng)
    calls = []

    def refit(x):
        calls.append(len(x))
        return torch.zeros(len(x), 2, dtype=torch.float64)

    test = bootstrap(small, 1.0, refit, 20, rng)
    assert calls == []
    assert len(list(islice(test, 4))[-1].drawn) == 4 and len(calls) == 4
    with pytest.raises(ValueError, match="draws=0; expected a whole number of at least 1"):
        next(bootstrap(small, 1.0, refit, 20, rng, draws=0))


@pytest.mark.parametrize(("k", "small", "large"), [(2, 0.0, 0.06), (1, 0.1, 1.0)])
def test_two_clouds_need_two_components_and_one_does_not(k, small, large, rng):
    """19 draws: the least p-value is 0.05."""
    x = cases.blobs(rng, n=60, d=2, k=k, spread=6.0)
    null = last(run(start(x, 1, Full(), METHODS["random"], rng), whole(x), stop=plateau(1e-6))).model
    refit = lambda xs: torch.tensor([[total(x, 1), total(x, 2)] for x in xs], dtype=torch.float64)  # noqa: E731
    observed = 2 * (total(x, 2) - total(x, 1))
    end = list(bootstrap(null, observed, refit, len(x), torch.Generator().manual_seed(3), draws=19))[-1]
    assert small <= end.p_value <= large
