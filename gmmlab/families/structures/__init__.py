"""Covariance structures: projections of one statistic.

A structure turns the weights and scatter matrices of k components into their maximum-likelihood covariances of that
kind. It sees all components at once, because some structures share parameters between them; what is shared is shared
within each of the `groups`, so that many models can be refitted together. Axis-aligned structures (`dense` is False)
work with the diagonals alone, (k, d).

A component without rows (w = 0) has no scatter. It does not disturb the others: what it shares it takes from them, what
it has for itself it keeps of its old covariance.

The fourteen are named by three letters after Banfield and Raftery (1993): volume, shape and orientation, each equal
(E) or variable (V) over the components, or the identity (I). Four have names of old:

    Full        VVV    own covariance matrices
    Tied        EEE    one covariance matrix for all
    Diagonal    VVI    own variances along the axes
    Spherical   VII    one variance each

Beside them stands what is correlated in some columns only:

    Blocks             own covariance matrices, each of blocks of columns
"""

from gmmlab.families.structures.blocks import Blocks
from gmmlab.families.structures.closed import EEE, EEI, EEV, EII, EVI, EVV, VII, VVI, VVV
from gmmlab.families.structures.iterated import EVE, VEE, VEI, VEV, VVE, BothOfOneOrientation, Iterated, OneOrientation
from gmmlab.families.structures.structure import Eigen, Structure, Tie

Full, Tied, Diagonal, Spherical = VVV, EEE, VVI, VII

EIGEN: tuple[Eigen, ...] = (
    *(EII(), VII(), EEI(), VEI(), EVI(), VVI()),
    *(EEE(), VEE(), EVE(), VVE(), EEV(), VEV(), EVV(), VVV()),
)

__all__ = [
    "EEE",
    "EEI",
    "EEV",
    "EIGEN",
    "EII",
    "EVE",
    "EVI",
    "EVV",
    "VEE",
    "VEI",
    "VEV",
    "VII",
    "VVE",
    "VVI",
    "VVV",
    "Blocks",
    "BothOfOneOrientation",
    "Diagonal",
    "Eigen",
    "Full",
    "Iterated",
    "OneOrientation",
    "Spherical",
    "Structure",
    "Tie",
    "Tied",
]
