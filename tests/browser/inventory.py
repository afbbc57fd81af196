"""Every widget, and what all of them keep to, for the tests that look at each."""

from __future__ import annotations

# What they show, once the kernel has begun.
FITS = """
from gmmlab.clustering import SDPClustering
from gmmlab.widgets import *
session = gmmlab.explore(X, n_components=2, panels=()).session
session.play().wait(60)
found = gmmlab.select(X, range(1, 4), ["EII", "VVV"])
clustering = SDPClustering(2, random_state=0).explore(X[::8], panels=()).session.play()
starts = gmmlab.GaussianMixture(3, init_params="random_from_data", n_init=5, random_state=0).fit(X)
clustering.wait(60)
"""
WIDGETS = {
    "explore": "gmmlab.explore(X, n_components=2)",
    "Explorer": "Explorer(session)",
    "Trace": "Trace(session)",
    "ModelMap": "ModelMap(found)",
    "Pairs": "Pairs(session)",
    "Responsibilities": "Responsibilities(session)",
    "FitCheck": "FitCheck(session)",
    "Labeler": "Labeler.begin(X, n_components=2)",
    "DataPainter": "DataPainter('moons')",
    "RestartLandscape": "RestartLandscape(starts, X)",
    "Compare": "Compare(session)",
    "Conditional": "Conditional(session)",
    "Uncertainty": "Uncertainty(session)",
    "Dials": "Dials(session)",
    "Relaxation": "Relaxation(clustering)",
    "Runs": "Runs()",
}

# How many parts of a view are blank: canvases with fewer than three colours, or the view itself.
BLANK = """view => {
    const parts = [...view.querySelectorAll('canvas, table, input')].filter(part => part.offsetWidth);
    const blank = parts.filter(part => {
        if (part.tagName !== 'CANVAS') return false;
        const {data} = part.getContext('2d').getImageData(0, 0, part.width, part.height), seen = new Set();
        for (const colour of new Uint32Array(data.buffer)) if (seen.add(colour).size > 2) return false;
        return true;
    });
    return parts.length ? blank.length : 1;
}"""
