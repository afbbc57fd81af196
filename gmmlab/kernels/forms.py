"""Forms of the Gaussian log density, and the statistics that go with each.

A Gaussian is log-linear in quadratic features of its row. With y = x - origin, precision P and m = mean - origin,

    log N(x) = c + (P m)' y - 1/2 y' P y,      c = -1/2 (d log 2 pi + log|Sigma| + m' P m)

so that the table of all components is one product, eta T, and their statistics are another, resp T'.

    Packed     T = (1, y, y_i y_j for i >= j)     f = 1 + d + d(d+1)/2    two matrix products
    Squares    T = (1, y, y_i^2)                  f = 1 + 2d              the same, for axis-aligned covariances
    Blocks     T = (1, y)                         f = 1 + d               |L^-1 y - L^-1 m|^2, by rows of all the L^-1
    Whitened   T = y                              f = d                   |L^-1 (x - mean)|^2, component by component

`Packed` and `Squares` sum terms that cancel, the more so the farther the means are from the origin and the more nearly
collinear the columns. Packing makes d^2/2 features of a row, which pays when many components share them; `Blocks` makes
none, and skips what is zero above the diagonal. `Whitened` subtracts first and does all of k d^2. `choose` holds the
rule between them.

Features are laid out feature-major, (f, n): both products then read memory in order. Tables are (n, k).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.kernels.chunks import Buffers, out

MOST_PACKED = 64  # columns: two thousand features of a row
MOST, LEAST = 8, 16  # blocks of a factor, and rows of one: smaller ones skip more, larger ones multiply faster
FAR = 100.0  # standard deviations from the origin, beyond which even the statistics of `Blocks` cancel
ALLOWED = {torch.float64: 1e-10, torch.float32: 1e-3}  # error of a log density that cancellation may cause


class Sums(NamedTuple):
    """Weighted sums over the rows of one chunk, about the form's origin."""

    w: Float[Tensor, "k"]
    s1: Float[Tensor, "k d"]
    s2: Float[Tensor, "k d d"] | Float[Tensor, "k d"]


class Parameters(NamedTuple):
    """What all forms need of k Gaussians: means about the origin, factors of covariances, and their inverses L^-1.

    For axis-aligned covariances these are standard deviations (k, d) and their inverses.
    """

    m: Float[Tensor, "k d"]
    chol: Tensor
    whiten: Tensor
    peak: Float[Tensor, "k"]  # log densities at the means, -d/2 log 2 pi - log|L|: they are nowhere higher

    @classmethod
    def of(cls, m: Float[Tensor, "k d"], chol: Tensor) -> Parameters:
        """With what follows from them, by calls that only enqueue work on a GPU."""
        diagonal = chol if chol.ndim == 2 else chol.diagonal(dim1=-2, dim2=-1)
        peak = -0.5 * m.shape[1] * math.log(2 * math.pi) - diagonal.log().sum(-1)
        if chol.ndim == 2:
            return cls(m, chol, 1 / chol, peak)
        eye = torch.eye(chol.shape[1], dtype=chol.dtype, device=chol.device).expand_as(chol)
        return cls(m, chol, torch.linalg.solve_triangular(chol, eye, upper=False), peak)


@runtime_checkable
class Form(Protocol):
    """A way of computing the table and the sums; stateless."""

    def width(self, k: int, d: int) -> int:
        """Numbers a row that live at once, which sets the chunk."""

    def features(
        self, x: Float[Tensor, "n d"], origin: Float[Tensor, "d"], buffers: Buffers | None = None
    ) -> Float[Tensor, "f n"]:
        """T of rows about the origin."""

    def rows(self, features: Float[Tensor, "f n"]) -> Float[Tensor, "d n"]:
        """The rows about the origin, out of their features."""

    def natural(self, of: Parameters) -> tuple[Tensor, ...]:
        """What `table` needs of the parameters."""

    def table(
        self, features: Float[Tensor, "f n"], natural: tuple[Tensor, ...], buffers: Buffers | None = None
    ) -> Float[Tensor, "n k"]:
        """Log density of every row under every component."""

    def sums(self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], buffers: Buffers | None = None) -> Sums:
        """Responsibility-weighted sums of 1, y and y y'."""


class Products(ABC):
    """A form whose features are products of two entries of (1, y), so that table and sums are matrix products."""

    @abstractmethod
    def width(self, k: int, d: int) -> int: ...

    @abstractmethod
    def features(
        self, x: Float[Tensor, "n d"], origin: Float[Tensor, "d"], buffers: Buffers | None = None
    ) -> Float[Tensor, "f n"]: ...

    @abstractmethod
    def rows(self, features: Float[Tensor, "f n"]) -> Float[Tensor, "d n"]: ...

    @abstractmethod
    def natural(self, of: Parameters) -> tuple[Tensor, ...]: ...

    @abstractmethod
    def pairs(self, d: int, device: torch.device) -> Int[Tensor, "2 f"]:
        """The two entries of each feature, counted from the one: what a fused kernel needs to know."""

    @abstractmethod
    def unpack(self, total: Float[Tensor, "k f"]) -> Sums:
        """The sums that totals of the features stand for."""

    def table(
        self, features: Float[Tensor, "f n"], natural: tuple[Tensor, ...], buffers: Buffers | None = None
    ) -> Float[Tensor, "n k"]:
        eta = natural[0].to(features)
        return torch.mm(eta, features, out=out(buffers, "table", (len(eta), features.shape[1]), features)).T

    def sums(
        self,
        features: Float[Tensor, "f n"],
        resp: Float[Tensor, "n k"],
        buffers: Buffers | None = None,  # noqa: ARG002 - the sums outlive the chunk
    ) -> Sums:
        return self.unpack(weighted_features(resp.T, features))


class Packed(Products):
    """All quadratic features, packed."""

    def width(self, k: int, d: int) -> int:
        return 1 + d + d * (d + 1) // 2 + k

    def features(
        self, x: Float[Tensor, "n d"], origin: Float[Tensor, "d"], buffers: Buffers | None = None
    ) -> Float[Tensor, "f n"]:
        n, d = x.shape
        if buffers is None:
            y = _about(x, origin)
            return torch.cat([y.new_ones(1, n), y, *(y[j:] * y[j] for j in range(d))])
        features = buffers.take("features", (1 + d + d * (d + 1) // 2, n), x)
        ones, y, *products = features.split([1, d, *range(d, 0, -1)])
        ones.fill_(1)
        torch.sub(x.T, origin[:, None], out=y)
        for j, product in enumerate(products):
            torch.mul(y[j:], y[j], out=product)
        return features

    def rows(self, features: Float[Tensor, "f n"]) -> Float[Tensor, "d n"]:
        return features[1 : 1 + _side(len(features))]

    def natural(self, of: Parameters) -> tuple[Tensor, ...]:
        prec = of.whiten.mT @ of.whiten
        linear = (prec @ of.m[:, :, None]).squeeze(-1)
        i, j, weight = _packing(of.m.shape[1], of.m.device)
        constant = of.peak - 0.5 * (of.m * linear).sum(-1)
        return (torch.cat([constant[:, None], linear, weight * prec[:, i, j]], dim=1),)

    def pairs(self, d: int, device: torch.device) -> Int[Tensor, "2 f"]:
        i, j, _ = _packing(d, device)
        alone = torch.arange(d + 1, device=device)
        return torch.stack([torch.cat([alone, 1 + i]), torch.cat([0 * alone, 1 + j])])

    def unpack(self, total: Float[Tensor, "k f"]) -> Sums:
        d = _side(total.shape[1])
        s2 = total[:, _unpacking(d, total.device)].view(len(total), d, d)
        return Sums(total[:, 0], total[:, 1 : 1 + d], s2)


class Squares(Products):
    """Features of an axis-aligned Gaussian; `chol` holds standard deviations (k, d)."""

    def width(self, k: int, d: int) -> int:
        return 1 + 2 * d + k

    def features(
        self, x: Float[Tensor, "n d"], origin: Float[Tensor, "d"], buffers: Buffers | None = None
    ) -> Float[Tensor, "f n"]:
        n, d = x.shape
        if buffers is None:
            y = _about(x, origin)
            return torch.cat([y.new_ones(1, n), y, y * y])
        features = buffers.take("features", (1 + 2 * d, n), x)
        ones, y, square = features.split([1, d, d])
        ones.fill_(1)
        torch.mul(torch.sub(x.T, origin[:, None], out=y), y, out=square)
        return features

    def rows(self, features: Float[Tensor, "f n"]) -> Float[Tensor, "d n"]:
        return features[1 : 1 + len(features) // 2]

    def natural(self, of: Parameters) -> tuple[Tensor, ...]:
        prec = of.whiten.square()
        linear = of.m * prec
        constant = of.peak - 0.5 * (of.m * linear).sum(-1)
        return (torch.cat([constant[:, None], linear, -0.5 * prec], dim=1),)

    def pairs(self, d: int, device: torch.device) -> Int[Tensor, "2 f"]:
        alone = torch.arange(d + 1, device=device)
        return torch.stack([torch.cat([alone, alone[1:]]), torch.cat([0 * alone, alone[1:]])])

    def unpack(self, total: Float[Tensor, "k f"]) -> Sums:
        d = (total.shape[1] - 1) // 2
        return Sums(total[:, 0], total[:, 1 : 1 + d], total[:, 1 + d :])


class Blocks:
    """Whitening by rows of L^-1, all components at once, as far as they are not zero; the same half of the moments."""

    def width(self, k: int, d: int) -> int:
        return 1 + d + k * (1 + _blocks(d)[0][1])

    def features(
        self, x: Float[Tensor, "n d"], origin: Float[Tensor, "d"], buffers: Buffers | None = None
    ) -> Float[Tensor, "f n"]:
        n, d = x.shape
        if buffers is None:
            return torch.cat([x.new_ones(1, n), _about(x, origin)])
        features = buffers.take("features", (1 + d, n), x)
        features[0].fill_(1)
        torch.sub(x.T, origin[:, None], out=features[1:])
        return features

    def rows(self, features: Float[Tensor, "f n"]) -> Float[Tensor, "d n"]:
        return features[1:]

    def natural(self, of: Parameters) -> tuple[Tensor, ...]:
        affine = torch.cat([-of.whiten @ of.m[:, :, None], of.whiten], dim=2)
        blocks = (affine[:, i:j, : 1 + j].flatten(0, 1) for i, j in _blocks(of.m.shape[1]))
        return of.peak, *blocks

    def table(
        self, features: Float[Tensor, "f n"], natural: tuple[Tensor, ...], buffers: Buffers | None = None
    ) -> Float[Tensor, "n k"]:
        constant, *blocks = (t.to(features) for t in natural)
        k, n = len(constant), features.shape[1]
        square = features.new_zeros(k, n)
        for block in blocks:
            z = torch.mm(block, features[: block.shape[1]], out=out(buffers, "z", (len(block), n), features))
            square = square + torch.mul(z, z, out=None if buffers is None else z).view(k, -1, n).sum(1)
        return torch.add(constant[:, None], square, alpha=-0.5).T

    def sums(self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], buffers: Buffers | None = None) -> Sums:
        (n, k), d = resp.shape, len(features) - 1
        s1 = torch.empty(k, d, dtype=torch.float64, device=resp.device)
        s2 = torch.empty(k, d, d, dtype=torch.float64, device=resp.device)
        for i, j in _blocks(d):
            shape = (k, j - i, n)
            weighted = torch.mul(resp.T[:, None], features[1 + i : 1 + j], out=out(buffers, "z", shape, features))
            total = (features[: 1 + j] @ weighted.flatten(0, 1).T).view(-1, *shape[:2])  # faster this way round
            s1[:, i:j] = total[0]
            s2[:, i:j, :j] = total[1:].permute(1, 2, 0)
            s2[:, :i, i:j] = total[1 : 1 + i].permute(1, 0, 2)
        return Sums(resp.sum(0, dtype=torch.float64), s1, s2)


class Whitened:
    """Differences first, then squares: no cancellation, wherever the means are."""

    def width(self, k: int, d: int) -> int:
        return d * (1 + 2 * k) + k

    def features(
        self, x: Float[Tensor, "n d"], origin: Float[Tensor, "d"], buffers: Buffers | None = None
    ) -> Float[Tensor, "f n"]:
        y = out(buffers, "features", (x.shape[1], len(x)), x)
        return _about(x, origin) if y is None else torch.sub(x.T, origin[:, None], out=y)

    def rows(self, features: Float[Tensor, "f n"]) -> Float[Tensor, "d n"]:
        return features

    def natural(self, of: Parameters) -> tuple[Tensor, ...]:
        return of.peak, of.m, of.whiten

    def table(
        self, features: Float[Tensor, "f n"], natural: tuple[Tensor, ...], buffers: Buffers | None = None
    ) -> Float[Tensor, "n k"]:
        constant, m, whiten = (t.to(features) for t in natural)
        shape = (*m.shape, features.shape[1])  # (k, d, n)
        offset = torch.sub(features, m[:, :, None], out=out(buffers, "offset", shape, features))
        z = out(buffers, "z", shape, features)
        z = torch.mul(whiten[:, :, None], offset, out=z) if whiten.ndim == 2 else torch.bmm(whiten, offset, out=z)
        square = torch.mul(z, z, out=None if buffers is None else z).sum(1)
        return torch.add(constant[:, None], square, alpha=-0.5, out=None if buffers is None else square).T

    def sums(self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], buffers: Buffers | None = None) -> Sums:
        w, centre, offset, weighted = self._centred(features, resp, buffers)
        s1, s2 = weighted.sum(-1, dtype=torch.float64), torch.bmm(weighted, offset.mT).double()
        cross = s1[:, :, None] * centre[:, None, :]
        square = (w[:, None] * centre)[:, :, None] * centre[:, None, :]
        return Sums(w, s1 + w[:, None] * centre, s2 + cross + cross.mT + square)

    def _centred(
        self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], buffers: Buffers | None
    ) -> tuple[Tensor, ...]:
        """Weights, centres of the chunk, and rows about them: squares of far rows lose their digits in float32."""
        w = resp.sum(0, dtype=torch.float64)
        centre = ((resp.T @ features.T) / w[:, None].clamp(min=torch.finfo(torch.float64).tiny).to(resp)).nan_to_num()
        shape = (*centre.shape, len(resp))  # (k, d, n)
        offset = torch.sub(features, centre[:, :, None], out=out(buffers, "offset", shape, features))
        weighted = torch.mul(resp.T[:, None, :], offset, out=out(buffers, "z", shape, features))
        return w, centre.double(), offset, weighted


class WhitenedSquares(Whitened):
    """`Whitened` for axis-aligned covariances, whose second moments are diagonals."""

    def sums(self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], buffers: Buffers | None = None) -> Sums:
        w, centre, offset, weighted = self._centred(features, resp, buffers)
        s1, s2 = weighted.sum(-1, dtype=torch.float64), (weighted * offset).sum(-1, dtype=torch.float64)
        w = w[:, None]
        return Sums(w[:, 0], s1 + w * centre, s2 + 2 * s1 * centre + w * centre**2)


def choose(of: Parameters, dtype: torch.dtype) -> Form:
    """The form for these parameters and rows of this dtype.

    Whitened where the others cancel, see `cancels`. Otherwise full covariances are packed for up to 4 + 2 k columns,
    but not for more than MOST_PACKED, and taken in blocks for more.
    """
    far = bool(cancels(of, dtype))
    if of.chol.ndim == 2:
        return WhitenedSquares() if far else Squares()
    if far:
        return Whitened()
    return Packed() if _packs(*of.m.shape) else Blocks()


def cancels(of: Parameters, dtype: torch.dtype) -> Bool[Tensor, ""]:
    """Whether `choose` gives a whitened form; not yet read by the host, which would wait for a GPU.

    It does when cancellation could cost more than ALLOWED in the log density of a typical row of some component. Of
    products cancels at most ||L^-1| s|^2, with s_i = (Sigma_ii + m_i^2)^1/2: large for means far from the origin (670
    standard deviations in float64, 91 in float32) and for nearly collinear columns. Of `Blocks` cancels L^-1 m, and in
    the moments m m' for means more than FAR standard deviations from the origin.
    """
    m, chol, whiten = of.m.detach(), of.chol.detach(), of.whiten.detach()
    eps, dense = torch.finfo(dtype).eps, chol.ndim == 3
    if not dense:
        return (eps * (1 + (m * whiten).square().sum(-1)) > ALLOWED[dtype]).any()
    variance = chol.square().sum(-1)
    if _packs(*m.shape):
        size = (variance + m * m).sqrt()
        return (eps * (whiten.abs() @ size[:, :, None]).square().sum((1, 2)) > ALLOWED[dtype]).any()
    error = eps * (whiten * m[:, None]).square().sum((1, 2)).sqrt()
    return ((error > ALLOWED[dtype]) | ((m * m / variance).sum(-1) > FAR**2)).any()


def _packs(k: int, d: int) -> bool:
    """Whether k components make up for the d^2/2 features that a packed row costs: where both were as fast."""
    return d <= min(4 + 2 * k, MOST_PACKED)


def _blocks(d: int) -> list[tuple[int, int]]:
    """The first row of each block of a factor, and the first below it."""
    size = max(LEAST, -(-d // MOST))
    return [(i, min(d, i + size)) for i in range(0, d, size)]


def weighted_features(resp: Float[Tensor, "k n"], features: Float[Tensor, "f n"]) -> Float[Tensor, "k f"]:
    """Sums of the features by responsibility, in float64; the longer side of the result comes last, which is faster."""
    total = resp @ features.T if len(resp) < len(features) else (features @ resp.T).T
    return total.double()


def _about(x: Float[Tensor, "n d"], origin: Float[Tensor, "d"]) -> Float[Tensor, "d n"]:
    """Rows about the origin, column by column."""
    return (x - origin).T.contiguous()


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept must serve autograd too
def _packing(d: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Row and column of each packed product, in the order of `Packed.features` (j, then i >= j), and its share.

    In -1/2 y' P y a product off the diagonal stands for both triangles.
    """
    j, i = torch.triu_indices(d, d, device=device)
    return i, j, torch.where(i == j, -0.5, -1.0).double()


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _unpacking(d: int, device: torch.device) -> Tensor:
    """The feature that stands for each of the d^2 products y_i y_j."""
    i, j, _ = _packing(d, device)
    at = torch.empty(d, d, dtype=torch.long, device=device)
    at[i, j] = at[j, i] = torch.arange(1 + d, 1 + d + len(i), device=device)
    return at.flatten()


def _side(f: int) -> int:
    """d of f = 1 + d + d (d + 1) / 2."""
    return (math.isqrt(8 * f + 1) - 3) // 2
