"""Models of sequences: mixtures whose gate is a Markov chain."""

from gmmlab.sequences.emissions import FactorEmission, GaussianEmission, GMMEmission, StudentEmission
from gmmlab.sequences.given import labels_to_weights
from gmmlab.sequences.hmm import HMM

__all__ = [
    "HMM",
    "FactorEmission",
    "GMMEmission",
    "GaussianEmission",
    "StudentEmission",
    "labels_to_weights",
]
