"""Starts: anything that yields responsibilities yields a mixture."""

from gmmlab.init.coreset import Coreset, MergeReduce, coreset, lightweight, merge_reduce, sensitivity, uniform
from gmmlab.init.given import given_responsibilities
from gmmlab.init.hierarchy import Determinant, Tree, agglomerate, svd_scaled, ward, whitened
from gmmlab.init.kmeans import kmeans, kmeans_plus_plus, nearest
from gmmlab.init.partitions import blank, from_labels, from_responsibilities, one_hot
from gmmlab.init.projected import in_leading_components
from gmmlab.init.race import Race, corrected
from gmmlab.init.short import automatic
from gmmlab.init.start import METHODS, RESPONSIBILITIES, Method, by_hierarchy, start, start_from_sample

__all__ = [
    "METHODS",
    "RESPONSIBILITIES",
    "Coreset",
    "Determinant",
    "MergeReduce",
    "Method",
    "Race",
    "Tree",
    "agglomerate",
    "automatic",
    "blank",
    "by_hierarchy",
    "coreset",
    "corrected",
    "from_labels",
    "from_responsibilities",
    "given_responsibilities",
    "in_leading_components",
    "kmeans",
    "kmeans_plus_plus",
    "lightweight",
    "merge_reduce",
    "nearest",
    "one_hot",
    "sensitivity",
    "start",
    "start_from_sample",
    "svd_scaled",
    "uniform",
    "ward",
    "whitened",
]
