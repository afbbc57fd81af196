"""What people do with a mixture without fitting one: parts of it, what follows from some columns, regions, moments."""

from gmmlab.algebra.conditioning import Regression, condition, marginal, regress
from gmmlab.algebra.missing import assign, impute, log_prob, posterior, sample_missing
from gmmlab.algebra.moments import affine, cov, mean, overlap
from gmmlab.algebra.regions import Level, cdf, level_set, quantile, regress_quantile
from gmmlab.algebra.univariate import Univariate, column, column_given

__all__ = [
    "Level",
    "Regression",
    "Univariate",
    "affine",
    "assign",
    "cdf",
    "column",
    "column_given",
    "condition",
    "cov",
    "impute",
    "level_set",
    "log_prob",
    "marginal",
    "mean",
    "overlap",
    "posterior",
    "quantile",
    "regress",
    "regress_quantile",
    "sample_missing",
]
