"""Clusterers: groups of rows by other ways than EM, each with a mixture at its end."""

from gmmlab.clustering.category_discovery import CategoryDiscoveryGMM
from gmmlab.clustering.mean_shift import MeanShift
from gmmlab.clustering.modal import ModalClustering
from gmmlab.clustering.partitive import PartitivePartitioning
from gmmlab.clustering.racing import Moment, race
from gmmlab.clustering.sampled import SampledGaussianMixture
from gmmlab.clustering.sdp_clustering import SDPClustering
from gmmlab.clustering.star_clusters import StarClusterFinder, simulate_field
from gmmlab.clustering.tangle_clustering import TangleClustering
from gmmlab.clustering.tangles.certificate import component_certificate, tangle_certificate

__all__ = [
    "CategoryDiscoveryGMM",
    "MeanShift",
    "ModalClustering",
    "Moment",
    "PartitivePartitioning",
    "SDPClustering",
    "SampledGaussianMixture",
    "StarClusterFinder",
    "TangleClustering",
    "component_certificate",
    "race",
    "simulate_field",
    "tangle_certificate",
]
