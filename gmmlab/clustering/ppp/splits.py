"""Whether rows are two groups: two Gaussians against one, and against the cuts that were proposed.

Sultan (2020) lets k-means propose and a Gaussian mixture validate. Which scores are taken, and their thresholds, are
our reconstruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import torch

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.clustering.ppp.proposals import Proposal
from gmmlab.families import Structure
from gmmlab.fit import last, plateau, run, whole
from gmmlab.init import from_labels, from_responsibilities
from gmmlab.model import Mixture
from gmmlab.score.criteria import bic


class Fitting(NamedTuple):
    """How mixtures are fitted."""

    structure: Structure
    ridge: float
    tol: float
    max_iter: int


class Split(NamedTuple):
    """Two fitted groups, and what speaks for them."""

    gain: float  # BIC of one Gaussian less that of two: positive where two are better supported
    kept: float  # the same if rows have to stay on the sides that were proposed
    agreement: float  # share of rows on the same side in a proposed cut and in the mixture
    confidence: float  # mean of the larger responsibility
    separation: float  # Bhattacharyya distance of the two Gaussians
    smaller: int  # rows of the smaller side
    upper: Float[Tensor, "n"]  # responsibility of the second group

    @property
    def side(self) -> Bool[Tensor, "n"]:
        """Whether a row belongs to the second group."""
        return self.upper > 0.5

    @property
    def certainty(self) -> Float[Tensor, "n"]:
        """The larger responsibility of each row."""
        return torch.maximum(self.upper, 1 - self.upper)


class Thresholds(NamedTuple):
    """What a split has to reach. All but `min_size` can be judged again from scores that were kept."""

    min_size: int
    bic_margin: float
    agreement: float
    confidence: float

    def accepts(self, split: Split) -> bool:
        """Whether it does."""
        return (
            split.gain > self.bic_margin
            and split.agreement >= self.agreement
            and split.confidence >= self.confidence
            and split.smaller >= self.min_size
        )


def best_split(z: Float[Tensor, "n d"], proposals: Sequence[Proposal], fitting: Fitting, min_size: int) -> Split | None:
    """The split of most gain with its rows where they were proposed; None where no proposal has `min_size` rows each.

    To rank by the gain alone would let a mixture win that has left its proposal for another split than this.
    """
    if len(z) < 2 * min_size:
        return None
    sides = [side for propose in proposals if min(_sizes(side := propose(z))) >= min_size]
    if not sides:
        return None
    one = bic_of_one(z, fitting)
    return max((validated(z, side, fitting, one) for side in sides), key=lambda split: split.kept)


def validated(z: Float[Tensor, "n d"], side: Bool[Tensor, "n"], fitting: Fitting, one: float | None = None) -> Split:
    """Two Gaussians fitted by EM from a cut, with their scores; `one` is the BIC of one Gaussian if it is known."""
    one = bic_of_one(z, fitting) if one is None else one
    model = climbed(from_labels(z, side.long(), fitting.structure, ridge=fitting.ridge), z, fitting)
    posterior = model.posterior(z)
    upper = posterior.resp[:, 1]
    found = upper > 0.5
    gain = one - bic(float(posterior.evidence.sum()), model.n_parameters, len(z))
    stayed = torch.where(side, upper, posterior.resp[:, 0]).clamp(min=torch.finfo(upper.dtype).tiny)
    return Split(
        gain=gain,
        kept=gain + 2 * float(stayed.log().sum()),
        agreement=_agreement(found, side),
        confidence=float(posterior.resp.amax(1).mean()),
        separation=bhattacharyya(model),
        smaller=min(_sizes(found)),
        upper=upper,
    )


def bic_of_one(z: Float[Tensor, "n d"], fitting: Fitting) -> float:
    """BIC of one Gaussian for all rows."""
    model = from_responsibilities(z, torch.ones_like(z[:, :1]), fitting.structure, ridge=fitting.ridge)
    return bic(float(model.log_prob(z).sum()), model.n_parameters, len(z))


def climbed(model: Mixture, z: Float[Tensor, "n d"], fitting: Fitting) -> Mixture:
    """The mixture after EM."""
    return last(islice(run(model, whole(z), stop=plateau(fitting.tol)), fitting.max_iter)).model


def bhattacharyya(model: Mixture) -> float:
    """The distance of two Gaussians, -log of the integral of (p q)^1/2.

        1/8 (m - l)' S^-1 (m - l) + 1/2 log(|S| / (|S_p| |S_q|)^1/2),      S = (S_p + S_q) / 2

    See Bhattacharyya (1943), and Fukunaga (1990), eq. 3.152.
    """
    gaussian = model.gaussian
    apart, cov = gaussian.mean[1] - gaussian.mean[0], gaussian.cov
    middle = cov.mean(0)
    log_det = torch.linalg.slogdet(torch.cat([middle[None], cov])).logabsdet
    return float(apart @ torch.linalg.solve(middle, apart) / 8 + (log_det[0] - log_det[1:].mean()) / 2)


def _sizes(side: Bool[Tensor, "n"]) -> tuple[int, int]:
    upper = int(side.sum())
    return upper, len(side) - upper


def _agreement(a: Bool[Tensor, "n"], b: Bool[Tensor, "n"]) -> float:
    """Share of rows on the same side, whichever side is called the second."""
    same = float((a == b).double().mean())
    return max(same, 1 - same)
