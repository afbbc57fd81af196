"""What the tests of widgets share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `from views import session`

from gmmlab.widgets.chart import ChartWidget


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What widgets with charts send is kept."""
    told: list[Any] = []
    monkeypatch.setattr(ChartWidget, "send", lambda _, content, *__: told.append(content))
    return told
