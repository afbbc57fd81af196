"""What a Markov gate is refitted from: rows, first states, moves from state to state."""

from __future__ import annotations

from gmmlab.axes import Float, Tensor
from gmmlab.stats.counts import Counts


class Transitions(Counts):
    """Expected counts: rows of each component, sequences that start in each state, moves from one to the next."""

    start: Float[Tensor, "s"]
    moves: Float[Tensor, "s s"]


class PartedTransitions(Transitions):
    """The same where states are mixtures, with the rows of each component that are of each state."""

    parts: Float[Tensor, "k s"]
