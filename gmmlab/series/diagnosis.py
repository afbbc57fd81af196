"""A fitted mixture and its rows on one page: every diagnostic as a picture, in a file that needs nothing else.

gmmlab.report(model, X, "wine.html")
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from gmmlab import algebra, plot
from gmmlab.data import as_rows, row_weights
from gmmlab.errors import BadData
from gmmlab.estimators import parameters
from gmmlab.families import FactorAnalyzers, Gaussian, Student
from gmmlab.model import Mixture
from gmmlab.plot.ellipses import noise
from gmmlab.series.report import rendered, whole

KINDS = {Gaussian: "Gaussian mixture", Student: "Student-t mixture", FactorAnalyzers: "Mixture of factor analysers"}
MOST_COLUMNS = 8  # of the table of means


class Section(NamedTuple):
    """A heading, words, and perhaps a picture."""

    title: str
    words: str
    picture: Any = None

    def cells(self) -> list[Any]:
        """As cells of a notebook."""
        text = new_markdown_cell(f"## {self.title}\n\n{self.words}")
        return [text] if self.picture is None else [text, new_code_cell(outputs=[_shown(self.picture)])]


def report(
    model: Any,
    X: Any,
    path: str | Path = "report.html",
    *,
    sample_weight: Any = None,
    title: str = "",
    theme: str = "light",
) -> Path:
    """Write all diagnostics of a fitted mixture on these rows as one HTML file, and return its path.

    `model` is a fitted estimator, a `Mixture`, or what `gmmlab.select` returns, whose best model is reported with the
    map of all. The page has no scripts and asks for nothing, so it can be sent and kept. Each section says what its
    picture shows. Rows count `sample_weight` times, as in the fit. Raises `BadData` for rows of other columns, and says
    so before anything is drawn.
    """
    rows = as_rows(X, missing=True)
    fitted = getattr(model, "best_", model)
    mixture = getattr(fitted, "mixture_", fitted)
    if not isinstance(mixture, Mixture):
        raise TypeError(f"model is a {type(model).__name__}; expected a fitted estimator, a Mixture or a Selection.")
    if mixture.d != rows.x.shape[1]:
        raise BadData(f"The model has {mixture.d} columns and the rows have {rows.x.shape[1]}; expected the same.")
    weight = row_weights(sample_weight, rows.x)
    sections = [
        Section("The fit", _summary(fitted, mixture, rows.x, weight)),
        Section("Components", _components(mixture, rows.names)),
        *_of_rows(mixture, X, weight, theme),
        *_of_fit(model, fitted, theme),
    ]
    named = title or f"{KINDS[type(mixture.components)]} with {mixture.k} component{'' if mixture.k == 1 else 's'}"
    cells = [new_markdown_cell(f"# {named}"), *(cell for section in sections for cell in section.cells())]
    page = rendered(new_notebook(cells=cells, metadata={"gmmlab": {"title": named}}), Path(path).parent)
    return whole(page, Path(path))


def _of_rows(mixture: Mixture, X: Any, weight: torch.Tensor | None, theme: str) -> Iterator[Section]:
    """What the rows say of the mixture."""
    counted = {"sample_weight": weight, "theme": theme}
    if mixture.d > 1:
        yield Section("Rows and components", _ROWS, plot.scatter(X, mixture, theme=theme))
        yield Section("Columns in pairs", _PAIRS, plot.pairs(X, mixture, **counted))
    yield Section("How sure it is of the rows", _UNSURE, plot.responsibilities(X, mixture, **counted))
    yield Section("Whether the rows fit it", _CHECK, plot.fit_check(X, mixture, **counted))


def _of_fit(model: Any, fitted: Any, theme: str) -> Iterator[Section]:
    """What is known of how the model was found."""
    bounds = list(enumerate(map(float, getattr(fitted, "lower_bounds_", ()))))
    if len(bounds) > 1:
        yield Section("The course of the fit", _COURSE, plot.trace(bounds, theme=theme))
    if hasattr(model, "best_"):
        yield Section("Other models", _OTHERS, model.plot(theme=theme))


_ROWS = "The first two columns; ellipses at one and two standard deviations."
_PAIRS = "Ellipses at two standard deviations, and on the diagonal each column with the densities of the components."
_COURSE = "The mean log-likelihood per row in every step."
_OTHERS = "Every family with every number of components, by its distance from the best."
_UNSURE = (
    "Above, rows as stacked bars of their responsibilities, by component and by how sure it is of them. Below on the "
    "left, how many rows are how undecided; on the right, for the rows labelled as one component (rows of the "
    "table), the share that is expected to belong to each (columns)."
)
_CHECK = (
    "Squared distances from the components against those expected; a column put through its distribution, which should "
    "be level; its density beside the histogram; and the rows that fit worst, with the share of the model's own draws "
    "that are as rare."
)


def _summary(fitted: Any, mixture: Mixture, x: torch.Tensor, weight: torch.Tensor | None) -> str:
    score, n = parameters.total(algebra.log_prob(mixture, x), weight)
    gaps = int(torch.isnan(x).any(1).sum())
    facts = [
        ("rows", f"{len(x):,}" + (f", {gaps:,} with gaps" if gaps else "")),
        *([] if weight is None else [("rows by weight", f"{n:,.6g}")]),
        ("columns", str(x.shape[1])),
        ("covariances", parameters.covariance_type(mixture.located.structure)),
        ("free parameters", str(mixture.n_parameters)),
        ("mean log-likelihood per row", f"{score / n:.6g}"),
        ("BIC (lower is better)", f"{mixture.n_parameters * math.log(n) - 2 * score:,.1f}"),
    ]
    if hasattr(fitted, "n_iter_"):
        state = "converged" if fitted.converged_ else "**did not converge**"
        facts.append(("steps", f"{fitted.n_iter_}, {state}"))
    if (share := noise(mixture)) is not None:
        facts.append(("noise", f"{100 * share:.2g} %"))
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts)])


def _components(mixture: Mixture, names: list[str]) -> str:
    shown = names[:MOST_COLUMNS]
    tails = isinstance(mixture.components, Student)
    head = ["component", "weight", *(["degrees of freedom"] if tails else []), *(f"mean of {name}" for name in shown)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for k, (weight, mean) in enumerate(zip(mixture.weights.tolist(), mixture.located.mean.tolist(), strict=True)):
        dof = [f"{float(mixture.components.dof[k]):.3g}"] if isinstance(mixture.components, Student) else []
        parts = [str(k + 1), f"{weight:.3f}", *dof, *(f"{value:.4g}" for value in mean[: len(shown)])]
        lines.append("| " + " | ".join(parts) + " |")
    more = len(names) - len(shown)
    return "\n".join(lines) + (f"\n\nand {more} more columns." if more else "")


def _shown(picture: Any) -> Any:
    png, words = picture._repr_png_()
    data = {"image/png": base64.b64encode(png).decode(), "text/plain": words["alt"]}
    return new_output("display_data", data=data, metadata={"image/png": words})
