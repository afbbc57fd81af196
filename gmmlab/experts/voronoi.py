"""How far a fitted mixture of experts is from the true one, atom by atom.

A mixture of experts is a measure G = sum_k exp(w0_k) delta(w1_k, a_k, b_k, s_k), up to a shift (t0, t1) of (w0, w1).
Each fitted atom belongs to the cell of the true atom j that is nearest in (w1, a, b, s); with A_j the atoms of a cell

    D = inf_t sum_j [ sum_{l in A_j} e^w0_l d_j(l) ] + sum_j | sum_{l in A_j} e^w0_l - e^(w0_j + t0) |

where d_j(l) = |(w1_l - w1_j - t1, a_l - a_j, b_l - b_j, s_l - s_j)|, and in the loss of over-specified fits

    d_j(l) = |(dw1, db)|^r + |(da, ds)|^(r / 2),    r = 4, 6 in cells of 2, 3 atoms,

in cells of more than one. Here e^w0 of the fitted atoms sum to one. See Nguyen, Nguyen and Ho (2023), section 2 and 3.
"""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families import LinearGaussian
from gmmlab.gates import Softmax, TopK
from gmmlab.model import Mixture

EXPONENTS = {2: 4.0, 3: 6.0}
ROUNDS = 50  # in which weights, cells and shifts follow each other


class _Atoms:
    """The parameters of a measure: masses, and places (w1, a, b, s)."""

    def __init__(self, mixture: Mixture) -> None:
        experts, gate = mixture.components, mixture.gate
        if not isinstance(experts, LinearGaussian) or not isinstance(gate, Softmax):
            raise TypeError("Expected mixtures of linear experts with a softmax gate.")
        self.log_mass = torch.log_softmax(gate.intercepts, 0)
        self.w = gate.slopes
        self.line = torch.cat([experts.coef.flatten(1), experts.cov.flatten(1)], 1)  # a and s
        self.level = experts.intercept


def voronoi_loss(fit: Mixture, truth: Mixture, *, over: bool = False) -> float:
    """The loss above; with `over` that of fits with more atoms than the truth.

    The infimum over the shift is sought from every pair of a fitted and a true atom that a shift brings together, by
    medians. Raises `TypeError` for other kinds of mixtures.
    """
    return _aligned(fit, truth, over)[0]


def required_topk(fit: Mixture, truth: Mixture, K_true: int, *, rows: Float[Tensor, "n d"] | None = None) -> int:
    """How many experts of a fit must be active, where `K_true` of the truth are, for densities to converge for sure.

        max over sets A of K_true experts of    sum_{j in A} |cell_j|

    Whichever true experts answer, all that the fit has near them then can. With fewer active a fit may come close too;
    it is not guaranteed. The bound has two readings. Over *all* sets A it holds wherever inputs may come to lie; with
    `rows` only over the sets that are active at one of them, which is less if experts with large cells never answer
    together, and is enough for these rows alone. See Nguyen, Akbarian, Yan and Ho (2024).

    Raises `ValueError` unless 1 <= K_true <= the number of true experts.
    """
    if not 1 <= K_true <= truth.k:
        raise ValueError(f"K_true={K_true}; expected 1 to {truth.k}, the number of true experts.")
    size = torch.bincount(cells(fit, truth, _aligned(fit, truth, over=False)[1]), minlength=truth.k)
    if rows is None:
        return int(size.sort(descending=True).values[:K_true].sum())
    gate = truth.gate
    assert isinstance(gate, Softmax)  # which _Atoms has looked at, for the type checker
    ranked = gate.rank_with_bias if isinstance(gate, TopK) else False
    active = TopK.among(gate, K_true, rank_with_bias=ranked).active(rows)
    return int((active * size).sum(1).max())


def cells(fit: Mixture, truth: Mixture, shift: Float[Tensor, "p"]) -> Int[Tensor, "k"]:
    """The true atom that each fitted one is nearest to, with the gate's slopes shifted by so much."""
    return _offsets(_Atoms(fit), _Atoms(truth), shift).square().sum(2).argmin(1)


def _aligned(fit: Mixture, truth: Mixture, over: bool) -> tuple[float, Float[Tensor, "p"]]:
    """The least loss, and the shift of the gate's slopes that it is at."""
    ours, theirs = _Atoms(fit), _Atoms(truth)
    shifts = (ours.w[:, None] - theirs.w[None]).flatten(0, 1)
    return min((_at(ours, theirs, shift, over) for shift in shifts), key=lambda found: found[0])


def _offsets(ours: _Atoms, theirs: _Atoms, shift: Float[Tensor, "p"]) -> Float[Tensor, "k j f"]:
    """(w1, b), then (a, s), of each fitted atom about each true one."""
    places = [torch.cat([atoms.w, atoms.level, atoms.line], 1) for atoms in (ours, theirs)]
    places[0] = torch.cat([ours.w - shift, ours.level, ours.line], 1)
    return places[0][:, None] - places[1][None]


def _at(ours: _Atoms, theirs: _Atoms, shift: Float[Tensor, "p"], over: bool) -> tuple[float, Tensor]:
    """The loss, with the shift improved from where it is; and that shift."""
    best, where = float("inf"), shift
    for _ in range(ROUNDS):
        offsets = _offsets(ours, theirs, shift)
        cell = offsets.square().sum(2).argmin(1)
        found = _loss(ours, theirs, offsets, cell, over)
        if found > best - 1e-12:
            break
        best, where = found, shift
        shift = _median(ours.w - theirs.w[cell], ours.log_mass.exp())
    return best, where


def _loss(ours: _Atoms, theirs: _Atoms, offsets: Float[Tensor, "k j f"], cell: Int[Tensor, "k"], over: bool) -> float:
    mass, own = ours.log_mass.exp(), offsets[torch.arange(len(cell)), cell]
    size = torch.bincount(cell, minlength=len(theirs.log_mass))
    exact = own.norm(dim=1)
    if over:
        p = ours.w.shape[1] + ours.level.shape[1]
        r = torch.tensor([EXPONENTS.get(int(m), 2.0 * int(m)) for m in size], dtype=own.dtype)[cell]
        slow = own[:, :p].norm(dim=1) ** r + own[:, p:].norm(dim=1) ** (r / 2)
        exact = torch.where(size[cell] > 1, slow, exact)
    held = torch.zeros_like(theirs.log_mass).index_add(0, cell, mass)
    # the sum of |held - true e^t0| is piecewise linear in e^t0: its minimum is at one of the ratios
    true = theirs.log_mass.exp()
    ratios = torch.cat([held / true, torch.ones(1, dtype=held.dtype)])
    apart = (held[None] - true[None] * ratios[:, None]).abs().sum(1).min()
    return float((mass * exact).sum() + apart)


def _median(values: Float[Tensor, "k p"], weight: Float[Tensor, "k"]) -> Float[Tensor, "p"]:
    """Weighted medians of columns."""
    order = values.argsort(0)
    total = weight[order].cumsum(0)
    first = (total < 0.5 * weight.sum()).sum(0)
    return values.gather(0, order).gather(0, first[None])[0]
