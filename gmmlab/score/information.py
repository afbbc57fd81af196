"""How sure the data are of a fitted mixture: observed information, standard errors.

The coordinates are log ratios of the weights to the last one, the means, and the free elements of the covariances. The
log likelihood of a row is log sum_k exp(eta_k' T_k), with T_k the quadratic features of the row in the frame of
component k (about its mean, whitened by its factor), and eta_k the natural parameters there. Hence

    score of row i       s_i = sum_k r_ik J_k' T_ik,      J_k = d eta_k / d theta
    empirical            B = sum_i s_i s_i'
    observed             I = B - sum_k J_k' (sum_i r_ik T_ik T_ik') J_k - sum_k g_k' d2 eta_k / d theta2

with g_k = sum_i r_ik T_ik: exact second derivatives from sums over rows that are matrix products, and derivatives of a
function that sees no rows. See Louis (1982), McLachlan and Peel (2000), section 2.16, and Boldea and Magnus (2009).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.autograd.functional import hessian, jacobian

from gmmlab.axes import Float, Tensor
from gmmlab.errors import NotPositiveDefinite
from gmmlab.families import EII, Blocks, Gaussian, Structure
from gmmlab.families.structures import EEE, EEI, VII, VVI, VVV
from gmmlab.kernels import forms
from gmmlab.kernels.chunks import chunk_rows
from gmmlab.model import Mixture


class Parameters(NamedTuple):
    """Numbers about the parameters of a mixture, such as their standard errors, in the shapes of the parameters."""

    weights: Float[Tensor, "k"]
    mean: Float[Tensor, "k d"]
    cov: Float[Tensor, "k d d"]


def _elements(d: int) -> Float[Tensor, "q d d"]:
    """One symmetric matrix for each element of the lower triangle."""
    i, j = torch.tril_indices(d, d)
    units = torch.zeros(len(i), d, d, dtype=torch.float64)
    units[torch.arange(len(i)), i, j] = units[torch.arange(len(i)), j, i] = 1
    return units


def _axes(d: int) -> Float[Tensor, "d d"]:
    return torch.eye(d, dtype=torch.float64)


def _everywhere(d: int) -> Float[Tensor, "1 d"]:
    return torch.ones(1, d, dtype=torch.float64)


# What the covariances of a structure are sums of; only structures that are linear spaces have such units.
UNITS: dict[type[Structure], Callable[[int], Tensor]] = {
    VVV: _elements,
    Blocks: _elements,  # of which those within a block are taken
    EEE: _elements,
    VVI: _axes,
    EEI: _axes,
    VII: _everywhere,
    EII: _everywhere,
}


class Chart(NamedTuple):
    """Free coordinates of mixtures of one kind: k - 1 log ratios, k d means, and coefficients of covariance units."""

    k: int
    d: int
    shared: bool
    units: Float[Tensor, "q d d"] | Float[Tensor, "q d"]

    @classmethod
    def of(cls, components: Gaussian) -> Chart:
        """The chart in which these components lie. Raises `ValueError` where the structure is not a linear space."""
        structure = components.structure
        if type(structure) not in UNITS:
            known = ", ".join(kind.__name__ for kind in UNITS)
            raise ValueError(
                f"The observed information is known for the structures {known}, not for {structure.name}. The "
                "bootstrap works for every structure."
            )
        units = UNITS[type(structure)](components.d)
        if isinstance(structure, Blocks):
            units = units[~(units.bool() & ~structure.within(components.d)).flatten(1).any(1)]
        units = units.to(components.mean)
        return cls(components.k, components.d, structure.shared, units)

    def pack(self, mixture: Mixture) -> Float[Tensor, "p"]:
        """The coordinates of a mixture."""
        components, log_w = mixture.gaussian, mixture.weights.log()
        square = components.cov if components.structure.dense else components.chol**2
        units = self.units.flatten(1)
        free = square[: 1 if self.shared else self.k].flatten(1) @ units.T / units.sum(1)
        return torch.cat([log_w[:-1] - log_w[-1], components.mean.flatten(), free.flatten()])

    def unpack(self, theta: Float[Tensor, "p"]) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights (k,), means (k, d) and covariances (k, d, d) or variances (k, d) at these coordinates."""
        ratios, mean, free = self.split(theta)
        log_w = torch.log_softmax(torch.cat([ratios, ratios.new_zeros(1)]), dim=0)
        square = torch.tensordot(free.view(-1, len(self.units)), self.units, 1)
        return log_w, mean.view(self.k, self.d), square.expand(self.k, *square.shape[1:])

    def split(self, theta: Float[Tensor, "p"]) -> tuple[Tensor, Tensor, Tensor]:
        """The coordinates of the weights, of the means and of the covariances."""
        free = len(self.units) * (1 if self.shared else self.k)
        ratios, mean, rest = theta.split([self.k - 1, self.k * self.d, free])
        return ratios, mean, rest


class Information(NamedTuple):
    """What rows say about the parameters of a mixture, at `theta` in the coordinates of `chart`."""

    chart: Chart
    theta: Float[Tensor, "p"]
    gradient: Float[Tensor, "p"]  # of the log-likelihood; zero at a maximum
    observed: Float[Tensor, "p p"]  # minus its second derivatives
    empirical: Float[Tensor, "p p"]  # the outer product of the scores of the rows

    @property
    def covariance(self) -> Float[Tensor, "p p"]:
        """Covariance of the maximum-likelihood estimates, I^-1.

        Raises `NotPositiveDefinite` where the likelihood has no strict maximum.
        """
        return _inverse(self.observed)

    @property
    def empirical_covariance(self) -> Float[Tensor, "p p"]:
        """The same from the scores alone, B^-1: always defined where n is large, noisier where it is small."""
        return _inverse(self.empirical)

    @property
    def sandwich(self) -> Float[Tensor, "p p"]:
        """I^-1 B I^-1, right also where the rows do not come from a mixture of this kind. See White (1982)."""
        covariance = self.covariance
        return covariance @ self.empirical @ covariance

    @property
    def gap(self) -> float:
        """How far the maximum is, in standard errors of the farthest coordinate: a Newton step.

        Standard errors mean what they should where it is small, say below 0.1; a fit that stopped early, or was held
        back by a ridge or a prior, has a larger one.
        """
        covariance = self.covariance
        return float(((covariance @ self.gradient).abs() / covariance.diagonal().sqrt()).max())

    def errors(self, covariance: Float[Tensor, "p p"]) -> Parameters:
        """Standard errors of weights, means and covariances, given a covariance of the coordinates.

        Those of the weights by the delta method, d pi_j / d ratio_l = pi_j (delta_jl - pi_l).
        """
        chart, variance = self.chart, covariance.diagonal()
        weights = chart.unpack(self.theta)[0].exp()
        slope = (torch.diag(weights) - weights[:, None] * weights)[:, :-1]
        ratios = covariance[: chart.k - 1, : chart.k - 1]
        _, mean, free = chart.split(variance)
        square = torch.tensordot(free.view(-1, len(chart.units)), chart.units, 1).sqrt()
        square = square if square.ndim == 3 else torch.diag_embed(square)
        return Parameters(
            (slope @ ratios * slope).sum(1).sqrt(),
            mean.view(chart.k, chart.d).sqrt(),
            square.expand(chart.k, chart.d, chart.d),
        )


@torch.no_grad()
def observed_information(
    mixture: Mixture, x: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None = None
) -> Information:
    """The information that rows hold about the parameters of a mixture fitted to them.

        se = info.errors(info.covariance)

    A row of weight 2 counts as two rows. Computed in float64. Exact; as standard errors, right for large n, away from
    the boundary: every component needs rows, and one too many is not identified. Cost O(n k f p) for f quadratic
    features and p parameters.
    """
    if bool(torch.isneginf(mixture.weights.log()).any()):
        raise ValueError("A component has weight zero, where the likelihood has no derivatives; remove it first.")
    chart, x = Chart.of(mixture.gaussian), x.double()
    weight = x.new_ones(len(x)) if weight is None else weight.double()
    theta = chart.pack(mixture)
    frame = _Frame(mixture.gaussian)
    # not torch.func: its first use warns of TorchScript (forward) or imports torch's compiler for two seconds (reverse)
    slope = jacobian(lambda t: frame.natural(*chart.unpack(t)), theta, vectorize=True)  # (k, f, p)
    p, (k, f, _) = len(theta), slope.shape
    g, square, empirical = x.new_zeros(k, f), x.new_zeros(k, f, f), x.new_zeros(p, p)
    size = chunk_rows(2 * k * f + p, x.element_size(), x.device)
    for rows, w in zip(x.split(size), weight.split(size), strict=True):
        features = frame.features(rows)  # (k, f, m)
        by_component = mixture.posterior(rows).resp.T[:, None] * features
        g += by_component @ w
        square += (by_component * w) @ features.mT
        scores = torch.tensordot(by_component, slope, ([0, 1], [0, 1]))  # (m, p)
        empirical += (scores.T * w) @ scores
    curvature = hessian(lambda t: (g * frame.natural(*chart.unpack(t))).sum(), theta, vectorize=True)
    observed = empirical - torch.einsum("kfp,kfq->pq", slope, square @ slope) - curvature
    gradient = torch.tensordot(g, slope, 2)
    return Information(chart, theta, gradient, (observed + observed.mT) / 2, empirical)


class _Frame:
    """Each component's own coordinates, in which it is a standard Gaussian: nothing cancels, whatever the scales."""

    def __init__(self, components: Gaussian) -> None:
        self.mean, self.chol = components.mean, components.chol
        self.zero = torch.zeros_like(self.mean[0])
        self.form: forms.Form = forms.Packed() if components.structure.dense else forms.Squares()

    def features(self, x: Float[Tensor, "m d"]) -> Float[Tensor, "k f m"]:
        """Quadratic features of the rows in the frame of each component."""
        z = self._whiten((x - self.mean[:, None]).mT)  # (k, d, m)
        return torch.stack([self.form.features(rows.T, self.zero) for rows in z])

    def natural(self, log_w: Float[Tensor, "k"], mean: Float[Tensor, "k d"], square: Tensor) -> Float[Tensor, "k f"]:
        """Log weight and natural parameters of other components in these frames."""
        m = self._whiten((mean - self.mean)[:, :, None]).squeeze(-1)
        if square.ndim == 2:
            chol = square.sqrt() / self.chol
        else:
            chol = torch.linalg.cholesky(self._whiten(self._whiten(square).mT))
        eta = self.form.natural(forms.Parameters.of(m, chol))[0]
        return torch.cat([eta[:, :1] + log_w[:, None], eta[:, 1:]], dim=1)

    def _whiten(self, columns: Float[Tensor, "k d m"]) -> Float[Tensor, "k d m"]:
        if self.chol.ndim == 2:
            return columns / self.chol[:, :, None]
        return torch.linalg.solve_triangular(self.chol, columns, upper=False)


def _inverse(information: Float[Tensor, "p p"]) -> Float[Tensor, "p p"]:
    """The inverse, found with unit diagonal: the coordinates have different units."""
    size = information.diagonal().sqrt()
    chol, info = torch.linalg.cholesky_ex(information / (size[:, None] * size))
    if bool(info) or not bool(torch.isfinite(chol).all()):
        raise NotPositiveDefinite(
            "The information is not positive definite: the mixture is not at a strict maximum of the likelihood. Fit "
            "on to a smaller tol without a ridge, or take fewer components or a simpler structure."
        )
    return torch.cholesky_inverse(chol) / (size[:, None] * size)
