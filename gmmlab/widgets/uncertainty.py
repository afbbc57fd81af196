"""Uncertainty: mixtures that the rows do not tell apart from the model of a session: drawn at once, refits, sampled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, Self

import torch
import traitlets

from gmmlab.axes import Float, Tensor
from gmmlab.data import as_rows
from gmmlab.fit import last, run, whole
from gmmlab.fit.missing import observed
from gmmlab.model import Mixture
from gmmlab.plot.bundles import (
    CREDIBLE,
    DRAWN,
    FEW,
    SHOWN,
    Bundle,
    Words,
    believed,
    by_information,
    by_posterior,
    collected,
    evenly,
    inhabited,
    thinned,
)
from gmmlab.plot.chart import Chart, Control
from gmmlab.plot.fan import fan
from gmmlab.plot.versus import plane
from gmmlab.score.bundle import labelled
from gmmlab.score.uncertainty import refits, weightings
from gmmlab.widgets.messages import Invalid
from gmmlab.widgets.once import Later
from gmmlab.widgets.opening import session_of
from gmmlab.widgets.plane import Plane
from gmmlab.widgets.snapshot import Snapshot
from gmmlab.widgets.worker import Worker, leave_a_core

REFITS = 100
PRESS = "Press “run the bootstrap” for draws, stability and intervals all the same."
NO_POSTERIOR = (
    "There are no draws from a posterior. A session of a sampler has some, and so has Uncertainty.of(X, model) for a "
    "fitted SampledGaussianMixture or BayesianGaussianMixture."
)
MOST_STEPS = 200  # of a refit, which begins at the fitted mixture


class Told(NamedTuple):
    """A bundle, or why there is none."""

    bundle: Bundle | None
    why: str = ""


class Uncertainty(Plane):
    """A bundle of what the model of a session could have been, how stable its components are, and intervals.

    By the observed information at once; or by `bootstrap()`, refits to rows drawn again that come one by one and can be
    ended by `halt()`; or by draws from a posterior: `posterior`, or those of the session's sampler as it runs. A click
    on the middle of a component of a draw tells about that draw; `open_draw()` then makes it the model of the session.
    """

    heading = "Uncertainty"

    source = traitlets.Enum(
        ["information", "bootstrap", "posterior"], "information", help="Where draws come from."
    ).tag(sync=True)
    draws = traitlets.Int(SHOWN, min=0, max=DRAWN, help="Draws that are shown.").tag(sync=True)
    level = traitlets.Float(0.95, min=0.5, max=0.99, help="What an interval holds of the draws.").tag(sync=True)
    chosen = traitlets.Int(None, allow_none=True, help="The draw that is told about, from 0.").tag(sync=True)

    def __init__(
        self,
        session: Any,
        *,
        posterior: Sequence[Mixture] | None = None,
        dims: Sequence[int | str] | None = None,
        seed: int = 0,
        **traits: Any,
    ) -> None:
        self._seed = seed
        self._task: _Refits | None = None
        x, weight = session.x, session.weight
        self._posterior = _draws_of(session, posterior)
        if self._posterior is not None:
            traits = {"source": "posterior"} | traits
        self._drawn = Later(lambda model: _drawn(model, x, weight, seed), self._redraw)
        self._worker = Worker(self._turn, name="gmmlab-bootstrap")
        super().__init__(session, dims=dims, **traits)

    @classmethod
    def of(cls, X: Any, model: Any, *, name: str | None = None, **options: Any) -> Self:
        """The panel of rows and a model: a fitted estimator or a mixture, or an estimator that says how to begin.

        A fitted Bayesian estimator (`SampledGaussianMixture`, `BayesianGaussianMixture`) has draws from its posterior.
        """
        own = believed(model, options.get("seed", 0))
        if own is None:
            return super().of(X, model, name=name, **options)
        mixture = inhabited(own[0], as_rows(X).x)
        session = session_of(X, mixture, name=name, what=cls.heading)
        return cls(session, **{"posterior": own[1]} | options)

    def bootstrap(self, draws: int = REFITS) -> None:
        """Begins to refit the model shown to rows drawn again; returns at once."""
        self._task = _Refits(self.model, self.session.x, self.session.weight, draws, self._seed)
        self.chosen, self.source = None, "bootstrap"
        self._worker.ring()
        self._redraw()

    def halt(self) -> None:
        """Ends the refits; those that are there stay."""
        if self._task is not None:
            self._task.running = False
        self._redraw()

    def wait(self, timeout: float | None = None) -> Snapshot:
        """Until the session has settled and the refits have come to their end."""
        deadline = None if timeout is None else time.monotonic() + timeout
        snapshot = super().wait(timeout)
        while self._task is not None and self._task.running:
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"The bootstrap still runs after {timeout} s.")
            time.sleep(0.02)
        return snapshot

    def open_draw(self) -> None:
        """Makes the chosen draw the model of the session; `back` returns to the one before."""
        bundle = self._bundle(self.session.snapshot).bundle
        if self.chosen is None or bundle is None or self.chosen >= len(bundle.models):
            raise Invalid("No draw is chosen; click on the middle of one first.")
        draw, self.chosen = self.chosen, None
        self.session.set_model(bundle.models[draw], f"Draw {draw + 1} was opened.")

    def chart(self, snapshot: Snapshot) -> Chart:
        return self._fan(snapshot, self._bundle(snapshot))

    def at_once(self, snapshot: Snapshot) -> Chart:
        """Draws take a second of many rows: the model is there before them."""
        resting = snapshot.play != "playing" and self.source == "information"
        if resting and self._drawn.at_once(snapshot.model) is None:
            return self._fan(snapshot, Told(None, "Draws are being made."))
        return self.chart(snapshot)

    def _fan(self, snapshot: Snapshot, told: Told) -> Chart:
        bundle, why = told
        shown = plane(self.session.x, self.dims, self.session.names)
        return fan(snapshot.model, bundle, shown, draws=self.draws, level=self.level, chosen=self.chosen, note=why)

    def controls(self) -> list[Control]:
        sources = [("information", "information"), ("bootstrap", "bootstrap")]
        if self._posterior is not None:
            sources.append(("posterior", "posterior draws"))
        running = self._task is not None and self._task.running
        shown = [
            *super().controls(),
            Control("source", "by", self.source, options=tuple(sources)),
            Control("draws", "shown", self.draws, low=0, high=DRAWN, step=1, kind="number"),
            Control("level", "level", self.level, low=0.5, high=0.99, step=0.01, kind="number"),
            Control("halt", "stop", None, kind="button", title="End the refits")
            if running
            else Control("bootstrap", "run the bootstrap", None, kind="button",
                         title=f"Refit the model to rows drawn again, {REFITS} times"),
        ]  # fmt: skip
        if self.chosen is not None and self.session.steers:
            title = "Make this draw the model of the session"
            shown.append(Control("open", f"open draw {self.chosen + 1}", None, kind="button", title=title))
        return shown

    def pressed(self, name: str) -> None:
        act = {"bootstrap": self.bootstrap, "halt": self.halt, "open": self.open_draw}.get(name)
        if act is None:
            return super().pressed(name)
        return act()

    def picked(self, frame: int, pick: int, action: str) -> None:
        """A draw: it is told about; once more, and it is not."""
        if frame != 0:
            return super().picked(frame, pick, action)
        bundle = self._bundle(self.session.snapshot).bundle
        if bundle is None or pick >= len(bundle.models):
            raise Invalid(f"There is no draw {pick + 1} any more.")
        self.chosen = None if self.chosen == pick else pick
        return None

    def close(self) -> None:
        if hasattr(self, "_worker"):
            self._worker.close()
            self._drawn.close()
        super().close()

    def _bundle(self, snapshot: Snapshot) -> Told:
        if self.source == "posterior":
            return Told(None, NO_POSTERIOR) if self._posterior is None else self._posterior.told(snapshot.model)
        if snapshot.play == "playing":
            return Told(None, "Draws are made when the fit rests.")
        if self.source == "information":
            return self._drawn(snapshot.model)
        task = self._task
        if task is None:
            return Told(None, "Run the bootstrap to refit the model to rows drawn again.")
        if task.model is not snapshot.model:
            return Told(None, "The bootstrap was of a model that is no longer shown; run it again.")
        return task.told

    def _turn(self) -> float | None:
        """One refit."""
        leave_a_core()
        task = self._task
        if task is None or not task.running:
            return None
        if self.session.snapshot.model is not task.model:
            task.running = False
        else:
            task.advance()
        self._redraw()
        return 0.0

    @traitlets.observe("chosen")
    def _show_chosen(self, _: Any) -> None:
        self._redraw()

    @traitlets.observe("source")
    def _forget_chosen(self, _: Any) -> None:
        self.chosen = None


class _Draws:
    """Draws from a posterior, as many as there are when asked, each with its labels of some rows."""

    def __init__(self, ask: Callable[[], Sequence[Mixture]], x: Float[Tensor, "n d"], words: Words) -> None:
        self._ask, self._few, self._words = ask, thinned(x, FEW), words
        self._lock = threading.Lock()
        self._labelled: dict[int, tuple[Mixture, Tensor]] = {}

    def told(self, model: Mixture) -> Told:
        draws = self._ask()
        if not draws:
            return Told(None, "There are no draws yet; the first sweeps of a sampler are not kept.")
        with self._lock:
            self._labelled = {i: self._known(i, draws[i]) for i in evenly(draws, DRAWN)}
            return Told(by_posterior(model, self._few, list(self._labelled.values()), self._words))

    def _known(self, i: int, draw: Mixture) -> tuple[Mixture, Tensor]:
        """A draw and its labels, which are found once."""
        known = self._labelled.get(i)
        return known if known is not None and known[0] is draw else (draw, labelled(self._few, [draw])[0])


def _draws_of(session: Any, posterior: Sequence[Mixture] | None) -> _Draws | None:
    """Those that are given, or those that the session's sampler makes; None where there is neither."""
    if posterior is not None:
        given = list(posterior)
        return _Draws(lambda: given, session.x, CREDIBLE)
    if session.draws is None:
        return None
    return _Draws(lambda: session.draws, session.x, CREDIBLE._replace(one="shown", value="shown"))


class _Refits:
    """The bootstrap of a model, a refit at a time."""

    def __init__(
        self, model: Mixture, x: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None, draws: int, seed: int
    ) -> None:
        self.model, self.draws, self.running = model, draws, True
        self.told = Told(None, f"The first of {draws} refits is being made.")
        rng = torch.Generator().manual_seed(seed)
        times = (each if weight is None else each * weight for each in weightings(len(x), rng, draws))
        self._bundles: Iterator[Bundle] = collected(model, x, refits(model, partial(refitted, x), times))

    def advance(self) -> None:
        try:
            bundle = next(self._bundles, None)
        except Exception as err:  # noqa: BLE001 - whatever a refit raises is told, or the thread would end unheard
            bundle, self.running, self.told = None, False, Told(self.told.bundle, f"The bootstrap failed: {err}")
            return
        if bundle is None:
            self.running, self.told = False, Told(self.told.bundle)
        else:
            done = len(bundle.models) + bundle.stability.failed
            self.told = Told(bundle, f"{done} of {self.draws} refits." if done < self.draws else "")


def refitted(x: Float[Tensor, "n d"], weight: Float[Tensor, "n"], model: Mixture) -> Mixture:
    """A mixture fitted on to weighted rows, whose entries may be missing."""
    source = observed(x, weight) if bool(torch.isnan(x).any()) else whole(x, weight)
    return last(islice(run(model, source), MOST_STEPS)).model


def _drawn(model: Mixture, x: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None, seed: int) -> Told:
    """By the observed information, where that is known."""
    try:
        return Told(by_information(model, x, torch.Generator().manual_seed(seed), DRAWN, weight=weight))
    except (TypeError, ValueError) as err:
        return Told(None, f"{err} {PRESS}")
