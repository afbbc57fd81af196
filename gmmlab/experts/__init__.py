"""Experts: models of y that know where in x they hold, and a gate that says so."""

from gmmlab.experts.alignment import Alignment, align
from gmmlab.experts.blended import Blended, blended
from gmmlab.experts.conditional import Conditional, conditional
from gmmlab.experts.gmr import GMRegressor
from gmmlab.experts.load import Load, load
from gmmlab.experts.logistic_moe import LogisticMoE
from gmmlab.experts.polish import polish
from gmmlab.experts.softmax_moe import SoftmaxMoE
from gmmlab.experts.topk_moe import TopKMoE
from gmmlab.experts.voronoi import required_topk, voronoi_loss

__all__ = [
    "Alignment",
    "Blended",
    "Conditional",
    "GMRegressor",
    "Load",
    "LogisticMoE",
    "SoftmaxMoE",
    "TopKMoE",
    "align",
    "blended",
    "conditional",
    "load",
    "polish",
    "required_topk",
    "voronoi_loss",
]
