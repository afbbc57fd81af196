"""The lower end of the spectra of symmetric matrices: exactly, or after a small move of the matrices."""

from __future__ import annotations

from typing import NamedTuple

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.kernels.threads import one_blas_thread

SPARE = 4  # eigenvectors above zero that are kept: what may go below it next
FIRST = 8  # so many eigenvalues are one that may be negative, if nothing is known
WIDE = 4  # a basis of a part of so many dimensions is not worth its products


class Lower(NamedTuple):
    """Eigenvalues of symmetric matrices up to the last negative one of any of them, some more, and their vectors."""

    values: Float[Tensor, "k m"]
    vectors: Float[Tensor, "k n m"]

    @classmethod
    def of(cls, a: Float[Tensor, "k n n"], m: int | None = None) -> Lower:
        """By LAPACK; `m` is a guess of how many there are, spare ones included."""
        n = a.shape[1]
        m = min(n, m or n // FIRST + SPARE)
        found = cls(*lowest(a, m))
        return found._trimmed() if m == n or found._complete else cls.of(a, 2 * m)

    def moved(self, a: Float[Tensor, "k n n"]) -> Lower:
        """Those of matrices nearby: the best approximations within the span of v and A v, v the vectors at hand.

        Rayleigh's and Ritz's, of a block of Krylov's: a few products with thin matrices, where LAPACK makes whole ones
        tridiagonal. Repeated while matrices settle, it converges to their eigenvectors (Rontsis, Goulart and
        Nakatsukasa, 2022). Where too many vectors are negative for that, LAPACK is asked.
        """
        if WIDE * self.m >= a.shape[1]:
            return self.of(a, self.m)
        basis = torch.linalg.qr(torch.cat([self.vectors, a @ self.vectors], 2)).Q
        values, turns = torch.linalg.eigh(basis.mT @ (a @ basis))
        found = self._replace(values=values, vectors=basis @ turns)
        return found._trimmed() if found._complete else self.of(a, 2 * self.m)

    @property
    def m(self) -> int:
        """How many there are, spare ones included."""
        return self.values.shape[1]

    @property
    def root(self) -> Float[Tensor, "k n r"]:
        """u with -u u' the negative part of the matrices."""
        r = self._negative
        return self.vectors[:, :, :r] * (-self.values[:, None, :r]).clamp(min=0).sqrt()

    @property
    def _negative(self) -> int:
        return int((self.values < 0).sum(1).max())

    @property
    def _complete(self) -> bool:
        """Whether no matrix can have more negative eigenvalues than are here."""
        return bool((self.values[:, -1] >= 0).all())

    def _trimmed(self) -> Lower:
        m = self._negative + SPARE
        return self._replace(values=self.values[:, :m], vectors=self.vectors[:, :, :m])


def lowest(a: Float[Tensor, "k n n"], m: int) -> tuple[Float[Tensor, "k m"], Float[Tensor, "k n m"]]:
    """The m lowest eigenvalues of symmetric matrices, and their vectors.

    On the CPU LAPACK finds only those that are asked for, which is several times faster than all; a GPU finds all in
    one batch.
    """
    if not a.is_cpu:
        values, vectors = torch.linalg.eigh(a)
        return values[:, :m], vectors[:, :, :m]
    from scipy.linalg import eigh  # at use: it is not needed to import gmmlab

    with one_blas_thread():
        pairs = [eigh(one, driver="evr", subset_by_index=(0, m - 1), check_finite=False) for one in a.numpy()]
    values, vectors = (torch.stack([torch.from_numpy(part) for part in parts]) for parts in zip(*pairs, strict=True))
    return values, vectors
