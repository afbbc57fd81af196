"""What a session runs: anything that goes from a model to steps, with its settings.

A step has `.model`, perhaps `.info.evidence` (that of the model before the step, as in `fit.loop`), and perhaps
`.progress` with `finished` and `total`. A fit is a function from a model to an iterator of steps. It may be a bare
iterator too: then it can be watched, paused and stopped, but not steered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from gmmlab.fit import plateau, run, tempered, variant, whole
from gmmlab.fit.loop import Step, Stop
from gmmlab.fit.missing import observed
from gmmlab.fit.pins import Pins as Kept
from gmmlab.widgets.names import refuse_unknown
from gmmlab.widgets.pins import Pin, Pins

Fit = Callable[[Any], Iterator[Any]]


@dataclass(frozen=True)
class Recipe:
    """A fit that can be made again with other settings: `make(**settings)` is a function from a model to steps.

    Settings with a meaning for all fits are `tol`, what the evidence gains at least in a step, and `max_iter`.
    `steers` says whether it goes on from any model, as half-steps, edits and settings need. A fit with `pins` takes one
    more argument of that name: what of which component stays as it is. The models of a fit that draws from a posterior
    are in `draws`, as far as it has come. The steps of one that is `fed` are taken elsewhere: where it gives None, none
    has come yet, which is not its end.
    """

    make: Callable[..., Fit]
    settings: Mapping[str, Any] = field(default_factory=dict)
    steers: bool = True
    pins: bool = False
    draws: Sequence[Any] | None = None
    fed: bool = False

    @classmethod
    def of(cls, fit: Any) -> Recipe:
        """A recipe, a function from a model to steps, or steps. Raises `TypeError` for anything else."""
        if isinstance(fit, Recipe):
            return fit
        if callable(fit):
            return cls(lambda: fit)
        if isinstance(fit, Iterator):
            return cls(lambda: lambda _: fit, steers=False)
        raise TypeError(
            f"fit is a {type(fit).__name__}; expected a function from a model to an iterator of steps, or an iterator."
        )

    def __call__(self, model: Any, pins: Pins | None = None) -> Iterator[Any]:
        """Steps from a model."""
        given = {"pins": pins or {}} if self.pins else {}
        return iter(self.make(**self.settings, **given)(model))

    def having(self, **changes: Any) -> Recipe:
        """The same with other settings. Raises `TypeError` for unknown names, and what `make` raises for values."""
        refuse_unknown(changes, self.settings, "This fit", "setting")
        changed = replace(self, settings={**self.settings, **changes})
        changed.make(**changed.settings, **({"pins": {}} if self.pins else {}))
        return changed


def expectation_maximisation(x: Any, *, tol: float = 1e-6, max_iter: int | None = None, weight: Any = None) -> Recipe:
    """The default fit: all rows in every step, until the mean log-likelihood rises by less than `tol`.

    Rows count `weight` times.

    It ends after `max_iter` steps, if that is given. Settings to be turned while it runs are the `temperature` at which
    rows are assigned (1 to begin with; see `gates/tempered.py`), and the assumptions of `fit.variant`: `dof`, `noise`
    and `prior`, which are None for those of the model. Entries may be missing (NaN); see `fit.missing`.
    """
    source = observed(x, weight) if bool(torch.isnan(x).any()) else whole(x, weight)

    def make(tol: Any, max_iter: Any, temperature: Any, pins: Pins, **assumptions: Any) -> Fit:
        stop, softened = ending(tol, max_iter), tempered(source, temperature)
        kept = [frozenset(k for k, pin in pins.items() if getattr(pin, part)) for part in Pin._fields]
        return lambda model: run(variant(model, x, **assumptions), softened, stop=stop, refit=Kept(*kept))

    settings = {"tol": tol, "max_iter": max_iter, "temperature": 1.0, "dof": None, "noise": None, "prior": None}
    return Recipe(make, settings, pins=True)


def ending(tol: Any, max_iter: Any = None) -> Stop:
    """Stop at a plateau or after so many steps. Raises `ValueError` for values that are neither."""
    if isinstance(tol, bool) or not isinstance(tol, int | float) or not tol > 0:
        raise ValueError(f"tol={tol!r}; expected a number above 0, such as 1e-6.")
    if max_iter is not None and (isinstance(max_iter, bool) or not isinstance(max_iter, int) or max_iter < 1):
        raise ValueError(f"max_iter={max_iter!r}; expected a whole number of at least 1, or None.")
    flat = plateau(float(tol))

    def stop(step: Step) -> bool:
        return flat(step) or (max_iter is not None and step.i >= max_iter)

    return stop
