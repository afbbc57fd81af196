"""Dials: the settings of a fit, turned while it runs."""

from __future__ import annotations

import math
from typing import Any

import torch
import traitlets

from gmmlab.families import Student
from gmmlab.plot.chart import Chart, Control, Table
from gmmlab.plot.ellipses import noise
from gmmlab.plot.sliders import sliders
from gmmlab.widgets.chart import ChartWidget
from gmmlab.widgets.snapshot import Snapshot

TOL, TEMPERATURE, DOF, PRIOR = (-12.0, -2.0), (0.0, 2.0), (0.0, 3.0), (-2.0, 4.0)  # powers of ten
BELIEFS = {
    "concentration": (-4.0, 2.0),
    "mean_rows": (-3.0, 2.0),
    "scale_rows": (-1.0, 3.0),
    "label_weight": (-1.0, 3.0),
}  # of a Bayesian fit's prior, and of how much labels are believed


def _power(name: str, words: str) -> Any:
    low, high = BELIEFS[name]
    return traitlets.Float(0.0, min=low, max=high, help=words).tag(sync=True)


class Dials(ChartWidget):
    """Tolerance, temperature, tails, noise and prior: the fit goes on with each from where it is.

    Of variational Bayes it is the prior alone: the concentration of the weights, and the rows that it counts as. Where
    some rows have labels it is how often these count.

    The settings of a fit that the session does not have are left out. A dial that has never been turned leaves the
    model as it is.
    """

    heading = "Dials"

    tol = traitlets.Float(-6.0, min=TOL[0], max=TOL[1], help="Power of ten: least gain of a step.").tag(sync=True)
    temperature = traitlets.Float(0.0, min=TEMPERATURE[0], max=TEMPERATURE[1], help="Power of ten.").tag(sync=True)
    dof = traitlets.Float(DOF[1], min=DOF[0], max=DOF[1], help="Power of ten; the highest is Gaussian.").tag(sync=True)
    prior = traitlets.Float(PRIOR[0], min=PRIOR[0], max=PRIOR[1], help="Power of ten; lowest: none.").tag(sync=True)
    concentration = _power("concentration", "Power of ten: the smaller, the fewer components.")
    mean_rows = _power("mean_rows", "Power of ten: rows that the prior of the means counts as.")
    scale_rows = _power("scale_rows", "Power of ten: rows of the prior of the covariances, beyond d - 1.")
    label_weight = _power("label_weight", "Power of ten: rows that a row with a label counts as.")
    noise = traitlets.Bool(False, help="Whether rows may belong to no component.").tag(sync=True)

    def __init__(self, session: Any, **traits: Any) -> None:
        known = session.snapshot.settings
        model = session.snapshot.model
        begin: dict[str, Any] = {"noise": noise(model) is not None}
        if known.get("tol"):
            begin["tol"] = min(TOL[1], max(TOL[0], math.log10(known["tol"])))
        if isinstance(model.components, Student):
            begin["dof"] = min(DOF[1], max(DOF[0], math.log10(float(model.components.dof.median()))))
        for name, (low, high) in BELIEFS.items():
            if name in known:
                begin[name] = min(high, max(low, math.log10(known[name])))
        super().__init__(session, **begin | traits)
        self.observe(self._turn, ["tol", "temperature", "dof", "prior", "noise", *BELIEFS])
        for name in traits.keys() & set(known):
            self._tell(name)

    def controls(self) -> list[Control]:
        def slider(name: str, label: str, within: tuple[float, float], home: float, **words: Any) -> Control:
            value, (low, high) = getattr(self, name), within
            return Control(
                name, label, value, kind="number", low=low, high=high, step=0.1, power=True, home=home, **words
            )

        all_of_them = [
            slider("tol", "tolerance", TOL, -6.0, title="A step that gains less ends the fit"),
            slider("temperature", "temperature", TEMPERATURE, 0.0, title="1 is EM; above it rows belong to many"),
            slider("dof", "degrees of freedom", DOF, DOF[1], ends=("", "Gaussian"), title="Fewer: heavier tails"),
            slider("prior", "prior strength", PRIOR, PRIOR[0], ends=("none", ""), title="How often a weak one counts"),
            slider("concentration", "concentration", BELIEFS["concentration"], 0.0, title="Less: fewer components"),
            slider("mean_rows", "rows of prior means", BELIEFS["mean_rows"], 0.0, title="More: means drawn together"),
            slider("scale_rows", "rows of prior shapes", BELIEFS["scale_rows"], 0.0, title="More: shapes of the prior"),
            slider(
                "label_weight", "weight of labels", BELIEFS["label_weight"], 0.0, title="Rows that a label counts as"
            ),
            Control("noise", "noise", self.noise, kind="switch", title="Rows may belong to no component"),
        ]
        known = self.session.snapshot.settings
        gaps = bool(torch.isnan(self.session.x).any())
        return [each for each in all_of_them if each.name in known and not (gaps and each.name == "dof")]

    def chart(self, snapshot: Snapshot) -> Chart:
        values = {name: _written(value) for name, value in snapshot.settings.items()}
        words = ", ".join(f"{name} {value}" for name, value in values.items())
        table = Table(
            columns=list(values), cells=[list(values.values())] if values else [], height=72, width=300,
            empty="This fit has no settings.",
        )  # fmt: skip
        return Chart([[table]], alt=f"Settings of the fit: {words or 'none'}.")

    def picture(self) -> Any:
        """The dials as they stand, and the settings as the page has them."""
        from gmmlab.plot.painter import paint

        if not self.controls():
            return super().picture()
        chart = sliders(self.controls(), alt=self.chart(self.session.snapshot).alt)
        return paint(self.sized(chart), theme=self.still, width=self.width)

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


def _written(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, torch.Tensor):  # of labels
        return f"{int((value >= 0).sum()):,} of {len(value):,}"
    if isinstance(value, tuple | list):  # of links
        return str(len(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "Gaussian" if math.isinf(value) else f"{value:.3g}"
    return str(value)
