"""Common set-up: annotations are enforced, seeds are explicit, dtype and device can be chosen.

pytest --dtype float32 --device cuda
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    import torch

# Tests that run beside each other share the cores; it is read when torch is imported, here and by what tests start.
_BESIDE = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _BESIDE > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _BESIDE)))

_KERNEL_ROOMS = (
    "axes",
    "errors",
    "record",
    "kernels",
    "stats",
    "families",
    "gates",
    "model",
    "stack",
    "steps",
    "algebra",
    "init",
    "fit",
    "score",
    "data",
)
_hook = install_import_hook([f"gmmlab.{room}" for room in _KERNEL_ROOMS], "beartype.beartype")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--dtype", default="float64", choices=["float64", "float32"], help="dtype of the rows")
    parser.addoption("--device", default="cpu", help="device of the rows")


@pytest.fixture(scope="session")
def dtype(pytestconfig: pytest.Config) -> torch.dtype:
    import torch  # not above: tests in a browser do without

    return getattr(torch, pytestconfig.getoption("dtype"))


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> torch.device:
    import torch

    return torch.device(pytestconfig.getoption("device"))


@pytest.fixture
def rng() -> torch.Generator:
    import torch

    return torch.Generator().manual_seed(0)
