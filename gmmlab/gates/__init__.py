"""How rows are assigned to components."""

from gmmlab.gates.classes import Classes
from gmmlab.gates.constant import Constant
from gmmlab.gates.expected import DirichletWeights, Expected
from gmmlab.gates.gate import Gate
from gmmlab.gates.markov import Markov
from gmmlab.gates.noisy import Noisy
from gmmlab.gates.posterior import Posterior, join
from gmmlab.gates.softmax import BoundSoftmax, Softmax
from gmmlab.gates.stacked import Stacked
from gmmlab.gates.sticks import Known, Learned, StickWeights
from gmmlab.gates.tempered import Tempered
from gmmlab.gates.told import Told, labels_told
from gmmlab.gates.topk import TopK

__all__ = [
    "BoundSoftmax",
    "Classes",
    "Constant",
    "DirichletWeights",
    "Expected",
    "Gate",
    "Known",
    "Learned",
    "Markov",
    "Noisy",
    "Posterior",
    "Softmax",
    "Stacked",
    "StickWeights",
    "Tempered",
    "Told",
    "TopK",
    "join",
    "labels_told",
]
