"""Three forms of the Gaussian log density, and the statistics that go with each.

A Gaussian is log-linear in quadratic features of its row. With y = x - origin, precision P and m = mean - origin,

    log N(x) = c + (P m)' y - 1/2 y' P y,      c = -1/2 (d log 2 pi + log|Sigma| + m' P m)

so that the table of all components is one product, eta T, and their statistics are another, resp T'.

    Packed     T = (1, y, y_i y_j for i >= j)     f = 1 + d + d(d+1)/2    two matrix products
    Squares    T = (1, y, y_i^2)                  f = 1 + 2d              the same, for axis-aligned covariances
    Whitened   T = y                              f = d                   |L^-1 (x - mean)|^2, component by component

`Packed` and `Squares` sum terms that cancel, the more so the farther the means are from the origin and the more nearly
collinear the columns. `Whitened` subtracts first and costs k d^2 a row. `choose` holds the rule between them.

Features are laid out feature-major, (f, n): both products then read memory in order. Tables are (n, k).
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from gmmlab.axes import Float, Tensor

PACKED_MAX_D = 32  # above it f = d^2/2 products a row cost more than k whitenings do
ALLOWED = {torch.float64: 1e-10, torch.float32: 1e-3}  # error of a log density that cancellation may cause


class Sums(NamedTuple):
    """Weighted sums over the rows of one chunk, about the form's origin."""

    w: Float[Tensor, "k"]
    s1: Float[Tensor, "k d"]
    s2: Float[Tensor, "k d d"] | Float[Tensor, "k d"]


@runtime_checkable
class Form(Protocol):
    """A way of computing the table and the sums; stateless."""

    def width(self, k: int, d: int) -> int:
        """Numbers a row that live at once, which sets the chunk."""

    def features(self, y: Float[Tensor, "n d"]) -> Float[Tensor, "f n"]:
        """T(x) of rows about the origin."""

    def natural(self, m: Float[Tensor, "k d"], chol: Tensor) -> tuple[Tensor, ...]:
        """What `table` needs of the parameters; `m` are means about the origin."""

    def table(self, features: Float[Tensor, "f n"], natural: tuple[Tensor, ...]) -> Float[Tensor, "n k"]:
        """Log density of every row under every component."""

    def sums(self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"]) -> Sums:
        """Responsibility-weighted sums of 1, y and y y'."""


class Packed:
    """All quadratic features, packed."""

    def width(self, k: int, d: int) -> int:
        return 1 + d + d * (d + 1) // 2 + k

    def features(self, y: Float[Tensor, "n d"]) -> Float[Tensor, "f n"]:
        rows = y.T.contiguous()  # (d, n)
        products = [rows[j:] * rows[j] for j in range(len(rows))]
        return torch.cat([rows.new_ones(1, rows.shape[1]), rows, *products])

    def natural(self, m: Float[Tensor, "k d"], chol: Tensor) -> tuple[Tensor, ...]:
        prec = torch.cholesky_inverse(chol)
        linear = (prec @ m[:, :, None]).squeeze(-1)
        i, j = _packing(m.shape[1], m.device)
        weight = torch.where(i == j, -0.5, -1.0).to(m)  # y_i y_j stands for both triangles
        constant = _log_normaliser(chol) - 0.5 * (m * linear).sum(-1)
        return (torch.cat([constant[:, None], linear, weight * prec[:, i, j]], dim=1),)

    def table(self, features: Float[Tensor, "f n"], natural: tuple[Tensor, ...]) -> Float[Tensor, "n k"]:
        return (natural[0].to(features) @ features).T

    def sums(self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"]) -> Sums:
        total = (resp.T @ features.T).double()  # (k, f)
        d = _side(len(features))
        i, j = _packing(d, features.device)
        s2 = total.new_empty(len(total), d, d)
        s2[:, i, j] = s2[:, j, i] = total[:, 1 + d :]
        return Sums(total[:, 0], total[:, 1 : 1 + d], s2)


class Squares:
    """Features of an axis-aligned Gaussian; `chol` holds standard deviations (k, d)."""

    def width(self, k: int, d: int) -> int:
        return 1 + 2 * d + k

    def features(self, y: Float[Tensor, "n d"]) -> Float[Tensor, "f n"]:
        rows = y.T.contiguous()
        return torch.cat([rows.new_ones(1, rows.shape[1]), rows, rows * rows])

    def natural(self, m: Float[Tensor, "k d"], chol: Tensor) -> tuple[Tensor, ...]:
        prec = chol**-2
        constant = _log_normaliser(chol) - 0.5 * (m * m * prec).sum(-1)
        return (torch.cat([constant[:, None], m * prec, -0.5 * prec], dim=1),)

    table = Packed.table

    def sums(self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"]) -> Sums:
        total = (resp.T @ features.T).double()
        d = (len(features) - 1) // 2
        return Sums(total[:, 0], total[:, 1 : 1 + d], total[:, 1 + d :])


class Whitened:
    """Differences first, then squares: no cancellation, and cheaper than packing when d is large."""

    def width(self, k: int, d: int) -> int:
        return d * (1 + 2 * k) + k

    def features(self, y: Float[Tensor, "n d"]) -> Float[Tensor, "f n"]:
        return y.T.contiguous()

    def natural(self, m: Float[Tensor, "k d"], chol: Tensor) -> tuple[Tensor, ...]:
        if chol.ndim == 2:
            return _log_normaliser(chol), m, 1 / chol
        eye = torch.eye(m.shape[1], dtype=chol.dtype, device=chol.device).expand_as(chol)
        return _log_normaliser(chol), m, torch.linalg.solve_triangular(chol, eye, upper=False)

    def table(self, features: Float[Tensor, "f n"], natural: tuple[Tensor, ...]) -> Float[Tensor, "n k"]:
        constant, m, whiten = (t.to(features) for t in natural)
        offset = features - m[:, :, None]  # (k, d, n)
        z = whiten[:, :, None] * offset if whiten.ndim == 2 else whiten @ offset
        return (constant[:, None] - 0.5 * (z * z).sum(1)).T

    def sums(self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"]) -> Sums:
        w, centre, offset, weighted = self._centred(features, resp)
        s1, s2 = weighted.sum(-1, dtype=torch.float64), (weighted @ offset.mT).double()
        cross = s1[:, :, None] * centre[:, None, :]
        square = (w[:, None] * centre)[:, :, None] * centre[:, None, :]
        return Sums(w, s1 + w[:, None] * centre, s2 + cross + cross.mT + square)

    def _centred(self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"]) -> tuple[Tensor, ...]:
        """Weights, centres of the chunk, and rows about them: squares of far rows lose their digits in float32."""
        w = resp.sum(0, dtype=torch.float64)
        centre = ((features @ resp) / w.clamp(min=torch.finfo(torch.float64).tiny).to(resp)).T.nan_to_num()
        offset = features - centre[:, :, None]  # (k, d, n)
        return w, centre.double(), offset, resp.T[:, None, :] * offset


class WhitenedSquares(Whitened):
    """`Whitened` for axis-aligned covariances, whose second moments are diagonals."""

    def sums(self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"]) -> Sums:
        w, centre, offset, weighted = self._centred(features, resp)
        s1, s2 = weighted.sum(-1, dtype=torch.float64), (weighted * offset).sum(-1, dtype=torch.float64)
        w = w[:, None]
        return Sums(w[:, 0], s1 + w * centre, s2 + 2 * s1 * centre + w * centre**2)


def choose(m: Float[Tensor, "k d"], chol: Tensor, dtype: torch.dtype) -> Form:
    """The form for these parameters and rows of this dtype.

    Whitened when cancellation could cost more than ALLOWED in the log density of a typical row of some component, or
    when full covariances have d > PACKED_MAX_D; packed otherwise. What cancels is the sum over i, j of
    |y_i| |P_ij| |y_j|, with |y_i| about (Sigma_ii + m_i^2)^1/2: large for means far from the origin (670 standard
    deviations in float64, 91 in float32) and for nearly collinear columns.
    """
    dense = chol.ndim == 3
    if dense:
        size = (chol.square().sum(-1) + m * m).sqrt()
        cancelling = (size[:, None] @ torch.cholesky_inverse(chol).abs() @ size[:, :, None]).flatten()
    else:
        cancelling = 1 + (m / chol).square().sum(-1)
    far = bool((torch.finfo(dtype).eps * cancelling.detach() > ALLOWED[dtype]).any())
    if far or (dense and m.shape[1] > PACKED_MAX_D):
        return Whitened() if dense else WhitenedSquares()
    return Packed() if dense else Squares()


def _log_normaliser(chol: Tensor) -> Float[Tensor, "k"]:
    """-d/2 log 2 pi - log|L|."""
    diagonal = chol if chol.ndim == 2 else chol.diagonal(dim1=-2, dim2=-1)
    return -diagonal.log().sum(-1) - 0.5 * diagonal.shape[1] * math.log(2 * math.pi)


def _packing(d: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row and column of each packed product, in the order of `Packed.features`: j, then i >= j."""
    j, i = torch.triu_indices(d, d, device=device)
    return i, j


def _side(f: int) -> int:
    """d of f = 1 + d + d (d + 1) / 2."""
    return (math.isqrt(8 * f + 1) - 3) // 2
