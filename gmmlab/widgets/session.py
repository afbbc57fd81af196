"""A fit that a person watches and steers: one worker thread, commands in, immutable snapshots out.

    session = Session(x, model).play()      # returns at once
    session.move(0, [3.0, 70.0])            # between two steps; the fit goes on from the edited model
    session.set(tol=1e-8)                   # the same fit with another setting
    session.result()                        # waits, and gives the model

    Session.selecting(X, range(1, 10)).play()   # the map of all models, as it fills

Here are the commands; `driver` carries them out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Self

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.fit import Lineage, moves
from gmmlab.widgets import runs
from gmmlab.widgets.arguments import mask_of, place
from gmmlab.widgets.doors import Doors
from gmmlab.widgets.driver import HALTS, Driver
from gmmlab.widgets.fits import Recipe, expectation_maximisation
from gmmlab.widgets.history import MOST_BYTES
from gmmlab.widgets.pins import Origin, Pin
from gmmlab.widgets.steering import reseeded
from gmmlab.widgets.stepper import stepper
from gmmlab.widgets.values import assigned

__all__ = ["Session", "expectation_maximisation"]


class Session(Doors, Driver):
    """A fit of `model` to the rows `x`, run step by step in a worker thread.

    `fit` is any callable from a model to an iterator of steps (see `fits`); expectation maximisation by default. The
    last `history` states can be gone back to (fewer of models so large that they would take more than 256 MB). Quick
    repeats of one edit (a drag) count as one state. `names` are those of the columns, `name` that of the session: of
    its rows unless said, and with a number behind it where another session has that name. Rows count `weight` times,
    for the default fit and for what panels say of all of them.
    """

    def __init__(
        self,
        x: Any,
        model: Any,
        *,
        fit: Any = None,
        names: list[str] | None = None,
        name: str | None = None,
        history: int = 500,
        weight: Float[Tensor, "n"] | None = None,
    ) -> None:
        self.x, self.weight = x, weight
        self.names = names or [f"x{i}" for i in range(x.shape[1])]
        recipe = Recipe.of(expectation_maximisation(x, weight=weight) if fit is None else fit)
        super().__init__(stepper(recipe, model, history=history, most_bytes=MOST_BYTES), len(x))
        self.key = f"{id(self):x}"
        self._drawn = 0  # seeds of `reseed` that have been used
        self.name = runs.register(self, name or runs.called("Fit", x, self.names))

    @classmethod
    def selecting(cls, X: Any, *args: Any, name: str | None = None, **options: Any) -> Self:
        """A search for the number of components and the covariance type, with the arguments of `gmmlab.select`.

        The model of its snapshots is a `Selection` of what has been fitted so far, from the start on. The search goes
        its own way: it can be paused and stopped, not steered. Bad arguments raise here, before anything is fitted.
        """
        from gmmlab.widgets.choosing import watched

        search = watched(X, *args, **options)
        name = name or runs.called("Search", search.x, search.names)
        return cls(search.x, search.start, fit=search.fit, names=search.names, name=name, weight=search.weight)

    def __repr__(self) -> str:
        return f"Session(step={self.snapshot.step}, {self.snapshot.play}, n={len(self.x)})"

    @property
    def brushed(self) -> Int[Tensor, "m"]:
        """Numbers of the rows that are marked."""
        mask = self.snapshot.brushed
        return torch.zeros(0, dtype=torch.long) if mask is None else mask.nonzero().flatten()

    @property
    def start(self) -> Any:
        """The model that all began with."""
        return self._stepper.history.start.model

    @property
    def latest(self) -> Any:
        """The latest step that the fit has given, whatever is shown; None before the first."""
        return self._stepper.last

    @property
    def steers(self) -> bool:
        """Whether the fit goes on from any model; a search and a bare iterator go their own way."""
        return self._stepper.fit.steers

    @property
    def draws(self) -> list[Any] | None:
        """The models that a sampler has drawn from a posterior so far; None of a fit that is none."""
        draws = self._stepper.fit.draws
        return None if draws is None else list(draws)

    @property
    def n_bytes(self) -> int:
        """About how much memory the session holds: the rows and the models of its history."""
        return int(self.x.nbytes) + self._stepper.history.bytes

    # commands: each returns at once

    def play(self) -> Self:
        """Starts the fit, or goes on with it; one that has converged stays as it is."""
        return self._enqueue("play", self._stepper.play)

    def pause(self) -> Self:
        """Until the next `play`."""
        return self._enqueue("pause", lambda: "")

    def follow(self) -> Self:
        """Goes on with a fit whose steps come from elsewhere, unless somebody has paused or stopped it."""
        if self.snapshot.goes_on or self.snapshot.play == "idle":
            self._enqueue("play", self._stepper.play, tag="follow")
        return self

    def step(self) -> Self:
        """E and M, and the new model's own labels."""
        return self._enqueue("step", self._stepper.step)

    def estep(self) -> Self:
        """Labels and evidence of the shown model."""
        return self._enqueue("estep", self._stepper.estep)

    def mstep(self) -> Self:
        """The model refitted to the shown labels."""
        return self._enqueue("mstep", self._stepper.mstep)

    def back(self) -> Self:
        """To the state before."""
        return self._enqueue("back", self._stepper.back)

    def seek(self, step: int) -> Self:
        """To a step of the history."""
        return self._enqueue("seek", lambda: self._stepper.seek(step))

    def stop(self) -> Self:
        """Ends the fit here, with what was queued of it before; edits and settings are kept."""
        with self._lock:
            dropped = {"play", *HALTS}
            self._queue = type(self._queue)(command for command in self._queue if command.name not in dropped)
        return self._enqueue("stop", self._stop)

    def reset(self) -> Self:
        """To the start; what came since can be gone back to."""
        return self._enqueue("reset", self._reset, event=("restart", "Begun anew from the start."))

    def move(self, k: int, mean: Any) -> Self:
        """Component k with another mean."""
        change = partial(moves.move, k=self._component(k), mean=place(mean, "mean", 1, self.x))
        return self.edit(change, tag=("move", k), words=f"Component {k} was moved.")

    def reshape(self, k: int, cov: Any) -> Self:
        """Component k with another covariance."""
        change = partial(moves.reshape, k=self._component(k), cov=place(cov, "cov", 2, self.x))
        return self.edit(change, tag=("reshape", k), words=f"Component {k} was reshaped.")

    def add(self, mean: Any, cov: Any = None) -> Self:
        """One more component, the last."""
        cov = None if cov is None else place(cov, "cov", 2, self.x)
        change = partial(moves.add, mean=place(mean, "mean", 1, self.x), cov=cov)
        return self.edit(change, words="A component was added.")

    def remove(self, k: int) -> Self:
        """All components but k."""
        change = partial(moves.remove, k=self._component(k))
        return self.edit(change, words=f"Component {k} was removed.", origin=lambda model: Lineage.remove(model.k, k))

    def split(self, k: int) -> Self:
        """Component k as two, in its place and the last."""
        change = partial(moves.split, k=self._component(k))
        words = f"Component {k} was split."
        return self.edit(change, kind="split", words=words, origin=lambda model: Lineage.split(model.k, k))

    def merge(self, i: int, j: int) -> Self:
        """Components i and j as one, in the lower place."""
        change = partial(moves.merge, i=self._component(i), j=self._component(j))
        words = f"Components {i} and {j} were merged."
        return self.edit(change, kind="merge", words=words, origin=lambda model: Lineage.merge(model.k, i, j))

    def reseed(self, k: int | None = None, *, seed: int | None = None) -> Self:
        """Component k, or all of them, begun anew at rows far from the others; each time at others unless with a seed.

        The number of components, and what is shared by them, stays.
        """
        which = None if k is None else [self._component(k)]
        number = self._drawn = self._drawn + 1 if seed is None else seed

        def change(model: Any) -> Any:
            rng = torch.Generator(self.x.device).manual_seed(number)
            return reseeded(model, self.x, rng, which)

        if k is None:
            return self.edit(change, kind="restart", words="All components began anew at other rows.")
        return self.edit(change, words=f"Component {k} began anew at another row.")

    def set_model(self, model: Any, words: str = "Another model was set.") -> Self:
        """Another model in place of the shown one; `words` say which."""
        return self._enqueue("edit", lambda: self._stepper.edit(lambda _: model) or words, event=("edit", words))

    def edit(
        self,
        change: Callable[[Any], Any],
        *,
        tag: Any = None,
        kind: str = "edit",
        words: str = "The model was edited.",
        origin: Origin | None = None,
    ) -> Self:
        """Any pure change of the model, made between steps; one that is refused leaves a message.

        `kind` and `words` are what the log says of it. `origin` tells pins which component is which afterwards; without
        it new components are the last.
        """
        return self._enqueue("edit", lambda: self._stepper.edit(change, tag, origin), tag, (kind, words))

    def pin(self, k: int, *, mean: bool = True, cov: bool = False, weight: bool = False) -> Self:
        """From now on the fit leaves the mean, covariance or weight of component k as it is. Edits by hand go on."""
        if not self._stepper.fit.pins:
            raise TypeError("This fit takes no pins, so that nothing of a component can be kept as it is.")
        k, pin = self._component(k), Pin(mean, cov, weight)
        return self._enqueue("pin", lambda: self._stepper.pin(k, pin), event=("pin", f"Component {k}: {pin.words}."))

    def unpin(self, k: int) -> Self:
        """The fit changes all of component k again."""
        return self.pin(k, mean=False)

    def set(self, **settings: Any) -> Self:
        """Other settings of the fit, which goes on with them from the shown model; `snapshot.settings` has all.

        Raises `TypeError` for a name that the fit does not know, and `ValueError` for a value that it refuses.
        """
        self._stepper.fit.having(**settings)
        words = ", ".join(assigned(name, value) for name, value in settings.items())
        return self._enqueue("set", lambda: self._stepper.adjust(**settings), event=("settings", f"{words}."))

    def brush(self, rows: Any) -> Self:
        """Marks rows, by their numbers or a mask, for all that look at this session; None for none.

        The fit and its history take no notice.
        """
        mask = mask_of(rows, len(self.x))
        return self._enqueue("brush", lambda: self._mark(mask), tag="brush")

    # the worker's side

    def _component(self, k: int) -> int:
        """`k`, checked as early as it can be: edits still in the queue may change how many there are."""
        if self._settled() and not 0 <= k < self.snapshot.model.k:
            raise ValueError(f"There is no component {k}: the model has {self.snapshot.model.k}, counted from 0.")
        return k

    def _stop(self) -> str:
        self._stepper.drop()
        return ""

    def _reset(self) -> str:
        self._pace.clear()
        return self._stepper.reset()

    def _mark(self, mask: Any) -> None:
        self._brushed = mask
