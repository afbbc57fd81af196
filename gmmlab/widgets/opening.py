"""The front door: `gmmlab.explore`, which makes a session of rows and a start, and shows it.

explorer = gmmlab.explore(X, n_components=3)     # in a notebook: the Explorer, with other panels beside it
explorer.play()                                  # the same from Python
explorer.result()
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sklearn.base import clone

from gmmlab.data import as_rows, row_weights
from gmmlab.data.presets import preset
from gmmlab.errors import BadData
from gmmlab.estimators import GaussianMixture, StudentMixture
from gmmlab.families import Gaussian
from gmmlab.fit.missing import check_columns
from gmmlab.model import Mixture
from gmmlab.widgets.dials import Dials
from gmmlab.widgets.explorer import Explorer
from gmmlab.widgets.fits import Recipe
from gmmlab.widgets.model_map import ModelMap
from gmmlab.widgets.names import refuse_unknown
from gmmlab.widgets.panel import Panel
from gmmlab.widgets.runs import called
from gmmlab.widgets.session import Session, expectation_maximisation
from gmmlab.widgets.stepper import Fit
from gmmlab.widgets.trace import Trace

BESIDE = ("trace", "dials", "map")
HEIGHTS = {"trace": 190, "map": 330}


def explore(
    X: Any = None,
    *,
    model: GaussianMixture | StudentMixture | Mixture | None = None,
    session: Session | None = None,
    fit: Fit | None = None,
    sample_weight: Any = None,
    dims: Sequence[int | str] | None = None,
    truth: Any = None,
    others: Any = None,
    n_components: int = 3,
    covariance_type: str = "full",
    init_params: str = "kmeans",
    random_state: Any = 0,
    panels: Sequence[str] | None = None,
    name: str | None = None,
    **options: Any,
) -> Explorer:
    """Watch and steer a mixture on the rows of a frame, an array or a tensor.

    The start is made from the last four parameters, or it is `model`: a `Mixture`, a fitted estimator, or an unfitted
    one, whose parameters are used. `fit` is any callable from a model to an iterator of steps, expectation maximisation
    by default; for it, the start and the search rows count `sample_weight` times. `session`, in place of all these, is
    a second view of a fit that is watched already. `dims` says which two columns are shown, by number or by name;
    `truth`, a mixture or a label for each row, is drawn behind the model; `others` are models by name, or a
    `Selection`, that the card of a row asks too.
    `panels` are shown beside it, in this order: "trace", "dials" and "map", whose button starts a search over all
    families; all three unless said, () for none, and of a session the map only if asked for. `name` is
    what `Runs` calls the fit.
    `options` are height (pixels), theme ("auto", "light", "dark"), palette ("okabe", "tol", or a list of colours as
    "#rrggbb"), color_by ("component", "uncertainty"), contours and note, a sentence above the plot. `X` may also be
    the name of a preset, data with a start that goes wrong in an instructive way: "cigars", "collapse", "unequal",
    "moons", "noise", "bad start".
    Entries may be missing (NaN): they are fitted by what is there, and a row that lacks a shown column stands in the
    margin of the plot.
    """
    known = [*Explorer.options(), *list(inspect.signature(explore).parameters)[:-1]]
    refuse_unknown(options, [name for name in known if name not in ("names", "session_id", "strip")], "explore")
    if session is not None:
        if any(given is not None for given in (X, model, fit, sample_weight, name)):
            raise TypeError(
                "A session has its rows, their weights, model, fit and name already: explore(session=session) takes no "
                "others."
            )
        return _with_panels(session, panels or (), options, dims=dims, truth=truth, others=others)
    call = "X"
    if isinstance(X, str):
        made, call = preset(X), repr(X)
        X, truth, name = made.x, made.truth if truth is None else truth, name or f"Explorer of {call}"
        if model is None:
            model, options = made.start, {"note": made.note} | options
    if X is None:
        raise TypeError("There are no rows: expected explore(X), or explore(session=session) for a second view.")
    if not isinstance(model, Mixture | GaussianMixture | StudentMixture | None):
        theirs = type(model).__module__.startswith("sklearn.mixture")
        raise TypeError(
            f"model is a {type(model).__name__}{' of sklearn.mixture' * theirs}; expected a GaussianMixture, a "
            "StudentMixture or a Mixture." + " gmmlab.from_sklearn(model) makes one of it." * theirs
        )
    wanted = {"covariance_type": covariance_type, "init_params": init_params, "random_state": random_state}
    chosen = (n_components, *wanted.values())
    if model is not None and chosen != (3, "full", "kmeans", 0):
        raise TypeError(f"The model says what {', '.join(['n_components', *wanted])} are; give these or the model.")
    start = model if model is not None else GaussianMixture(n_components, tol=1e-6, **wanted)
    session = session_of(X, start, fit=fit, sample_weight=sample_weight, name=name)
    chosen_panels = BESIDE if panels is None else panels
    return _with_panels(session, chosen_panels, options, dims=dims, truth=truth, others=others, call=call)


def session_of(
    X: Any,
    model: GaussianMixture | StudentMixture | Mixture,
    *,
    fit: Fit | None = None,
    sample_weight: Any = None,
    name: str | None = None,
    what: str = "Explorer",
) -> Session:
    """A session that begins at a mixture or a fitted estimator, or where an unfitted one would.

    Without a `name` it is called by `what` looks at the rows.
    """
    rows = as_rows(X, min_rows=2, missing=True)
    check_columns(rows.x)
    weight = row_weights(sample_weight, rows.x)
    if fit is not None and weight is not None:
        raise TypeError("A fit knows how often its rows count: expected fit or sample_weight, not both.")
    begin = model if isinstance(model, Mixture) else _start(model, X, sample_weight)
    if begin.d != rows.x.shape[1]:
        raise BadData(f"The model has {begin.d} features and the rows have {rows.x.shape[1]}; expected the same.")
    if rows.gaps and not isinstance(begin.components, Gaussian):
        raise BadData(
            f"Entries are missing (NaN), and {type(begin.components).__name__} components need complete rows. "
            "Leave rows with gaps out, fill them (GaussianMixture has impute), or explore a GaussianMixture."
        )
    begin = begin.relocated(origin=rows.x.nanmean(0))
    tol = 1e-6 if isinstance(model, Mixture) else model.tol
    fit = fit or expectation_maximisation(rows.x, tol=tol, weight=weight)
    name = name or called(what, rows.x, rows.names)
    return Session(rows.x, begin, fit=fit, names=rows.names, name=name, weight=weight)


def watching(
    X: Any,
    steps: Callable[[], Iterator[Any]],
    *,
    keeps: Callable[[Any], bool] | None = None,
    sample_weight: Any = None,
    name: str | None = None,
) -> Session:
    """A session that shows steps on rows `X`, those of a clusterer say, from the model of the first one.

    They go their own way: they can be paused and stopped, looked back at and begun anew, not steered. The models of
    steps that a sampler `keeps` are the session's `draws`. Panels count rows `sample_weight` times, as the steps do.
    """
    rows = as_rows(X, min_rows=2)
    check_columns(rows.x)
    weight = row_weights(sample_weight, rows.x)
    draws: list[Any] | None = None if keeps is None else []

    def begun(_: Any) -> Iterator[Any]:
        if draws is not None:
            draws.clear()
        for step in steps():
            if draws is not None and keeps is not None and keeps(step):
                draws.append(step.model)
            yield step

    fit = Recipe(lambda: begun, steers=False, draws=draws)
    begin = next(steps()).model
    name = name or called("Explorer", rows.x, rows.names)
    return Session(rows.x, begin, fit=fit, names=rows.names, name=name, weight=weight)


def _with_panels(session: Session, panels: Sequence[str], options: dict[str, Any], **more: Any) -> Explorer:
    """An Explorer with other panels of its session, in the same colours."""
    refuse_unknown(panels, BESIDE, "explore", "panel")
    look: dict[str, Any] = {name: options[name] for name in ("theme", "palette") if name in options}
    explorer = Explorer(session, strip="trace" not in panels, **options, **more)
    explorer.panels = tuple(_panel(name, session, look) for name in panels)
    return explorer


def _panel(name: str, session: Session, look: dict[str, Any]) -> Panel:
    match name:
        case "trace":
            return Trace(session, height=HEIGHTS[name], **look)
        case "dials":
            return Dials(session, **look)
        case _:
            words = called("Search", session.x, session.names)
            search = Session.selecting(session.x, sample_weight=session.weight, name=words)
            return ModelMap(search, target=session, height=HEIGHTS[name], **look)


def _start(estimator: GaussianMixture | StudentMixture, X: Any, sample_weight: Any) -> Mixture:
    """The fitted model, or else the start that the estimator would make."""
    if hasattr(estimator, "means_"):
        return estimator.mixture_
    start_only = clone(estimator).set_params(max_iter=0, n_init=1, warm_start=False, verbose=0)
    return start_only.fit(X, sample_weight=sample_weight).mixture_
