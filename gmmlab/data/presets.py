"""Small data with a start that goes wrong, each in its own way: for lessons, and for whoever wants to see it happen.

    cigars, truth, start, note = preset("cigars")

Rows come from a stated mixture (or moons, which are none) with a fixed seed, so that they are the same everywhere.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.families import EII, VII, Full, Gaussian, Structure
from gmmlab.gates import Constant, Noisy
from gmmlab.model import Mixture

SEED = 7

Matrix = Sequence[Sequence[float]]


class Preset(NamedTuple):
    """Rows, the mixture they come from (None if they come from none), where the fit begins, and what to try."""

    x: Float[Tensor, "n 2"]
    truth: Mixture | None
    start: Mixture
    note: str


def preset(name: str) -> Preset:
    """The preset of this name. Raises `ValueError` for a name that is none."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "To explore a file, give gmmlab.load_table(path)."
        raise ValueError(f"There is no preset {name!r}; expected one of {', '.join(map(repr, PRESETS))}. {hint}")
    return PRESETS[name]()


def cigars() -> Preset:
    """Two long parallel clusters, and round components, which cut across them."""
    long = [[9.0, 0.0], [0.0, 0.06]]
    truth = _mixture([1.0, 1.0], [[0.0, -0.75], [0.0, 0.75]], [long] * 2)
    start = _mixture([1.0, 1.0], [[-1.0, -0.75], [1.0, 0.75]], [_EYE] * 2, VII())
    note = (
        "Play: two circles cut both cigars in half, because a circle cannot be long. "
        'Try gmmlab.explore("cigars", model=gmmlab.GaussianMixture(2)).'
    )
    return Preset(_drawn(truth, 400), truth, start, note)


def collapse() -> Preset:
    """Two rows almost on top of each other, and a component that shrinks onto them: the likelihood has no bound."""
    truth = _mixture([3.0, 2.0], [[0.0, 0.0], [5.0, 1.0]], [[[1.5, 0.4], [0.4, 1.0]], [[0.8, -0.3], [-0.3, 1.2]]])
    x = _drawn(truth, 200)
    x[:2] = torch.tensor([[2.6, 2.4], [2.603, 2.402]])
    small = [[1e-3, 0.0], [0.0, 1e-3]]
    start = _mixture([96.0, 96.0, 8.0], [[0.0, 0.0], [5.0, 1.0], x[0].tolist()], [_EYE, _EYE, small], ridge=1e-6)
    note = (
        "Play: the log-likelihood leaps while component 3 shrinks onto two rows. That is no cluster; remove it, or "
        "merge it with its neighbour, and play again."
    )
    return Preset(x, truth, start, note)


def unequal() -> Preset:
    """A small dense cluster beside a wide one, and a model whose components are all of one size."""
    truth = _mixture([4.0, 1.0], [[0.0, 0.0], [4.0, 0.0]], [[[3.0, 0.0], [0.0, 3.0]], [[0.05, 0.0], [0.0, 0.05]]])
    start = _mixture([1.0, 1.0], [[0.0, 0.0], [4.0, 0.0]], [_EYE, _EYE], EII())
    note = (
        "Play: all circles have one size here, as in k-means, so that the small cluster takes a part of the wide one. "
        'Try gmmlab.explore("unequal", model=gmmlab.GaussianMixture(2)).'
    )
    return Preset(_drawn(truth, 500), truth, start, note)


def moons() -> Preset:
    """Two crescents, which are no Gaussians: two components cut them, more of them follow the curve."""
    rng = _seeded()
    angle = math.pi * torch.rand(400, generator=rng, dtype=torch.float64)
    upper = torch.stack([angle[:200].cos(), angle[:200].sin()], dim=1)
    lower = torch.stack([1 - angle[200:].cos(), 0.4 - angle[200:].sin()], dim=1)
    x = torch.cat([upper, lower]) + 0.08 * torch.randn(400, 2, generator=rng, dtype=torch.float64)
    start = _mixture([1.0, 1.0], [[0.0, 0.6], [1.0, -0.2]], [[[0.2, 0.0], [0.0, 0.2]]] * 2)
    note = (
        "Play: an ellipse cannot bend, so that two of them cut both crescents. Split each component twice, play, and "
        "colour by uncertainty: a cluster may take several components."
    )
    return Preset(x, None, start, note)


def noise() -> Preset:
    """Three clusters in a background that belongs to none, and a model that knows no background."""
    means = [[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]]
    round_ = [[[0.15, 0.0], [0.0, 0.15]]] * 3
    truth = _mixture([1.0, 1.0, 1.0], means, round_)
    box = torch.tensor([[-10.0, -8.0], [10.0, 12.0]], dtype=torch.float64)
    truth = truth.replace(gate=Noisy.of(truth.weights, 0.35, *box))
    start = _mixture([1.0, 1.0, 1.0], means, [[[1.0, 0.0], [0.0, 1.0]]] * 3)
    note = (
        "Play: to hold the scattered points a component grows until it covers them all. "
        'Try gmmlab.explore("noise", model=gmmlab.GaussianMixture(3, noise=True)).'
    )
    return Preset(_drawn(truth, 450), truth, start, note)


def bad_start() -> Preset:
    """Two components in one cluster and one across two others: an optimum that EM cannot leave."""
    means = [[-4.0, 0.0], [4.0, 3.0], [4.0, -3.0]]
    truth = _mixture(
        [2.0, 1.0, 1.0], means, [[[0.8, 0.0], [0.0, 0.8]], [[0.4, 0.0], [0.0, 0.4]], [[0.4, 0.0], [0.0, 0.4]]]
    )
    start = _mixture([1.0, 1.0, 2.0], [[-4.6, -0.6], [-3.4, 0.6], [4.0, 0.0]], [_EYE, _EYE, [[0.5, 0.0], [0.0, 10.0]]])
    note = (
        "Play: two components share one cluster, and the third covers two. Merge the two, split the third, "
        "and play again."
    )
    return Preset(_drawn(truth, 400), truth, start, note)


_EYE = [[1.0, 0.0], [0.0, 1.0]]

PRESETS: dict[str, Callable[[], Preset]] = {
    "cigars": cigars,
    "collapse": collapse,
    "unequal": unequal,
    "moons": moons,
    "noise": noise,
    "bad start": bad_start,
}


def _mixture(
    weights: Sequence[float],
    means: Matrix,
    covs: Sequence[Matrix],
    structure: Structure | None = None,
    ridge: float = 0.0,
) -> Mixture:
    place, cov, share = (torch.tensor(part, dtype=torch.float64) for part in (means, covs, weights))
    return Mixture(Gaussian.of(place, cov, structure or Full(), ridge=ridge), Constant.of(share))


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


def _drawn(truth: Mixture, n: int) -> Float[Tensor, "n 2"]:
    return truth.sample(n, _seeded())[0]
