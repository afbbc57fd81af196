"""The whole way as steps: growth, merges, and EM over all rows, each with the mixture of the groups so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import count, islice
from typing import NamedTuple

from gmmlab.axes import Float, Int, Tensor
from gmmlab.clustering.ppp.merging import Group, merged
from gmmlab.clustering.ppp.proposals import Proposal
from gmmlab.clustering.ppp.splits import Fitting, best_split
from gmmlab.clustering.ppp.tree import Accepts, Node, Tree, cut, grow
from gmmlab.fit import plateau, run, whole
from gmmlab.gates import Constant
from gmmlab.init import blank
from gmmlab.model import Mixture
from gmmlab.record import cat
from gmmlab.stats import Moments


@dataclass(frozen=True)
class Info:
    """What is known in a step: the tree so far, the groups, and the node that was visited."""

    tree: Tree
    groups: tuple[Group, ...]  # each of the leaves of `tree` that it is made of
    node: Node | None  # None once the tree is grown
    seen: Mixture
    x: Float[Tensor, "n d"]

    @cached_property
    def evidence(self) -> float:
        """Mean log-likelihood per row of the model of the step, found when it is asked for."""
        return float(self.seen.assign(self.x)[1])


@dataclass(frozen=True)
class Visit:
    """A step: a node visited, a pair of groups merged, or a step of EM over all rows; and the mixture after it."""

    i: int
    model: Mixture
    info: Info


class Plan(NamedTuple):
    """What is to be done with rows."""

    proposals: Sequence[Proposal]
    fitting: Fitting
    min_size: int
    accepts: Accepts  # which splits make groups
    wanted: Accepts  # which splits the tree is grown below
    merge: bool
    polish: bool


def visits(x: Float[Tensor, "n d"], z: Float[Tensor, "n d"], plan: Plan) -> Iterator[Visit]:
    """Steps over rows `x`, of which the tree sees `z`: the same in other units."""
    numbers, fitting = count(1), plan.fitting

    def visit(groups: Sequence[Group], tree: Tree, node: Node | None = None) -> Visit:
        model = mixture_of(x, tree, groups, fitting)
        return Visit(next(numbers), model, Info(tree, tuple(groups), node, model, x))

    best = partial(best_split, proposals=plan.proposals, fitting=fitting, min_size=plan.min_size)
    dense = fitting.structure.dense
    for tree, node in grow(partial(moments_of, x, x.mean(0).double(), dense), z, best, plan.wanted):
        now = visit(singles(cut(tree, plan.accepts)), tree, node)
        yield now
    if plan.merge:
        for groups in merged(z, now.info.tree, now.info.groups, fitting):
            now = visit(groups, now.info.tree)
            yield now
    if plan.polish and now.model.k > 1:
        steps = run(now.model, whole(x), stop=plateau(fitting.tol))
        for model in (step.model for step in islice(steps, fitting.max_iter)):
            yield Visit(next(numbers), model, Info(now.info.tree, now.info.groups, None, model, x))


def singles(leaves: tuple[int, ...]) -> tuple[Group, ...]:
    """Each leaf a group of its own."""
    return tuple((leaf,) for leaf in leaves)


def moments_of(x: Float[Tensor, "n d"], origin: Float[Tensor, "d"], dense: bool, rows: Int[Tensor, "m"]) -> Moments:
    """Moments of some rows, given by their numbers."""
    y = x[rows].double() - origin
    s2 = y.T @ y if dense else y.square().sum(0)
    return Moments(origin.new_full((1,), len(y)), y.sum(0)[None], s2[None], origin)


def mixture_of(x: Float[Tensor, "n d"], tree: Tree, groups: Sequence[Group], fitting: Fitting) -> Mixture:
    """The mixture of groups of leaves, with their shares as weights, out of the moments of the leaves."""
    parts = [sum((tree.nodes[leaf].moments for leaf in rest), tree.nodes[first].moments) for first, *rest in groups]
    moments = cat(parts)
    begin = blank(x, len(groups), fitting.structure, fitting.ridge)
    return Mixture(begin.gaussian.refit(moments), Constant.of(moments.w))
