"""What a component can be: how a row is scored."""

from gmmlab.families.built import Built
from gmmlab.families.components import Components
from gmmlab.families.factor import FactorAnalyzers
from gmmlab.families.gaussian import Gaussian
from gmmlab.families.linear import LinearGaussian
from gmmlab.families.logits import Logits
from gmmlab.families.mixed import Mixed
from gmmlab.families.nig import NormalInverseGamma
from gmmlab.families.niw import NormalInverseWishart
from gmmlab.families.normal_wishart import NormalWishart
from gmmlab.families.prior import Prior
from gmmlab.families.scaled import ScaledLinear
from gmmlab.families.structures import EIGEN, EII, VII, Blocks, Diagonal, Eigen, Full, Spherical, Structure, Tied
from gmmlab.families.student import Student

__all__ = [
    "EIGEN",
    "EII",
    "VII",
    "Blocks",
    "Built",
    "Components",
    "Diagonal",
    "Eigen",
    "FactorAnalyzers",
    "Full",
    "Gaussian",
    "LinearGaussian",
    "Logits",
    "Mixed",
    "NormalInverseGamma",
    "NormalInverseWishart",
    "NormalWishart",
    "Prior",
    "ScaledLinear",
    "Spherical",
    "Structure",
    "Student",
    "Tied",
]
