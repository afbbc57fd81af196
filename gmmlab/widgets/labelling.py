"""The fit of a Labeler: one that takes labels and links as settings, so that they can change while it runs."""

from __future__ import annotations

from typing import Any

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.fit import run
from gmmlab.fit.known import Pairs, known
from gmmlab.fit.supervised import choices, supervised
from gmmlab.widgets.fits import Fit, Recipe, ending


def labelling(
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, "n"] | None = None,
    *,
    must: Pairs = (),
    cannot: Pairs = (),
    label_weight: float = 1.0,
    tol: float = 1e-6,
    max_iter: int | None = None,
    weight: Float[Tensor, "n"] | None = None,
) -> Recipe:
    """A semi-supervised fit, whose settings are `labels` (-1: unknown), `must` and `cannot` as in `fit.supervised`.

    A row counts `weight` times, and one with a label `label_weight` times that.

        session = Session(x, model, fit=labelling(x))
        session.set(labels=labels)              # the fit goes on with them from the shown model

    Labels of components that a model has not are unknown to it. Facts that contradict each other raise `BadData` where
    they are set.
    """

    def make(*, labels: Any, must: Any, cannot: Any, label_weight: Any, tol: Any, max_iter: Any) -> Fit:
        stop = ending(tol, max_iter)
        counts = None if label_weight == 1 else torch.where(labels >= 0, float(label_weight), 1.0).to(x)
        counts = weight if counts is None else counts if weight is None else counts * weight
        known(len(x), labels, must, cannot)

        def fit(model: Any) -> Any:
            within = torch.where(labels < choices(model), labels, -1)
            return run(model, supervised(x, within, must=must, cannot=cannot, weight=counts), stop=stop)

        return fit

    labels = torch.full((len(x),), -1) if labels is None else labels
    links = {"must": tuple(must), "cannot": tuple(cannot)}
    settings = {"labels": labels, **links, "label_weight": label_weight, "tol": tol, "max_iter": max_iter}
    make(**settings)
    return Recipe(make, settings)
