"""Estimators with scikit-learn's manners."""

from gmmlab.estimators.bayesian_mixture import BayesianGaussianMixture
from gmmlab.estimators.censored import CensoredGaussianMixture
from gmmlab.estimators.deconvolved import DeconvolvedGaussianMixture
from gmmlab.estimators.factor_mixture import FactorMixture
from gmmlab.estimators.gaussian_mixture import GaussianMixture
from gmmlab.estimators.growing import IncrementalGaussianMixture, IncrementalGMClassifier, IncrementalGMRegressor
from gmmlab.estimators.semi_supervised import SemiSupervisedGMM
from gmmlab.estimators.student_mixture import StudentMixture
from gmmlab.estimators.truncated import TruncatedGaussianMixture

__all__ = [
    "BayesianGaussianMixture",
    "CensoredGaussianMixture",
    "DeconvolvedGaussianMixture",
    "FactorMixture",
    "GaussianMixture",
    "IncrementalGMClassifier",
    "IncrementalGMRegressor",
    "IncrementalGaussianMixture",
    "SemiSupervisedGMM",
    "StudentMixture",
    "TruncatedGaussianMixture",
]
