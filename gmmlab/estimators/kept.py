"""The fitted model out of the fitted attributes, kept for as long as they stay what they are."""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch

from gmmlab.axes import Tensor
from gmmlab.estimators import parameters as sk
from gmmlab.families import Gaussian, Structure
from gmmlab.gates import Constant, Noisy
from gmmlab.model import Mixture


class MadeOf(NamedTuple):
    """The attributes that a fitted model is made of."""

    weights: Tensor
    mean: Tensor
    upper: Tensor  # precisions_cholesky_
    box: Tensor | None  # of the noise
    covariance_type: str
    ridge: float

    @classmethod
    def of(cls, estimator: Any) -> MadeOf:
        """Those of a fitted `GaussianMixture`."""
        box = getattr(estimator, "noise_box_", None)
        return cls(
            sk.as_tensor(estimator.weights_),
            sk.as_tensor(estimator.means_),
            sk.as_tensor(estimator.precisions_cholesky_),
            None if box is None else sk.as_tensor(box),
            estimator.covariance_type,
            float(estimator.reg_covar),
        )

    def same(self, other: MadeOf) -> bool:
        """Whether all values are equal, and of the same type."""
        if self[4:] != other[4:] or (self.box is None) != (other.box is None):
            return False
        pairs = [(a, b) for a, b in zip(self[:4], other[:4], strict=True) if a is not None and b is not None]
        return all(a.dtype == b.dtype and a.device == b.device and torch.equal(a, b) for a, b in pairs)

    def copy(self) -> MadeOf:
        """The same values in memory of their own."""
        box = None if self.box is None else self.box.clone()
        return self._replace(weights=self.weights.clone(), mean=self.mean.clone(), upper=self.upper.clone(), box=box)

    def mixture(self) -> Mixture:
        """The model."""
        layout = sk.COVARIANCES[self.covariance_type]
        chol = sk.factors(self.upper, layout, *self.mean.shape)
        total = self.weights.double().sum()
        origin = (self.weights.double() @ self.mean.double() / total).to(self.mean.dtype)
        components = gaussians(self.mean, chol, origin, layout.structure, self.ridge)
        if self.box is None:
            return Mixture(components, Constant(self.weights.double().log()))
        none = (1 - total).clamp(min=0).log()
        return Mixture(components, Noisy(self.weights.double().log(), none, *self.box.double()))


def gaussians(mean: Tensor, chol: Tensor, origin: Tensor, structure: Structure, ridge: float) -> Gaussian:
    """Components with these parameters, in memory of their own."""
    jitter = torch.zeros(len(mean), dtype=torch.float64, device=mean.device)
    return Gaussian(mean.double().clone(), chol, jitter, origin, structure, ridge)


# Not an attribute: a fitted estimator does not change when it predicts, and its pickle holds each number once.
_KEPT: WeakKeyDictionary[Any, tuple[MadeOf, Mixture]] = WeakKeyDictionary()


def mixture_of(estimator: Any) -> Mixture:
    """The model of a fitted estimator: to predict one row must not cost a factorisation.

    It is kept until an attribute changes, in place or not.
    """
    made_of = MadeOf.of(estimator)
    kept = _KEPT.get(estimator)
    if kept is None or not made_of.same(kept[0]):
        kept = _KEPT[estimator] = made_of.copy(), made_of.mixture()
    return kept[1]
