"""Rows as they are seen: through a linear map, and with Gaussian errors of known covariance.

    x_i = R_i y_i + e_i,    e_i ~ N(0, C_i),    y_i from the mixture

Given component k, with T_ik = R_i Sigma_k R_i' + C_i and the gain G_ik = Sigma_k R_i' T_ik^-1,

    x_i ~ N(R_i mu_k, T_ik)
    E y_i = mu_k + G_ik (x_i - R_i mu_k) = b_ik,    Cov y_i = Sigma_k - G_ik R_i Sigma_k = B_ik

and sums of r_ik (1, b_ik, b_ik b_ik' + B_ik) are all that a refit needs (Bovy, Hogg and Roweis, 2011, eq. 16 to 18). An
entry that is missing is one that is seen through a row of zeros. Three kinds, of rising cost: errors and map that rows
have in common are one affine map of the moments of x; errors of one variance in all directions need the axes of Sigma_k
alone, O(d^2) a row; all others are factorised one by one, O(k c^3) a row.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.errors import BadData
from gmmlab.families.gaussian import Gaussian
from gmmlab.families.missing import Completion
from gmmlab.families.structures import Full
from gmmlab.kernels.cholesky import safe_cholesky
from gmmlab.stats import Moments


class Expected(NamedTuple):
    """What each component expects of the true values of rows: b_ik, and B_ik, which all rows may share (n = 1)."""

    mean: Float[Tensor, "n k d"]
    cov: Float[Tensor, "m k d d"]


@runtime_checkable
class Measured(Protocol):
    """Rows with errors; c columns are seen of the d that the mixture has."""

    @property
    def x(self) -> Float[Tensor, "n c"]:
        """What is seen."""

    @property
    def width(self) -> int:
        """Numbers that are held for a row and a component."""

    @property
    def maps(self) -> Float[Tensor, "m c d"]:
        """The maps of the rows, or the one that they share (m = 1)."""

    @property
    def covariances(self) -> Float[Tensor, "m c c"]:
        """Those of the errors of the rows, or the one that they share (m = 1)."""

    def part(self, rows: slice | Int[Tensor, "m"]) -> Measured:
        """Some of the rows."""

    def table(self, gaussian: Gaussian) -> Float[Tensor, "n k"]:
        """Log density of what is seen of each row, under each component."""

    def sums(self, gaussian: Gaussian, resp: Float[Tensor, "n k"]) -> Moments:
        """Expected moments of the true values, weighted by responsibilities."""

    def expected(self, gaussian: Gaussian) -> Expected:
        """What is expected of the true values."""


class Shared(NamedTuple):
    """All rows have the same errors, seen through the same map."""

    x: Float[Tensor, "n c"]
    cov: Float[Tensor, "c c"]
    projection: Float[Tensor, "c d"]

    @property
    def width(self) -> int:
        """Numbers that are held for a row and a component."""
        return 1 + self.projection.shape[1]

    @property
    def maps(self) -> Float[Tensor, "1 c d"]:
        """The one map of all rows."""
        return self.projection[None]

    @property
    def covariances(self) -> Float[Tensor, "1 c c"]:
        """That of the errors of all rows."""
        return self.cov[None]

    def part(self, rows: slice | Int[Tensor, "m"]) -> Shared:
        """Some of the rows."""
        return self._replace(x=self.x[rows])

    def table(self, gaussian: Gaussian) -> Float[Tensor, "n k"]:
        """Log density of what is seen of each row, under each component."""
        seen = self._seen(gaussian)
        return seen.table(seen.features(self.x))

    def sums(self, gaussian: Gaussian, resp: Float[Tensor, "n k"]) -> Moments:
        """Expected moments of the true values: those of what is seen, pushed through an affine map."""
        seen = self._seen(gaussian)
        moments = seen.stats(seen.features(self.x), resp)
        return _shaped(self._map(gaussian, seen).push(moments, gaussian.origin.double()), gaussian)

    def expected(self, gaussian: Gaussian) -> Expected:
        """What is expected of the true values."""
        seen = self._seen(gaussian)
        found = self._map(gaussian, seen)
        mean = torch.einsum("kdc,nc->nkd", found.slope, self.x - seen.origin) + found.offset + gaussian.origin.double()
        return Expected(mean, found.spread[None])

    def _seen(self, gaussian: Gaussian) -> Gaussian:
        """The components of what is seen."""
        r = self.projection
        chol, jitter = safe_cholesky(r @ gaussian.cov @ r.T + self.cov)
        return Gaussian(gaussian.mean @ r.T, chol, jitter, r @ gaussian.origin.double(), Full())

    def _map(self, gaussian: Gaussian, seen: Gaussian) -> Completion:
        r, cov = self.projection, gaussian.cov
        gain = torch.cholesky_solve(r @ cov, seen.chol).mT
        offset = (gain @ (seen.mean - seen.origin)[:, :, None]).squeeze(-1)
        return Completion(gain, gaussian.mean - gaussian.origin - offset, _symmetric(cov - gain @ (r @ cov)))


class Isotropic(NamedTuple):
    """Every row has errors of one variance in all directions; along the axes of Sigma_k nothing is coupled."""

    x: Float[Tensor, "n d"]
    variance: Float[Tensor, "n"]

    @property
    def width(self) -> int:
        """Numbers that are held for a row and a component."""
        return 4 * self.x.shape[1]

    @property
    def maps(self) -> Float[Tensor, "1 d d"]:
        """The identity."""
        return torch.eye(self.x.shape[1]).to(self.x)[None]

    @property
    def covariances(self) -> Float[Tensor, "n d d"]:
        """Those of the errors."""
        return self.variance[:, None, None] * self.maps

    def part(self, rows: slice | Int[Tensor, "m"]) -> Isotropic:
        """Some of the rows."""
        return Isotropic(self.x[rows], self.variance[rows])

    def table(self, gaussian: Gaussian) -> Float[Tensor, "n k"]:
        """Log density of what is seen of each row, under each component."""
        apart, total, _, _ = self._along_axes(gaussian)
        return -0.5 * ((apart.square() / total + total.log()).sum(-1) + self.x.shape[1] * math.log(2 * math.pi))

    def sums(self, gaussian: Gaussian, resp: Float[Tensor, "n k"]) -> Moments:
        """Expected moments of the true values, turned back from the axes once for all rows."""
        apart, total, spectrum, axes = self._along_axes(gaussian)
        gain = spectrum / total
        moved, left = gain * apart, torch.einsum("nk,nkd->kd", resp, gain * self.variance[:, None, None])
        s2 = torch.einsum("nk,nkd,nke->kde", resp, moved, moved)
        s2 = axes @ (s2 + torch.diag_embed(left)) @ axes.mT
        s1 = torch.einsum("kde,ke->kd", axes, torch.einsum("nk,nkd->kd", resp, moved))
        return _about_origin(gaussian, resp.sum(0), s1, s2)

    def expected(self, gaussian: Gaussian) -> Expected:
        """What is expected of the true values."""
        apart, total, spectrum, axes = self._along_axes(gaussian)
        gain = spectrum / total
        mean = gaussian.mean + torch.einsum("kde,nke->nkd", axes, gain * apart)
        left = gain * self.variance[:, None, None]
        return Expected(mean, torch.einsum("kde,nke,kfe->nkdf", axes, left, axes))

    def _along_axes(self, gaussian: Gaussian) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Deviations and variances (n, k, d) along the axes; variances (k, d) of the components, axes (k, d, d)."""
        spectrum, axes = torch.linalg.eigh(gaussian.cov)
        spectrum = spectrum.clamp(min=0)
        apart = torch.einsum("nkd,kde->nke", self.x[:, None] - gaussian.mean, axes)
        return apart, spectrum + self.variance[:, None, None], spectrum, axes


class Each(NamedTuple):
    """Every row has its own errors, and perhaps a map of its own; `seen` counts its entries that are there."""

    x: Float[Tensor, "n c"]
    cov: Float[Tensor, "n c c"]
    projection: Float[Tensor, "n c d"] | None
    seen: Int[Tensor, "n"]

    @property
    def width(self) -> int:
        """Numbers that are held for a row and a component."""
        c, d = self.maps.shape[1:]
        return c * (2 * c + 3 * d) + d * d

    @property
    def maps(self) -> Float[Tensor, "m c d"]:
        """The maps of the rows, or the identity."""
        return torch.eye(self.x.shape[1]).to(self.x)[None] if self.projection is None else self.projection

    @property
    def covariances(self) -> Float[Tensor, "n c c"]:
        """Those of the errors."""
        return self.cov

    def part(self, rows: slice | Int[Tensor, "m"]) -> Each:
        """Some of the rows."""
        projection = None if self.projection is None else self.projection[rows]
        return Each(self.x[rows], self.cov[rows], projection, self.seen[rows])

    def table(self, gaussian: Gaussian) -> Float[Tensor, "n k"]:
        """Log density of what is seen of each row, under each component."""
        apart, chol, _ = self._through(gaussian)
        z = torch.linalg.solve_triangular(chol, apart, upper=False).squeeze(-1)
        volume = chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return -0.5 * (self.seen.double()[:, None] * math.log(2 * math.pi) + z.square().sum(-1)) - volume

    def sums(self, gaussian: Gaussian, resp: Float[Tensor, "n k"]) -> Moments:
        """Expected moments of the true values, weighted by responsibilities."""
        mean, cov = self.expected(gaussian)
        moved = mean - gaussian.mean
        s1 = torch.einsum("nk,nkd->kd", resp, moved)
        s2 = torch.einsum("nk,nkd,nke->kde", resp, moved, moved) + torch.einsum("nk,nkde->kde", resp, cov)
        return _about_origin(gaussian, resp.sum(0), s1, s2)

    def expected(self, gaussian: Gaussian) -> Expected:
        """What is expected of the true values."""
        apart, chol, cross = self._through(gaussian)
        solved = torch.cholesky_solve(torch.cat([apart, cross.mT], dim=-1), chol)
        mean = gaussian.mean + (cross @ solved[..., :1]).squeeze(-1)
        return Expected(mean, _symmetric(gaussian.cov - cross @ solved[..., 1:]))

    def _through(self, gaussian: Gaussian) -> tuple[Tensor, Tensor, Tensor]:
        """x - R mu (n, k, c, 1), the factor of T (n, k, c, c), and Sigma R' (n, k, d, c)."""
        if self.projection is None:
            at, cross = gaussian.mean, gaussian.cov.expand(len(self.x), -1, -1, -1)
            inner = gaussian.cov
        else:
            r = self.projection[:, None]
            at, cross = (r @ gaussian.mean[:, :, None]).squeeze(-1), gaussian.cov @ r.mT
            inner = r @ cross
        total = inner + self.cov[:, None]
        chol = safe_cholesky(total.flatten(0, 1))[0].view_as(total)
        return (self.x[:, None] - at)[..., None], chol, cross


def measured(x: Float[Tensor, "n c"], errors: Tensor | None = None, projection: Tensor | None = None) -> Measured:
    """Rows with errors, as the kind of least cost that serves them; entries of x may be missing (NaN).

    errors : None for none; standard errors, one for all (), of each row (n,), or of each entry (n, c); covariances
        (n, c, c), or one for all rows (c, c). A square table of n = c rows is taken as standard errors.
    projection : the map R from what the mixture has to what is seen, (n, c, d), or (c, d) for all rows; None for the
        identity.

    Raises `BadData` for other shapes, for what is not finite, and for covariances that are not positive semi-definite.
    """
    x = x.double()
    n, c = x.shape
    errors = x.new_zeros(()) if errors is None else errors.to(x)
    projection = None if projection is None else projection.to(x)
    _check(x, errors, projection)
    gaps = torch.isnan(x)
    alike = errors.ndim == 0 or (errors.shape == (c, c) and n != c)
    if alike and not bool(gaps.any()) and (projection is None or projection.ndim == 2):
        cov = errors**2 * torch.eye(c).to(x) if errors.ndim == 0 else errors
        return Shared(x, cov, torch.eye(c).to(x) if projection is None else projection)
    if errors.ndim < 2 and not alike and projection is None and not bool(gaps.any()):
        return Isotropic(x, errors.square())
    if errors.ndim < 2:
        errors = errors.reshape(-1, 1).expand(n, c)
    cov = torch.diag_embed(errors.square()) if errors.shape == (n, c) else errors.expand(n, c, c)
    each = None if projection is None else projection.expand(n, c, -1)
    return _without_gaps(Each(x, cov, each, torch.full((n,), c, device=x.device)), gaps)


def _without_gaps(rows: Each, gaps: Tensor) -> Each:
    """Missing entries as entries of value 0 and variance 1 that are seen through a row of zeros.

    They have the density of a standard normal at 0 whatever the component, which `seen` leaves out.
    """
    if not bool(gaps.any()):
        return rows
    there = (~gaps).to(rows.x)
    cov = rows.cov * there[:, :, None] * there[:, None, :] + torch.diag_embed(1 - there)
    return Each(rows.x.nan_to_num(), cov, rows.maps * there[:, :, None], (~gaps).sum(1))


def _check(x: Float[Tensor, "n c"], errors: Tensor, projection: Tensor | None) -> None:
    n, c = x.shape
    if errors.shape not in ((), (n,), (n, c), (n, c, c), (c, c)):
        raise BadData(
            f"errors has the shape {tuple(errors.shape)}; expected (), {(n,)} or {(n, c)} for standard errors, "
            f"{(n, c, c)} for covariances of rows, or {(c, c)} for one that all rows have."
        )
    if not bool(torch.isfinite(errors).all()):
        raise BadData("errors has entries that are not finite; leave an entry out by NaN in the row itself.")
    if errors.shape in ((), (n,), (n, c)):
        if bool((errors < 0).any()):
            raise BadData(f"A standard error is {float(errors.min())}; expected numbers of at least 0.")
    elif not torch.allclose(errors, errors.mT):
        raise BadData("A covariance of errors is not symmetric; expected it equal to its transpose.")
    else:
        least, size = torch.linalg.eigvalsh(errors)[..., 0], errors.abs().amax((-2, -1))
        if bool((least < -1e-10 * size).any()):
            raise BadData(
                f"A covariance of errors has the eigenvalue {float(least.min()):.3g}; expected positive semi-definite "
                "ones."
            )
    if projection is not None and (projection.ndim not in (2, 3) or projection.expand(n, -1, -1).shape[:2] != (n, c)):
        raise BadData(
            f"projection has the shape {tuple(projection.shape)}; expected (n, c, d) or (c, d) with n={n}, c={c}."
        )


def _about_origin(
    gaussian: Gaussian, w: Float[Tensor, "k"], s1: Float[Tensor, "k d"], s2: Float[Tensor, "k d d"]
) -> Moments:
    """Moments whose deviations were taken from the mean of each component, about the shared origin."""
    shift = gaussian.mean - gaussian.origin
    cross = s1[:, :, None] * shift[:, None, :]
    square = w[:, None, None] * shift[:, :, None] * shift[:, None, :]
    moved = s2 + cross + cross.mT + square
    return _shaped(Moments(w, s1 + w[:, None] * shift, moved, origin=gaussian.origin.double()), gaussian)


def _shaped(moments: Moments, gaussian: Gaussian) -> Moments:
    """In the form of the structure, about its own origin."""
    s2 = _symmetric(moments.s2)
    s2 = s2 if gaussian.structure.dense else s2.diagonal(dim1=-2, dim2=-1)
    return Moments(moments.w, moments.s1, s2, origin=gaussian.origin)


def _symmetric(matrix: Float[Tensor, "*b d d"]) -> Float[Tensor, "*b d d"]:
    return (matrix + matrix.mT) / 2
