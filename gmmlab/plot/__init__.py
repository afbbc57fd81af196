"""Static pictures of a model and of a fit; matplotlib's object API only, asked for when a picture is drawn."""

from __future__ import annotations

import importlib
from typing import Any

from gmmlab.plot.ellipses import Ellipses, ellipses, outline, principal, with_block
from gmmlab.plot.style import colour

_DRAWN = {
    "Optima": "gmmlab.plot.optima",
    "Picture": "gmmlab.plot.picture",
    "Scores": "gmmlab.plot.heat",
    "co_clustering": "gmmlab.plot.partitions",
    "compare": "gmmlab.plot.versus",
    "conditional": "gmmlab.plot.given",
    "covariance_families": "gmmlab.plot.shapes",
    "curves": "gmmlab.plot.lines",
    "experts": "gmmlab.plot.expert_lines",
    "fit_check": "gmmlab.plot.adequacy",
    "landscape": "gmmlab.plot.choice",
    "merge_tree": "gmmlab.plot.choice",
    "pairs": "gmmlab.plot.matrix",
    "parsimony": "gmmlab.plot.tradeoff",
    "regimes": "gmmlab.plot.in_time",
    "responsibilities": "gmmlab.plot.ambiguity",
    "scatter": "gmmlab.plot.pictures",
    "selection_map": "gmmlab.plot.choice",
    "trace": "gmmlab.plot.pictures",
    "uncertainty": "gmmlab.plot.fan",
}

__all__ = [
    "Ellipses",
    "Optima",
    "Picture",
    "Scores",
    "co_clustering",
    "colour",
    "compare",
    "conditional",
    "covariance_families",
    "curves",
    "ellipses",
    "experts",
    "fit_check",
    "landscape",
    "merge_tree",
    "outline",
    "pairs",
    "parsimony",
    "principal",
    "regimes",
    "responsibilities",
    "scatter",
    "selection_map",
    "trace",
    "uncertainty",
    "with_block",
]


def __getattr__(name: str) -> Any:
    if name not in _DRAWN:
        raise AttributeError(f"module 'gmmlab.plot' has no attribute {name!r}; it has {', '.join(sorted(__all__))}.")
    return getattr(importlib.import_module(_DRAWN[name]), name)
