"""Rows that are known with errors, each with its own: the mixture is that of the true values.

A row is x_i = y_i + e_i with e_i ~ N(0, C_i), and y_i comes from the mixture. Then, given component k,

    x_i ~ N(mu_k, T_ik),   T_ik = Sigma_k + C_i
    E y_i = mu_k + Sigma_k T_ik^-1 (x_i - mu_k),   Cov y_i = Sigma_k - Sigma_k T_ik^-1 Sigma_k

and a refit from the expected moments of y is EM (Bovy, Hogg and Roweis, 2011, eq. 16 to 18). It is a source of
statistics like others: refits, priors and structures are what they are. With C = 0 it is plain EM.
"""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.fit.source import Source
from gmmlab.gates import Posterior
from gmmlab.model import Mixture
from gmmlab.stats import Moments
from gmmlab.steps import MixtureStats


def blurred(x: Float[Tensor, "n d"], noise: Float[Tensor, "n d d"]) -> Source:
    """All rows in every step, of which row i has errors of covariance `noise[i]`; n k matrices are held.

    Components have to be Gaussian, of a structure with whole matrices.
    """
    x, noise = x.double(), noise.double()

    def source(model: Mixture) -> MixtureStats:
        gaussian = model.gaussian
        if not gaussian.structure.dense:
            raise TypeError(f"Expected whole covariance matrices, got the structure {gaussian.structure.name}.")
        solved, table = _scored(model, x, noise)
        posterior = model.gate.posterior(table)
        origin = gaussian.origin.double()
        gain = gaussian.cov @ solved[..., 1:]
        true = gaussian.mean - origin + (gaussian.cov @ solved[..., :1]).squeeze(-1)
        spread = gaussian.cov - gain @ gaussian.cov
        w = posterior.resp.sum(0)
        s1 = torch.einsum("nk,nkd->kd", posterior.resp, true)
        s2 = torch.einsum("nk,nkd,nke->kde", posterior.resp, true, true)
        s2 = s2 + torch.einsum("nk,nkde->kde", posterior.resp, spread)
        return MixtureStats(
            components=Moments(w, s1, (s2 + s2.mT) / 2, origin=gaussian.origin),
            gate=model.gate.stats(posterior),
            evidence=posterior.evidence.sum(),
            n=w.new_tensor(float(len(x))),
        )

    return source


def posterior(model: Mixture, x: Float[Tensor, "n d"], noise: Float[Tensor, "n d d"]) -> Posterior:
    """Responsibilities and evidence of rows as they are seen, with their errors."""
    return model.gate.posterior(_scored(model, x.double(), noise.double())[1])


def _scored(
    model: Mixture, x: Float[Tensor, "n d"], noise: Float[Tensor, "n d d"]
) -> tuple[Float[Tensor, "n k d c"], Float[Tensor, "n k"]]:
    """T_ik^-1 of the deviation (first column) and of the identity, and the log densities."""
    gaussian = model.gaussian
    chol = torch.linalg.cholesky(gaussian.cov + noise[:, None])
    apart = (x[:, None] - gaussian.mean)[..., None]
    eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device).expand(*chol.shape)
    solved = torch.cholesky_solve(torch.cat([apart, eye], dim=-1), chol)
    volume = chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    distance = (apart * solved[..., :1]).sum((-2, -1))
    return solved, -0.5 * (x.shape[1] * math.log(2 * math.pi) + distance) - volume
