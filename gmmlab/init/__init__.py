"""Starts: anything that yields responsibilities yields a mixture."""

from gmmlab.init.given import given_responsibilities
from gmmlab.init.hierarchy import Determinant, Tree, agglomerate, svd_scaled, ward, whitened
from gmmlab.init.kmeans import kmeans, kmeans_plus_plus, nearest
from gmmlab.init.partitions import from_labels, from_responsibilities
from gmmlab.init.short import automatic, best_of, climb, corrected
from gmmlab.init.start import METHODS, RESPONSIBILITIES, Method, by_hierarchy, start

__all__ = [
    "METHODS",
    "RESPONSIBILITIES",
    "Determinant",
    "Method",
    "Tree",
    "agglomerate",
    "automatic",
    "best_of",
    "by_hierarchy",
    "climb",
    "corrected",
    "from_labels",
    "from_responsibilities",
    "given_responsibilities",
    "kmeans",
    "kmeans_plus_plus",
    "nearest",
    "start",
    "svd_scaled",
    "ward",
    "whitened",
]
