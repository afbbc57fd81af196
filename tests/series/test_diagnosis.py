"""The report of a model: one page with all that is known, for every kind of model, and nothing asked of the network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cases import blobs

import gmmlab
from gmmlab.errors import BadData

MODELS = {
    "gaussian": gmmlab.GaussianMixture(2, random_state=0),
    "noise": gmmlab.GaussianMixture(2, noise=True, random_state=0),
    "student": gmmlab.StudentMixture(2, random_state=0, max_iter=500),
    "factors": gmmlab.FactorMixture(2, n_factors=1, random_state=0),
}
ROWS = ["Rows and components", "Columns in pairs", "How sure it is of the rows", "Whether the rows fit it"]


@pytest.fixture
def x(rng: torch.Generator) -> Any:
    return blobs(rng, n=150, d=3).numpy()


def headings(text: str) -> list[str]:
    return re.findall(r"<h2[^>]*>(.*?)</h2>", text)


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_has_its_page(name: str, x: Any, tmp_path: Path) -> None:
    path = gmmlab.report(MODELS[name].fit(x), x, tmp_path / "page.html")
    text = path.read_text()
    assert headings(text)[:6] == ["The fit", "Components", *ROWS]
    assert text.count("data:image/png;base64,") >= 4
    assert "<script" not in text
    assert not re.search(r'(src|href)="http', text)


def test_a_selection_brings_its_map_and_a_fit_its_course(x: Any, tmp_path: Path) -> None:
    found = gmmlab.select(x, range(1, 4), covariance_types=["EII", "VVV"])
    text = gmmlab.report(found, x, tmp_path / "page.html", title="Blobs").read_text()
    assert headings(text)[-2:] == ["The course of the fit", "Other models"]
    assert "<h1>Blobs</h1>" in re.sub(r"<h1[^>]*>", "<h1>", text)


def test_a_row_of_weight_two_is_two_rows(x: Any, tmp_path: Path) -> None:
    fitted = gmmlab.GaussianMixture(2, random_state=0).fit(x)
    weight = np.arange(len(x)) % 3
    weighted = gmmlab.report(fitted, x, tmp_path / "one.html", sample_weight=weight).read_text()
    copied = gmmlab.report(fitted, x.repeat(weight, 0), tmp_path / "two.html").read_text()
    said = [re.search(r"BIC.*?<td>(.*?)</td>", text, re.DOTALL) for text in (weighted, copied)]
    assert said[0] is not None and said[1] is not None and said[0][1] == said[1][1]
    assert "rows by weight" in weighted and "rows by weight" not in copied
    with pytest.raises(BadData, match="expected one number for each of the 150 rows"):
        gmmlab.report(fitted, x, tmp_path / "none.html", sample_weight=weight[1:])
    assert not (tmp_path / "none.html").exists()


def test_one_column_gaps_and_a_bare_mixture(x: Any, tmp_path: Path) -> None:
    x[::9, 0] = float("nan")
    fitted = gmmlab.GaussianMixture(2, random_state=0).fit(x)
    assert "with gaps" in gmmlab.report(fitted.mixture_, x, tmp_path / "gaps.html").read_text()
    line = gmmlab.GaussianMixture(2, random_state=0).fit(x[:, 1:2])
    assert "Columns in pairs" not in gmmlab.report(line, x[:, 1:2], tmp_path / "line.html").read_text()


def test_what_cannot_be_reported_says_so_and_leaves_nothing(x: Any, tmp_path: Path) -> None:
    fitted = MODELS["gaussian"].fit(x)
    with pytest.raises(BadData, match="3 columns and the rows have 2"):
        gmmlab.report(fitted, x[:, :2], tmp_path / "page.html")
    with pytest.raises(TypeError, match="expected a fitted estimator"):
        gmmlab.report("wine", x, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []
