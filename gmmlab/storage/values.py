"""The values that a file may hold: their names there, and what makes them sound beyond what annotations say.

Names are part of the format; classes may move. Nothing else is ever made of what stands in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypedDict

import torch

from gmmlab.algebra.kernel_density import KernelDensity
from gmmlab.algebra.modes import Modes
from gmmlab.axes import Float, Int, Tensor
from gmmlab.clustering.discovery import moves as discovery_moves
from gmmlab.clustering.discovery import sweeps as discovery
from gmmlab.clustering.ppp import splits, tree
from gmmlab.clustering.sdp_clustering import Record as Round
from gmmlab.clustering.star_clusters import Facts, SkyTree
from gmmlab.clustering.tangles import search as tangles
from gmmlab.estimators.fitting import Online
from gmmlab.families import (
    FactorAnalyzers,
    Gaussian,
    LinearGaussian,
    Logits,
    NormalInverseWishart,
    NormalWishart,
    Prior,
    ScaledLinear,
    Student,
)
from gmmlab.families import student as dofs
from gmmlab.families.student import Scaled
from gmmlab.fit import growing
from gmmlab.fit.transforms import Running
from gmmlab.gates import Constant, DirichletWeights, Markov, Noisy, Softmax, StickWeights, TopK
from gmmlab.gates.sticks import Known, Learned
from gmmlab.kernels import profiles
from gmmlab.model import Mixture
from gmmlab.sample import process
from gmmlab.sample.draws import Belief
from gmmlab.sequences import emissions
from gmmlab.stats import Counts, Moments, NoisyCounts
from gmmlab.steps import MixtureStats
from gmmlab.storage.hints import Array, check_fields, check_items, fields_of

NEAR = 1e-5  # of one: how well probabilities that were stored sum to it


class Value(NamedTuple):
    """A class, and what raises `ValueError` for a value of it that is not sound."""

    kind: type
    sound: Callable[[Any], None] = lambda _: None


class Edges(TypedDict):
    """What a `SkyTree` has, in the kind of array that rows came in."""

    pairs: Int[Array, "m 2"]
    lengths: Float[Array, "m"]


def taken_apart(value: Any) -> tuple[str, dict[str, Any]]:
    """The name of a value's class, and its fields. Raises `ValueError` for one that `made_of` would refuse."""
    kind = type(value)
    held = {field: getattr(value, field) for field in fields_of(kind)}
    check_fields(kind, held)
    VALUES[NAMES[kind]].sound(value)
    return NAMES[kind], held


def made_of(name: str, held: Mapping[str, Any]) -> Any:
    """The value of a class by its name, and its fields. Raises `ValueError` for fields that make no sound value."""
    entry = VALUES[name]
    check_fields(entry.kind, held)
    value = entry.kind(**held)
    entry.sound(value)
    return value


# -- what makes values sound -------------------------------------------------------------------------------------------


def _require(condition: Any, fault: str) -> None:
    if not bool(condition):
        raise ValueError(fault)


def _positive(*names: str) -> Callable[[Any], None]:
    def sound(value: Any) -> None:
        for name in names:
            smallest = torch.as_tensor(getattr(value, name)).min()
            _require(smallest > 0, f"{name} of {type(value).__name__} has {float(smallest):g}, expected above 0")

    return sound


def _at_least_zero(value: Any, *names: str) -> None:
    for name in names:
        smallest = torch.as_tensor(getattr(value, name)).min()
        _require(smallest >= 0, f"{name} of {type(value).__name__} has {float(smallest):g}, expected at least 0")


def _sums_to_one(log_p: Tensor, name: str) -> None:
    """Along the last axis."""
    off = (log_p.exp().sum(-1) - 1).abs().max()
    _require(off <= NEAR, f"{name} do not sum to one ({float(off):.2g} off)")


def _columns(columns: tuple[int, ...], wide: int, width: int | None = None) -> None:
    """As many as are asked for, all different, and there."""
    there = len(set(columns)) == len(columns) == wide and all(j >= 0 and (width is None or j < width) for j in columns)
    _require(there, f"the columns {columns} are not {wide} different ones that rows have")


def _factored(value: Gaussian | LinearGaussian) -> None:
    """Lower factors, or standard deviations, of covariances: positive on the diagonal."""
    chol, dense = value.chol, value.chol.ndim == 3
    diagonal = chol.diagonal(dim1=-2, dim2=-1) if dense else chol
    _require((diagonal > 0).all(), "a covariance is not positive definite: its factor has a diagonal that is not")
    _require(not dense or (chol.triu(1) == 0).all(), "a factor of a covariance is not lower triangular")
    _require(dense == value.structure.dense, "the covariances are not of their structure")
    _at_least_zero(value, "jitter")


def _gaussian(value: Gaussian) -> None:
    _factored(value)
    _at_least_zero(value, "ridge")


def _definite(matrices: Tensor, name: str) -> None:
    _require((torch.linalg.cholesky_ex(matrices)[1] == 0).all(), f"{name} is not positive definite")


def _wishart(value: NormalWishart) -> None:
    _require(value.gaussian.prior is not None, "a posterior has no prior")
    _at_least_zero(value, "ridge")


def _linear(value: LinearGaussian) -> None:
    _factored(value)
    _at_least_zero(value, "floor")
    _columns((*value.inputs, *value.outputs), sum(value.coef.shape[1:]), len(value.origin))


def _logits(value: Logits) -> None:
    _positive("scale")(value)
    _at_least_zero(value, "ridge")
    _columns((*value.inputs, value.output), len(value.scale) + 1, len(value.origin))
    _require(value.w.shape[2] == len(value.scale) + 1, "the weights are not those of the inputs")


def _scaled(value: ScaledLinear) -> None:
    _positive("scale")(value)
    _require(value.noise.shape[1] == len(value.scale) + 1 == value.lines.coef.shape[2] + 1, "the noise has no slopes")


def _inverse_wishart(value: NormalInverseWishart) -> None:
    _positive("kappa")(value)
    _definite(value.scale, "the scale of a prior")
    _require((value.dof > value.mean.shape[1] - 1).all(), "a prior has too few degrees of freedom")


def _constant(gate: Constant) -> None:
    _sums_to_one(gate.log_w, "the weights of components")


def _noisy(gate: Noisy) -> None:
    _sums_to_one(torch.cat([gate.log_w, gate.log_none[None]]), "the weights of components and noise")
    _require((gate.low < gate.high).all(), "the box of the noise has no volume")


def _markov(gate: Markov) -> None:
    _sums_to_one(gate.start, "the probabilities of first states")
    _sums_to_one(gate.moves, "the probabilities of moves")
    if gate.parts is not None:
        _sums_to_one(gate.parts.T, "the weights within states")
    _require(len(gate.share.log_w) == len(gate.start if gate.parts is None else gate.parts), "states lack components")


def _softmax(gate: Softmax) -> None:
    _positive("scale")(gate)
    _at_least_zero(gate, "ridge", "share")
    _sums_to_one(gate.share.log(), "the shares of components")
    _columns(gate.columns, len(gate.scale))
    _require(gate.w.shape[1] == len(gate.scale) + 1, "the weights of the gate are not those of its columns")


def _topk(gate: TopK) -> None:
    _softmax(gate)
    _positive("top_k")(gate)


def _sticks(gate: StickWeights) -> None:
    _positive("a", "b")(gate)
    _require(gate.place.sort().values.tolist() == list(range(1, len(gate.a) + 1)), "pieces share a place on the stick")
    _require(0 <= gate.discount < 1, "the discount is not from 0 to below 1")


def _mixture(mixture: Mixture) -> None:
    k, own = mixture.k, len(mixture.gate.weights)
    _require(k == own, f"a mixture has {k} components and {own} weights")


def _moments(stats: Moments) -> None:
    _at_least_zero(stats, "w")


def _totals(stats: MixtureStats) -> None:
    _require(stats.evidence.ndim == stats.n.ndim == 0, "statistics are of several mixtures")
    _positive("n")(stats)


def _goes_on(online: Online) -> None:
    """What is averaged is of the model."""
    if online.state is None:
        return
    _require(isinstance(online.state, Running), "a fit that goes on averages no statistics")
    model, mean = online.model, online.state.mean
    asked = (
        (Scaled if isinstance(model.components, Student) else Moments),
        (NoisyCounts if isinstance(model.gate, Noisy) else Counts),
    )
    _require((type(mean.components), type(mean.gate)) == asked, "a fit averages statistics of another model")
    _require((mean.gate.w.shape[0], model.k) == (model.k, mean.components.w.shape[0]), "components lack statistics")


def _sky_tree(tree: SkyTree) -> None:
    check_items({"pairs": tree.pairs, "lengths": tree.lengths}, Edges, {})


def _grown(grown: growing.Grown) -> None:
    _at_least_zero(grown, "sp", "age", "seen", "born")
    _definite(grown.precision, "a precision")


def _modes(modes: Modes) -> None:
    _numbers(modes.basins, -1, len(modes.points), "basins")


def _numbers(given: Tensor, low: int, high: int, name: str) -> None:
    _require(((given >= low) & (given < high)).all(), f"{name} has numbers beyond {low} to {high - 1}")


def _tree(grown: tree.Tree) -> None:
    """Nodes are where their numbers say; children come after their parents, and share their rows."""
    _require(grown.nodes, "a tree has no nodes")
    for at, node in enumerate(grown.nodes):
        later = all(at < child < len(grown.nodes) for child in node.children or ())
        earlier = node.parent is None if at == 0 else node.parent is not None and 0 <= node.parent < at
        _require(node.number == at and later and earlier, f"node {at} of a tree is out of place")
        _numbers(node.rows, 0, grown.n, "rows of a node")
        shared = sum(len(grown.nodes[child].rows) for child in node.children or ())
        _require(node.children is None or shared == len(node.rows), f"the children of node {at} do not share its rows")
        _require(
            node.split is None or len(node.split.upper) == len(node.rows), f"the split of node {at} has other rows"
        )


def _rule(rule: growing.Rule) -> None:
    _positive("width")(rule)
    _require(0 < rule.tau < 1 and 0 < rule.forgetting <= 1, "tau and forgetting are not between 0 and 1")


def _prior(prior: Prior) -> None:
    _at_least_zero(prior, "kappa", "rows")
    scale = prior.scale
    smallest = torch.linalg.eigvalsh(scale).min() if scale.ndim == 3 else scale.min()
    _require(smallest >= -NEAR * scale.abs().max(), "the scale of a prior has a negative variance")


# -- the table ---------------------------------------------------------------------------------------------------------

VALUES: dict[str, Value] = {
    "mixture": Value(Mixture, _mixture),
    # families
    "gaussian": Value(Gaussian, _gaussian),
    "prior": Value(Prior, _prior),
    "student": Value(Student, _positive("dof")),
    "own dof": Value(dofs.Own),
    "common dof": Value(dofs.Common),
    "fixed dof": Value(dofs.Fixed),
    "factor analyzers": Value(FactorAnalyzers),
    "normal wishart": Value(NormalWishart, _wishart),
    "normal inverse wishart": Value(NormalInverseWishart, _inverse_wishart),
    "linear": Value(LinearGaussian, _linear),
    "scaled linear": Value(ScaledLinear, _scaled),
    "logits": Value(Logits, _logits),
    # gates
    "constant": Value(Constant, _constant),
    "noisy": Value(Noisy, _noisy),
    "markov": Value(Markov, _markov),
    "softmax": Value(Softmax, _softmax),
    "top k": Value(TopK, _topk),
    "dirichlet weights": Value(DirichletWeights, _positive("alpha", "alpha0")),
    "stick weights": Value(StickWeights, _sticks),
    "known": Value(Known, _positive("mean")),
    "learned": Value(Learned, _positive("shape", "rate", "shape0", "rate0")),
    # statistics, and fits that go on
    "moments": Value(Moments, _moments),
    "scaled": Value(Scaled),
    "counts": Value(Counts),
    "noisy counts": Value(NoisyCounts),
    "mixture stats": Value(MixtureStats, _totals),
    "running": Value(Running, _positive("seen", "batch")),
    "online": Value(Online, _goes_on),
    "grown": Value(growing.Grown, _grown),
    "rule": Value(growing.Rule, _rule),
    "event": Value(growing.Event),
    # sampling
    "belief": Value(Belief),
    "restaurant": Value(process.Restaurant),
    "dirichlet": Value(process.Dirichlet, _positive("k")),
    "sticks": Value(process.Sticks, _positive("k")),
    # clustering
    "sweep": Value(discovery.Info),
    "move": Value(discovery_moves.Move),
    "round": Value(Round),
    "tree": Value(tree.Tree, _tree),
    "node": Value(tree.Node),
    "split": Value(splits.Split),
    "tangle": Value(tangles.Node),
    "cuts": Value(tangles.Cuts),
    "sky tree": Value(SkyTree, _sky_tree),
    "facts": Value(Facts),
    "modes": Value(Modes, _modes),
    "kernel density": Value(KernelDensity),
    "normal": Value(profiles.Normal),
    "generalised": Value(profiles.Generalised),
    "logistic": Value(profiles.Logistic),
    "secant": Value(profiles.Secant),
    "cauchy": Value(profiles.Cauchy),
    "epanechnikov": Value(profiles.Epanechnikov),
    # sequences
    "gaussian emission": Value(emissions.GaussianEmission),
    "student emission": Value(emissions.StudentEmission),
    "factor emission": Value(emissions.FactorEmission, _positive("n_factors")),
    "gmm emission": Value(emissions.GMMEmission, _positive("n_components")),
}
NAMES: dict[type, str] = {value.kind: name for name, value in VALUES.items()}
