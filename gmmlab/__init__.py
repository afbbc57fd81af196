"""gmmlab: the Jupyter-native lab for Gaussian mixtures and their relatives.

    import gmmlab
    model = gmmlab.GaussianMixture(3).fit(X)      # scikit-learn's manners
    gmmlab.explore(X)                             # the same, watched and steered

Public names are imported when they are first used, so that `import gmmlab` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gmmlab.data import faithful, load_table, stream
    from gmmlab.estimators import (
        BayesianGaussianMixture,
        CensoredGaussianMixture,
        DeconvolvedGaussianMixture,
        FactorMixture,
        GaussianMixture,
        SemiSupervisedGMM,
        StudentMixture,
        TruncatedGaussianMixture,
    )
    from gmmlab.estimators.exchange import from_sklearn, to_sklearn
    from gmmlab.estimators.growing import IncrementalGaussianMixture, IncrementalGMClassifier, IncrementalGMRegressor
    from gmmlab.estimators.select import select
    from gmmlab.families import Gaussian
    from gmmlab.fit import run
    from gmmlab.model import Mixture
    from gmmlab.series.diagnosis import report
    from gmmlab.storage import load, save
    from gmmlab.widgets.display import options
    from gmmlab.widgets.opening import explore

__version__ = "0.1.0"

_HOME = {
    "BayesianGaussianMixture": "gmmlab.estimators",
    "CensoredGaussianMixture": "gmmlab.estimators",
    "DeconvolvedGaussianMixture": "gmmlab.estimators",
    "FactorMixture": "gmmlab.estimators",
    "Gaussian": "gmmlab.families",
    "GaussianMixture": "gmmlab.estimators",
    "IncrementalGMClassifier": "gmmlab.estimators",
    "IncrementalGMRegressor": "gmmlab.estimators",
    "IncrementalGaussianMixture": "gmmlab.estimators",
    "Mixture": "gmmlab.model",
    "SemiSupervisedGMM": "gmmlab.estimators",
    "StudentMixture": "gmmlab.estimators",
    "TruncatedGaussianMixture": "gmmlab.estimators",
    "explore": "gmmlab.widgets.opening",
    "faithful": "gmmlab.data",
    "from_sklearn": "gmmlab.estimators.exchange",
    "load": "gmmlab.storage",
    "load_table": "gmmlab.data",
    "options": "gmmlab.widgets.display",
    "report": "gmmlab.series.diagnosis",
    "run": "gmmlab.fit",
    "save": "gmmlab.storage",
    "select": "gmmlab.estimators.select",
    "stream": "gmmlab.data",
    "to_sklearn": "gmmlab.estimators.exchange",
}

__all__ = [
    "BayesianGaussianMixture",
    "CensoredGaussianMixture",
    "DeconvolvedGaussianMixture",
    "FactorMixture",
    "Gaussian",
    "GaussianMixture",
    "IncrementalGMClassifier",
    "IncrementalGMRegressor",
    "IncrementalGaussianMixture",
    "Mixture",
    "SemiSupervisedGMM",
    "StudentMixture",
    "TruncatedGaussianMixture",
    "explore",
    "faithful",
    "from_sklearn",
    "load",
    "load_table",
    "options",
    "report",
    "run",
    "save",
    "select",
    "stream",
    "to_sklearn",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gmmlab' has no attribute {name!r}; it has {', '.join(__all__)}.")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
