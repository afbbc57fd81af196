"""What a selection hands on: the merge tree of its best model, and its map."""

from __future__ import annotations

import warnings

import gmmlab


def test_a_frame_is_combined_as_it_was_fitted():
    """Rows keep their column names on the way to the responsibilities, so that scikit-learn has nothing to warn of."""
    found = gmmlab.select(gmmlab.faithful(), 3, "EEE")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = found.combine()
    assert tree.k == 3 and tree.resp(1).sum().item() == len(gmmlab.faithful())


def test_the_map_names_its_criterion():
    picture = gmmlab.select(gmmlab.faithful(), [1, 2], ["EEE", "VVV"]).plot("icl")
    assert picture.alt.startswith("ICL of 4 models")
