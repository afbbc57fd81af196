"""The fitted model out of the fitted attributes, kept for as long as they stay what they are."""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch

from gmmlab.axes import Tensor
from gmmlab.estimators import parameters as sk
from gmmlab.families import Gaussian, Structure, Student
from gmmlab.families.student import Dof
from gmmlab.gates import Constant, Noisy
from gmmlab.model import Mixture


class MadeOf(NamedTuple):
    """The attributes that a fitted model is made of."""

    weights: Tensor
    mean: Tensor
    upper: Tensor  # precisions_cholesky_
    box: Tensor | None  # of the noise
    dof: Tensor | None  # of Student-t components
    covariance_type: str
    ridge: float
    rule: Dof | None

    @classmethod
    def of(cls, estimator: Any) -> MadeOf:
        """Those of a fitted `GaussianMixture`."""
        box, dof = (getattr(estimator, name, None) for name in ("noise_box_", "dofs_"))
        return cls(
            sk.as_tensor(estimator.weights_),
            sk.as_tensor(estimator.means_),
            sk.as_tensor(estimator.precisions_cholesky_),
            None if box is None else sk.as_tensor(box),
            None if dof is None else sk.as_tensor(dof),
            estimator.covariance_type,
            float(estimator.reg_covar),
            None if dof is None else estimator._rule(),
        )

    def same(self, other: MadeOf) -> bool:
        """Whether all values are equal, and of the same type."""
        present = [[value is None for value in made[:5]] for made in (self, other)]
        if self[5:] != other[5:] or present[0] != present[1]:
            return False
        pairs = [(a, b) for a, b in zip(self[:5], other[:5], strict=True) if a is not None and b is not None]
        return all(a.dtype == b.dtype and a.device == b.device and torch.equal(a, b) for a, b in pairs)

    def copy(self) -> MadeOf:
        """The same values in memory of their own."""
        names = ("weights", "mean", "upper", "box", "dof")
        own = {name: getattr(self, name).clone() for name in names if getattr(self, name) is not None}
        return self._replace(**own)

    def mixture(self) -> Mixture:
        """The model."""
        layout = sk.COVARIANCES[self.covariance_type]
        chol = sk.factors(self.upper, layout, *self.mean.shape)
        total = self.weights.double().sum()
        origin = (self.weights.double() @ self.mean.double() / total).to(self.mean.dtype)
        inner = gaussians(self.mean, chol, origin, layout.structure, self.ridge)
        components: Gaussian | Student = inner
        if self.dof is not None and self.rule is not None:
            components = Student(inner, self.dof.double().clone(), self.rule)
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
