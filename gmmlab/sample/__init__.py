"""Samplers: iterators of draws from the posterior of a mixture."""

from gmmlab.sample.blocked import blocked_gibbs
from gmmlab.sample.collapsed import collapsed_gibbs
from gmmlab.sample.draws import Belief, Draw, Moves, Sweep
from gmmlab.sample.process import Dirichlet, Gamma, Process, Restaurant, Sticks, Weights
from gmmlab.sample.split_merge import split_merge

__all__ = [
    "Belief",
    "Dirichlet",
    "Draw",
    "Gamma",
    "Moves",
    "Process",
    "Restaurant",
    "Sticks",
    "Sweep",
    "Weights",
    "blocked_gibbs",
    "collapsed_gibbs",
    "split_merge",
]
