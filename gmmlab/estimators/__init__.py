"""Estimators with scikit-learn's manners."""

from gmmlab.estimators.gaussian_mixture import GaussianMixture

__all__ = ["GaussianMixture"]
