"""Starts: anything that yields responsibilities yields a mixture."""

from gmmlab.init.kmeans import kmeans, kmeans_plus_plus, nearest
from gmmlab.init.start import METHODS, from_labels, from_responsibilities, start

__all__ = [
    "METHODS",
    "from_labels",
    "from_responsibilities",
    "kmeans",
    "kmeans_plus_plus",
    "nearest",
    "start",
]
