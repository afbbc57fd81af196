"""Models of sequences: mixtures whose gate is a Markov chain."""

from gmmlab.sequences.arhmm import ARHMM
from gmmlab.sequences.emissions import FactorEmission, GaussianEmission, GMMEmission, StudentEmission
from gmmlab.sequences.given import labels_to_weights
from gmmlab.sequences.hmm import HMM
from gmmlab.sequences.prognosis import health_index, phm_score, share_in_time

__all__ = [
    "ARHMM",
    "HMM",
    "FactorEmission",
    "GMMEmission",
    "GaussianEmission",
    "StudentEmission",
    "health_index",
    "labels_to_weights",
    "phm_score",
    "share_in_time",
]
