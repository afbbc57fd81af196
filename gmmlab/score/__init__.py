"""How good a model is."""

from gmmlab.score.criteria import aic, bic

__all__ = ["aic", "bic"]
