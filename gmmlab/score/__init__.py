"""How good a model is, and how many clusters its components are."""

from gmmlab.score.agreement import match_labels, misclassified
from gmmlab.score.bootstrap import Bootstrap, bootstrap
from gmmlab.score.criteria import aic, aicc, bic, doubt, entropy, icl, mclust_sign, mml, nec
from gmmlab.score.merging import MergeTree, combine

__all__ = [
    "Bootstrap",
    "MergeTree",
    "aic",
    "aicc",
    "bic",
    "bootstrap",
    "combine",
    "doubt",
    "entropy",
    "icl",
    "match_labels",
    "mclust_sign",
    "misclassified",
    "mml",
    "nec",
]
