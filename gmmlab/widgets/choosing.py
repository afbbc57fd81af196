"""A search of `gmmlab.select` as steps that can be watched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from gmmlab.axes import Float, Tensor
from gmmlab.data import as_rows
from gmmlab.data.rows import default_names
from gmmlab.data.streams import Stream
from gmmlab.estimators.search import Progress
from gmmlab.estimators.select import Selection, selecting
from gmmlab.widgets.fits import Recipe


class Choice(NamedTuple):
    """A step of a search: what has been fitted so far, and how many of the fits that is."""

    model: Selection
    progress: Progress


class Watched(NamedTuple):
    """What a session needs to know of a search."""

    x: Float[Tensor, "n d"]
    names: list[str]
    weight: Float[Tensor, "n"] | None
    start: Selection
    fit: Recipe


def watched(X: Any, *args: Any, **options: Any) -> Watched:
    """A search with the arguments of `select`, which are checked here. It prints nothing."""
    options |= {"verbose": 0}
    start = selecting(X, *args, **options).start
    data = start.asked.data
    if isinstance(X, Stream):
        x = data.sample.x
        names = default_names(x.shape[1])
    else:
        x, names, _ = as_rows(X, missing=True)
    return Watched(
        x, names, data.weight, start, Recipe(lambda: lambda _: choices(selecting(X, *args, **options)), steers=False)
    )


def choices(steps: Iterable[tuple[Selection, Progress]]) -> Iterator[Choice]:
    """Steps whose selections stay as they are when the search goes on, so that any thread may read them.

    A selection is made out of what the search knows when it is first looked at: here, at once. It stays the same value
    until a fit has finished.
    """
    shown: list[Selection] = []
    for found, progress in steps:
        now = _fits(found)  # what it holds from here on
        if not shown or now != _fits(shown[-1]):
            shown = [found]
        yield Choice(shown[-1], progress)


def _fits(selection: Selection) -> list[tuple[int, float, str]]:
    """Which model each cell has and how it did without the folds, or why there is none."""
    return [(id(one.model), one.held, one.refused) for one in selection.fitted]
