"""What a component can be: how a row is scored."""

from gmmlab.families.components import Components
from gmmlab.families.gaussian import Gaussian
from gmmlab.families.mixed import Mixed
from gmmlab.families.structures import EIGEN, EII, VII, Diagonal, Eigen, Full, Spherical, Structure, Tied

__all__ = [
    "EIGEN",
    "EII",
    "VII",
    "Components",
    "Diagonal",
    "Eigen",
    "Full",
    "Gaussian",
    "Mixed",
    "Spherical",
    "Structure",
    "Tied",
]
