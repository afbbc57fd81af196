"""What people do with a mixture without fitting one: parts of it, what follows from some columns, regions, moments."""

from gmmlab.algebra.conditioning import Regression, condition, marginal, regress
from gmmlab.algebra.kernel_density import (
    KernelDensity,
    KernelModes,
    Lifted,
    ModeTree,
    as_mixture,
    kernel_modes,
    lifted_modes,
    mode_tree,
    projected_modes,
    projection,
    shifts,
)
from gmmlab.algebra.missing import assign, impute, log_prob, posterior, sample_missing
from gmmlab.algebra.modes import Climb, Modes, ascent, find_modes, ridge_starts
from gmmlab.algebra.moments import affine, cov, mean, overlap
from gmmlab.algebra.regions import Level, cdf, level_set, quantile, regress_quantile
from gmmlab.algebra.ridgeline import Critical, critical_points, ridgeline
from gmmlab.algebra.univariate import Univariate, column, column_given

__all__ = [
    "Climb",
    "Critical",
    "KernelDensity",
    "KernelModes",
    "Level",
    "Lifted",
    "ModeTree",
    "Modes",
    "Regression",
    "Univariate",
    "affine",
    "as_mixture",
    "ascent",
    "assign",
    "cdf",
    "column",
    "column_given",
    "condition",
    "cov",
    "critical_points",
    "find_modes",
    "impute",
    "kernel_modes",
    "level_set",
    "lifted_modes",
    "log_prob",
    "marginal",
    "mean",
    "mode_tree",
    "overlap",
    "posterior",
    "projected_modes",
    "projection",
    "quantile",
    "regress",
    "regress_quantile",
    "ridge_starts",
    "ridgeline",
    "sample_missing",
    "shifts",
]
