"""Dials: the settings of a fit, turned while it runs."""

from __future__ import annotations

import math
from typing import Any

import torch
import traitlets

from gmmlab.families import Student
from gmmlab.plot.chart import Chart, Control, Table
from gmmlab.plot.ellipses import noise
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.snapshot import Snapshot

TOL, TEMPERATURE, DOF, PRIOR = (-12.0, -2.0), (0.0, 2.0), (0.0, 3.0), (-2.0, 4.0)  # powers of ten


class Dials(ChartWidget):
    """Tolerance, temperature, tails, noise and prior: the fit goes on with each from where it is.

    The settings of a fit that the session does not have are left out. A dial that has never been turned leaves the
    model as it is.
    """

    heading = "Dials"

    tol = traitlets.Float(-6.0, min=TOL[0], max=TOL[1], help="Power of ten: least gain of a step.").tag(sync=True)
    temperature = traitlets.Float(0.0, min=TEMPERATURE[0], max=TEMPERATURE[1], help="Power of ten.").tag(sync=True)
    dof = traitlets.Float(DOF[1], min=DOF[0], max=DOF[1], help="Power of ten; the highest is Gaussian.").tag(sync=True)
    prior = traitlets.Float(PRIOR[0], min=PRIOR[0], max=PRIOR[1], help="Power of ten; lowest: none.").tag(sync=True)
    noise = traitlets.Bool(False, help="Whether rows may belong to no component.").tag(sync=True)

    def __init__(self, session: Any, **traits: Any) -> None:
        known = session.snapshot.settings
        model = session.snapshot.model
        begin: dict[str, Any] = {"noise": noise(model) is not None}
        if known.get("tol"):
            begin["tol"] = min(TOL[1], max(TOL[0], math.log10(known["tol"])))
        if isinstance(model.components, Student):
            begin["dof"] = min(DOF[1], max(DOF[0], math.log10(float(model.components.dof.median()))))
        super().__init__(session, **begin | traits)
        self.observe(self._turn, ["tol", "temperature", "dof", "prior", "noise"])
        for name in traits.keys() & set(known):
            self._tell(name)

    def controls(self) -> list[Control]:
        def slider(name: str, label: str, ends: tuple[float, float], words: tuple[str, str], home: float) -> Control:
            return Control(name, label, getattr(self, name), kind="number", low=ends[0], high=ends[1], step=0.1,
                           power=True, ends=words, home=home)  # fmt: skip

        all_of_them = [
            slider("tol", "tolerance", TOL, ("", ""), -6.0),
            slider("temperature", "temperature", TEMPERATURE, ("", ""), 0.0),
            slider("dof", "degrees of freedom", DOF, ("", "Gaussian"), DOF[1]),
            slider("prior", "prior strength", PRIOR, ("none", ""), PRIOR[0]),
            Control("noise", "noise", self.noise, kind="switch", title="Rows may belong to no component"),
        ]
        known = self.session.snapshot.settings
        gaps = bool(torch.isnan(self.session.x).any())
        return [each for each in all_of_them if each.name in known and not (gaps and each.name == "dof")]

    def chart(self, snapshot: Snapshot) -> Chart:
        cells = [(name, _written(value), _MEANING.get(name, "")) for name, value in snapshot.settings.items()]
        settings = ", ".join(f"{name} {value}" for name, value, _ in cells)
        table = Table(
            columns=("setting", "value", "what it says"), cells=cells, empty="This fit has no settings.",
            height=40 + 22 * max(1, len(cells)), width=300,
        )  # fmt: skip
        return Chart([[table]], alt=f"Settings of the fit: {settings or 'none'}.")

    def _turn(self, change: Any) -> None:
        if hasattr(self, "_unsubscribe"):
            self._tell(change["name"])

    def _tell(self, name: str) -> None:
        self.session.set(**{name: self._value(name)})

    def _value(self, name: str) -> Any:
        """What a dial says to the fit."""
        value = getattr(self, name)
        if name == "noise":
            return value
        if name == "dof" and value >= DOF[1]:
            return math.inf
        return 0.0 if name == "prior" and value <= PRIOR[0] else 10.0**value


_MEANING = {
    "tol": "a step that gains less ends the fit",
    "max_iter": "steps at most; none if not said",
    "temperature": "1 is EM; above it rows belong to many components",
    "dof": "fewer: heavier tails",
    "noise": "rows may belong to no component",
    "prior": "how many times the weak prior counts",
}


def _written(value: Any) -> str:
    if value is None:
        return "as the model has it"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "Gaussian" if math.isinf(value) else f"{value:.3g}"
    return str(value)
