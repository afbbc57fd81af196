"""The currency between the E-step and the M-step: values closed under addition."""

from gmmlab.stats.additive import Additive
from gmmlab.stats.counts import ClassCounts, Counts, NoisyCounts
from gmmlab.stats.moments import Moments
from gmmlab.stats.slopes import Curved, Slopes
from gmmlab.stats.transitions import PartedTransitions, Transitions

__all__ = [
    "Additive",
    "ClassCounts",
    "Counts",
    "Curved",
    "Moments",
    "NoisyCounts",
    "PartedTransitions",
    "Slopes",
    "Transitions",
]
