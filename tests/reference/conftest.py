"""The structures of the inventory, for references that have one for each."""

from __future__ import annotations

import cases
import pytest

from gmmlab.families import Structure


@pytest.fixture(params=cases.STRUCTURES, ids=str)
def structure(request: pytest.FixtureRequest) -> Structure:
    return cases.STRUCTURES[request.param]
