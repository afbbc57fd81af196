"""Estimators with scikit-learn's manners."""

from gmmlab.estimators.gaussian_mixture import GaussianMixture
from gmmlab.estimators.student_mixture import StudentMixture

__all__ = ["GaussianMixture", "StudentMixture"]
