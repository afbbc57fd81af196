"""Tangles: clusters as consistent orientations of all cheap cuts of a similarity graph."""
