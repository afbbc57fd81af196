"""Every law sees every structure on every kind of data."""

from __future__ import annotations

import cases
import pytest
import torch
from torch import Tensor

from gmmlab.families import Structure
from gmmlab.model import Mixture


@pytest.fixture(params=cases.STRUCTURES, ids=str)
def structure(request: pytest.FixtureRequest) -> Structure:
    return cases.STRUCTURES[request.param]


@pytest.fixture(params=cases.DATA, ids=lambda name: name.replace(" ", "-"))
def data(request: pytest.FixtureRequest) -> cases.Data:
    return cases.DATA[request.param]


@pytest.fixture(params=cases.FAMILIES, ids=lambda name: name.replace(" ", "-"))
def family(request: pytest.FixtureRequest) -> str:
    """The name of a family."""
    return request.param


@pytest.fixture(params=cases.GATES)
def gate(request: pytest.FixtureRequest) -> str:
    """The name of a gate."""
    return request.param


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Heavy data meet some structures only."""

    def wanted(item: pytest.Item) -> bool:
        chosen = getattr(item, "callspec", None) and item.callspec.params
        heavy = chosen and chosen.get("data") in cases.HEAVY
        return not heavy or chosen.get("structure", cases.OF_EACH_KIND[0]) in cases.OF_EACH_KIND

    items[:] = [item for item in items if wanted(item)]


@pytest.fixture
def x(data: cases.Data, rng: torch.Generator, dtype: torch.dtype, device: torch.device) -> Tensor:
    return data.make(rng).to(dtype=dtype, device=device)


@pytest.fixture
def mixture(structure: Structure, data: cases.Data, x: Tensor, rng: torch.Generator) -> Mixture:
    return cases.random_mixture(structure, x.cpu(), data.k, rng).map(lambda t: t.to(x.device))


@pytest.fixture
def tol(dtype: torch.dtype) -> float:
    """Relative tolerance: rounding of n rows, in the dtype of the rows."""
    return 1e-10 if dtype == torch.float64 else 2e-3
