"""The restart landscape: all optima that many starts ended in.

model = gmmlab.GaussianMixture(6, init_params="random", n_init=50).fit(X)
RestartLandscape(model, X)           # a click on an optimum loads it; explore(session=chart.session) shows it
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import traitlets

from gmmlab.axes import Float, Tensor
from gmmlab.data import as_rows
from gmmlab.errors import BadData
from gmmlab.estimators.base import MixtureEstimator
from gmmlab.fit.landscape import SAME_LOGLIK, Landscape, Optimum, landscape
from gmmlab.model import Mixture
from gmmlab.plot import gaps
from gmmlab.plot.chart import Chart, Control, Frame
from gmmlab.plot.optima import Optima, peaks, profile, sheet, small
from gmmlab.score.uncertainty import bhattacharyya, match
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.columns import column_pair
from gmmlab.widgets.messages import integer
from gmmlab.widgets.runs import called
from gmmlab.widgets.session import Session
from gmmlab.widgets.snapshot import Snapshot

FEW = 4  # optima that are drawn small
COLUMNS = ("optimum", "starts", "gap", "smallest", "condition", "Rand")  # the adjusted Rand index with the best
HEIGHT = 420
SMALL = 150  # pixels that the small pictures are high


class RestartLandscape(ChartWidget):
    """The optima among the fits of an estimator with n_init > 1, or among mixtures, on the rows of X.

    A click loads an optimum into `session`, which is made if there is none. Fits are one optimum when their
    log-likelihoods per row differ by at most `same_loglik` (the estimator's tolerance, or 1e-4) and their labels agree.
    """

    heading = "Restart landscape"
    lays_out = True

    hide_degenerate = traitlets.Bool(False, help="Whether collapsed optima are left out.").tag(sync=True)

    def __init__(
        self,
        found: MixtureEstimator | Sequence[Any],
        X: Any,
        *,
        session: Session | None = None,
        dims: Sequence[int | str] = (0, 1),
        same_loglik: float | None = None,
        **traits: Any,
    ) -> None:
        rows = as_rows(X, missing=True)
        self.fits = _mixtures(found)
        _check(self.fits, rows.x)
        tol = found.tol if isinstance(found, MixtureEstimator) else 0.0
        same = max(SAME_LOGLIK, tol) if same_loglik is None else same_loglik
        self.landscape: Landscape = landscape(rows.x, self.fits, same_loglik=float(same))
        self.dims = column_pair(dims, rows.names) if rows.x.shape[1] > 1 else [0]
        self._extents = [gaps.extent(rows.x[:, i]) for i in self.dims]
        best = self.fits[self.landscape.best.fit]
        self._tones = [_tones(self.fits[row.fit], best) for row in self.landscape.table]
        self._loaded = 0 if session is None else None
        if session is None:
            name = called(self.heading, rows.x, rows.names)
            session = Session(rows.x, best, names=rows.names, name=name)
        super().__init__(session, **traits)

    def chart(self, snapshot: Snapshot) -> Chart:  # noqa: ARG002 - where starts end does not depend on the session
        table = self.landscape.table
        sound = [row for row in table if not row.degenerate]  # they come first
        shown = sound if self.hide_degenerate and sound else table
        opened = self._loaded if self._loaded is not None and self._loaded < len(shown) else None
        tall = max(140, (self.height or HEIGHT) - SMALL)
        cells = sheet(
            COLUMNS, [self._cells(i, row) for i, row in enumerate(shown)], list(range(len(shown))), height=tall
        )
        top = (
            peaks(self._optima(shown), opened=opened, words=[_words(row) for row in shown], height=tall)
            if sound
            else None
        )
        pictures = [self._small(i, row) for i, row in enumerate(shown[:FEW])]
        starts = f"{len(self.fits)} starts ended in {len(table)} optima"
        best = f", {table[0].times} of them in the best" if sound else ", all of them degenerate"
        hidden = f", {len(table) - len(shown)} degenerate ones hidden" if len(shown) < len(table) else ""
        return Chart(
            [[*(top.frames() if top else ()), cells], pictures],
            alt=f"{starts}{best}{hidden}.",
            note=f"a click loads an optimum; small pictures: {self._columns_shown()}",
        )

    def controls(self) -> list[Control]:
        if not any(row.degenerate for row in self.landscape.table):
            return []
        title = "Components that hold fewer rows than they need"
        return [Control("hide_degenerate", "Hide degenerate", self.hide_degenerate, kind="switch", title=title)]

    def columns(self) -> Float[Tensor, "n m"] | None:
        return self.session.x[:, self.dims] if len(self.dims) == 2 else None

    def load(self, optimum: int) -> None:
        """Puts an optimum, counted from 0 as in `landscape.table`, into the session."""
        self._loaded = integer(optimum, "optimum", 0, len(self.landscape.table))
        self.session.set_model(self.fits[self.landscape.table[optimum].fit], f"Optimum {optimum + 1} was opened.")
        self._redraw()

    def picked(self, frame: int, pick: int, action: str) -> None:  # noqa: ARG002 - all that is shown are optima
        self.load(pick)

    def _optima(self, shown: Sequence[Optimum]) -> Optima:
        n = len(self.session.x)
        columns = zip(*((row.loglik * n, row.times, 1 - row.agreement, row.degenerate) for row in shown), strict=True)
        return Optima(*(np.array(column) for column in columns))

    def _cells(self, i: int, row: Optimum) -> list[str]:
        name = f"{i + 1}{' ×' if row.degenerate else ''}{' ●' if i == self._loaded else ''}"
        gap = f"{row.gap * len(self.session.x):.2f}"
        return [name, str(row.times), gap, f"{row.smallest:.1f}", f"{row.condition:.2g}", f"{row.agreement:.2f}"]

    def _small(self, i: int, row: Optimum) -> Frame:
        title = f"{i + 1}{' ●' if i == self._loaded else ''} · {_starts(row.times)}"
        model = self.fits[row.fit]
        if len(self.dims) == 1:
            return profile(model, self.session.x, self._extents[0], title=title, pick=i, height=SMALL)
        ranges = _wide(self._extents[0]), _wide(self._extents[1])
        return small(
            model, (self.dims[0], self.dims[1]), ranges, title=title, pick=i, tones=self._tones[i], height=SMALL
        )

    def _columns_shown(self) -> str:
        return " and ".join(self.session.names[i] for i in self.dims)


def _mixtures(found: Any) -> list[Mixture]:
    """The mixtures of an estimator's starts, or those of a list of mixtures and fitted estimators."""
    if isinstance(found, MixtureEstimator):
        return [fit.model for fit in found.restarts_]
    models = [getattr(one, "mixture_", one) for one in found]
    wrong = next((one for one in models if not isinstance(one, Mixture)), None)
    if wrong is not None or not models:
        seen = "nothing" if wrong is None else f"a {type(wrong).__name__}"
        raise TypeError(f"There is {seen} among the fits; expected an estimator after fit, or mixtures in a list.")
    return models


def _check(models: Sequence[Mixture], x: Tensor) -> None:
    odd = next((model for model in models if model.d != x.shape[1]), None)
    if odd is not None:
        raise BadData(f"A model has {odd.d} features and the rows have {x.shape[1]}; expected the same.")


def _tones(model: Mixture, best: Mixture) -> list[int]:
    """Colours of components: those of the components of the best that they are nearest to, one to one."""
    if model.k != best.k:
        return list(range(model.k))
    order = match(bhattacharyya(best.located, model.located))
    return torch.argsort(order).tolist()


def _words(row: Optimum) -> str:
    kind = "degenerate: its likelihood means nothing" if row.degenerate else f"{row.gap:.4g} per row below the best"
    rest = f"least component {row.smallest:.1f} rows, condition {row.condition:.2g}"
    return f"{_starts(row.times)}: {kind if row.gap or row.degenerate else 'the best'}\n{rest}"


def _starts(times: int) -> str:
    return "1 start" if times == 1 else f"{times} starts"


def _wide(extent: tuple[float, float]) -> tuple[float, float]:
    low, high = extent
    return low - 0.06 * (high - low), high + 0.06 * (high - low)
