"""Laws of threads: few rows are fitted with one, by the same bits whatever there is, and the others come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cases
import numpy as np
import pytest
import torch

import gmmlab
from gmmlab.experts import SoftmaxMoE
from gmmlab.kernels import threads
from gmmlab.sequences import HMM

STEPS = {"max_iter": 3, "tol": 0.0, "random_state": 0}
FITS: dict[str, Callable[[Any], Any]] = {
    "mixture": lambda x: gmmlab.GaussianMixture(3, init_params="random_from_data", **STEPS).fit(x).means_,
    "student": lambda x: gmmlab.StudentMixture(3, **STEPS).fit(x).means_,
    "bayesian": lambda x: gmmlab.BayesianGaussianMixture(3, **STEPS).fit(x).means_,
    "experts": lambda x: SoftmaxMoE(2, **STEPS).fit(x[:, :2], x[:, 2]).lower_bound_,
    "sequences": lambda x: HMM(2, **STEPS).fit(x).means_,
}


@pytest.fixture
def two() -> Iterator[None]:
    """Two threads, however many the tests have."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", FITS)
def test_few_rows_are_fitted_with_one_thread(name, rng, monkeypatch, two):
    seen, where = [], torch.where

    def spied(*args: Any) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return where(*args)

    monkeypatch.setattr(torch, "where", spied)
    x = cases.blobs(rng, n=9000, d=3).numpy()
    found = FITS[name](x)
    assert 1 in seen and torch.get_num_threads() == 2
    monkeypatch.setattr(threads, "FEW", 0)
    torch.set_num_threads(1)
    assert np.array_equal(found, FITS[name](x))


def test_many_rows_have_all_threads_and_they_come_back(two):
    with threads.worth(threads.FEW + 1):
        assert torch.get_num_threads() == 2
    with threads.worth(threads.FEW):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with pytest.raises(KeyError), threads.worth(threads.FEW):
        raise KeyError
    assert torch.get_num_threads() == 2
