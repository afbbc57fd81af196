"""The fit of a Labeler: one that takes labels and links as settings, so that they can change while it runs."""

from __future__ import annotations

from typing import Any

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.fit import run
from gmmlab.fit.known import Pairs, known
from gmmlab.fit.supervised import supervised
from gmmlab.widgets.fits import Fit, Recipe, ending


def labelling(
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, "n"] | None = None,
    *,
    must: Pairs = (),
    cannot: Pairs = (),
    tol: float = 1e-6,
    max_iter: int | None = None,
) -> Recipe:
    """A semi-supervised fit, whose settings are `labels` (-1: unknown), `must` and `cannot` as in `fit.supervised`.

        session = Session(x, model, fit=labelling(x))
        session.set(labels=labels)              # the fit goes on with them from the shown model

    Labels of components that a model has not are unknown to it. Facts that contradict each other raise `BadData` where
    they are set.
    """

    def make(labels: Any, must: Any, cannot: Any, tol: Any, max_iter: Any) -> Fit:
        stop = ending(tol, max_iter)
        known(len(x), labels, must, cannot)

        def fit(model: Any) -> Any:
            within = torch.where(labels < model.k, labels, -1)
            return run(model, supervised(x, within, must=must, cannot=cannot), stop=stop)

        return fit

    labels = torch.full((len(x),), -1) if labels is None else labels
    settings = {"labels": labels, "must": tuple(must), "cannot": tuple(cannot), "tol": tol, "max_iter": max_iter}
    make(**settings)
    return Recipe(make, settings)
