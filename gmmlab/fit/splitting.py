"""Split-and-merge EM: out of a poor optimum by moves that no small step can make.

EM cannot carry a component from where there are too many to where there are too few. A proposal does: it merges two
components that share their rows and splits a third that does not look Gaussian, so that their number stays. EM
goes on from there, and the outcome is kept if it is better. See Ueda, Nakano, Ghahramani and Hinton (2000).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.errors import NotPositiveDefinite
from gmmlab.fit import moves
from gmmlab.fit.loop import Step, Stop, plateau, run
from gmmlab.fit.source import Source
from gmmlab.model import Mixture
from gmmlab.steps import MixtureStats, m_step

ROWS = 400  # of a component, for its split gain: the kernel density compares all pairs
FEWEST = 4  # rows of a component that could be two
TINY = torch.finfo(torch.float64).tiny


class Proposal(NamedTuple):
    """Merge components i and j, split component k."""

    i: int
    j: int
    k: int

    def of(self, model: Mixture) -> Mixture:
        """The model after both moves, with as many components as before."""
        merged = moves.merge(model, self.i, self.j)
        return moves.split(merged, self.k - (self.k > max(self.i, self.j)))


def merge_losses(
    model: Mixture, resp: Float[Tensor, "n k"], weight: Float[Tensor, "n"] | None = None
) -> Float[Tensor, "k k"]:
    """About how much log-likelihood it costs to merge two components, in nats; infinite on the diagonal.

        L_ab = q_a + q_b - q_(a+b) + Delta(a, b),        q_k = w_k (log w_k - log|Sigma_k| / 2)

    q is what a component of w_k rows contributes to the expected log-likelihood of rows with labels, and Delta is the
    entropy of the labels that merging frees. Nothing is lost on twins, and little on a component of few rows. The
    merged covariance is that of the pair, whatever the structure. (Ueda et al. (2000) take the inner product of the
    responsibilities instead, which overlooks a component that holds a few rows for itself.)
    """
    resp = resp.double() if weight is None else weight.double()[:, None] * resp
    w, cov = resp.sum(0), model.gaussian.cov
    loss = torch.stack([_merge_loss(a, w, model.gaussian.mean, cov) + _freed(resp, a) for a in range(model.k)])
    return loss.fill_diagonal_(math.inf)


def split_gains(
    model: Mixture, x: Float[Tensor, "n d"], resp: Float[Tensor, "n k"], weight: Float[Tensor, "n"] | None = None
) -> Float[Tensor, "k"]:
    """About how much log-likelihood there is to gain where a component is not Gaussian, in nats.

        w_k sum_i f_ik (log f~_k(x_i) - log N~_k(x_i)),        f_ik = r_ik / w_k

    The sum is the local Kullback-Leibler divergence of Ueda et al. (2000). Rows are seen in units of the component, in
    which its Gaussian is standard; f~ is a kernel density without the row itself, and N~ is the Gaussian smoothed by
    the same kernel, so that Gaussian rows score near zero. Up to 400 evenly spaced rows of each component are used.
    -inf for a component with too few rows to be two.
    """
    resp = resp.double() if weight is None else weight.double()[:, None] * resp
    return torch.stack([_split_gain(model, k, x, resp[:, k]) for k in range(model.k)])


def proposals(losses: Float[Tensor, "k k"], gains: Float[Tensor, "k"], most: int) -> list[Proposal]:
    """The merges of two with the split of a third that promise most, best first."""
    k = torch.arange(len(gains), device=gains.device)
    net = gains - losses[:, :, None]
    allowed = (k[:, None, None] < k[:, None]) & (k != k[:, None, None]) & (k != k[:, None]) & net.isfinite()
    score, at = torch.where(allowed, net, -math.inf).flatten().topk(min(most, net.numel()))
    return [Proposal(*_unravel(i, len(gains))) for i in at[score.isfinite()].tolist()]


def split_merge(
    model: Mixture,
    source: Source,
    x: Tensor | Callable[[Mixture], Tensor],
    weight: Float[Tensor, "n"] | None = None,
    *,
    refit: Callable[[Mixture, MixtureStats], Mixture] = m_step,
    stop: Stop = plateau(1e-6),  # noqa: B008 - a rule has no state
    max_moves: int = 20,
    tries: int = 5,
    gain: float = 1e-5,
) -> Iterator[Step]:
    """Steps of EM from `model`, then of up to `max_moves` proposals, the `tries` best at each optimum.

    A step yields the best model so far, with its objective (evidence, and log prior where there is one), which never
    falls: it stands still while a proposal is tried, and rises when one is kept. One is kept when it ends at least
    `gain` per row above. `x`, with
    `weight`, are the rows (n, d) that the proposals are drawn up from: all those of `source` or a sample of them, or a
    function of the model that gives them, where rows are not seen as they are. The search ends when none of `tries`
    proposals is kept.
    """
    for best in run(model, source, refit=refit, stop=stop):
        yield best
    left = max_moves
    while left > 0:
        before = best.model
        for proposal in _promising(before, x(before) if callable(x) else x, weight, min(tries, left)):
            left -= 1
            fit = _fit(proposal, before, lambda candidate: run(candidate, source, refit=refit, stop=stop))
            best = yield from _challenged(best, fit, gain)
            if best.model is not before:
                break
        else:
            return


def _promising(model: Mixture, x: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None, most: int) -> list[Proposal]:
    resp = model.posterior(x).resp
    return proposals(merge_losses(model, resp, weight), split_gains(model, x, resp, weight), most)


def _fit(proposal: Proposal, model: Mixture, em: Callable[[Mixture], Iterator[Step]]) -> Iterator[Step]:
    yield from em(proposal.of(model))  # a generator, so that an impossible proposal fails where its fit would


def _challenged(best: Step, fit: Iterator[Step], gain: float) -> Generator[Step, None, Step]:
    """Steps that show `best` while another fit runs, in the end the better of the two, which is returned."""
    end, taken = best, 0
    try:
        for trial in fit:
            if taken:
                yield best._replace(i=best.i + taken)
            end, taken = trial, taken + 1
    except NotPositiveDefinite:
        end = best  # the proposal collapsed
    if float(end.info.objective) < float(best.info.objective) + gain:
        end = best
    best = end._replace(i=best.i + taken)
    if taken:
        yield best
    return best


def _merge_loss(
    a: int, w: Float[Tensor, "k"], mean: Float[Tensor, "k d"], cov: Float[Tensor, "k d d"]
) -> Float[Tensor, "k"]:
    """q_a + q_b - q_(a+b) for every b."""
    total = (w[a] + w).clamp(min=TINY)
    share, apart = (w / total)[:, None, None], mean - mean[a]
    joined = share * cov + (1 - share) * cov[a] + share * (1 - share) * apart[:, :, None] * apart[:, None, :]
    return _labelled(w, cov) + _labelled(w[a], cov[a]) - _labelled(total, joined)


def _labelled(w: Tensor, cov: Tensor) -> Tensor:
    return w * (w.clamp(min=TINY).log() - 0.5 * torch.linalg.slogdet(cov).logabsdet)


def _freed(resp: Float[Tensor, "n k"], a: int) -> Float[Tensor, "k"]:
    """Entropy of the labels that merging with component a frees; weights scale it and leave its differences alone."""
    own, h = resp[:, a, None], torch.special.entr
    return (h(own) + h(resp) - h(own + resp)).sum(0)


def _unravel(index: int, k: int) -> tuple[int, int, int]:
    return index // (k * k), index // k % k, index % k


def _split_gain(model: Mixture, k: int, x: Float[Tensor, "n d"], w: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    seen = (w > 1e-3 * w.amax()).nonzero().flatten()
    rows = seen[:: math.ceil(len(seen) / ROWS) or 1]
    if len(rows) < FEWEST:
        return w.new_tensor(-math.inf)
    z, f, d = _standardised(model, k, x[rows]), w[rows] / w[rows].sum(), x.shape[1]
    width = float(f.square().sum()) ** (1 / (d + 4))  # Scott's rule for 1 / sum f^2 rows of variance one
    kernel = -0.5 * torch.cdist(z, z).square() / width**2 - d * math.log(width)
    density = torch.logsumexp(kernel.fill_diagonal_(-math.inf) + f.log(), dim=1) - torch.log1p(-f)
    wide = 1 + width**2
    gaussian = -0.5 * z.square().sum(1) / wide - d / 2 * math.log(wide)
    return w.sum() * (f @ (density - gaussian))


def _standardised(model: Mixture, k: int, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Rows in units of component k, where its Gaussian is standard."""
    offset, chol = rows.double() - model.gaussian.mean[k], model.gaussian.chol[k]
    if chol.ndim == 1:
        return offset / chol
    return torch.linalg.solve_triangular(chol, offset.mT, upper=False).mT
