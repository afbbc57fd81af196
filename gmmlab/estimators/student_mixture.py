"""`StudentMixture`: components with heavy tails, whose centres outliers do not drag along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from gmmlab.axes import Float, Tensor
from gmmlab.estimators.sample import Sample
from gmmlab.estimators.shaped import ShapedMixture
from gmmlab.families import Student
from gmmlab.families.student import Common, Dof, Fixed, Own
from gmmlab.model import Mixture

RULES: dict[str, Dof] = {"own": Own(), "common": Common()}
BEGIN = 10.0  # degrees of freedom that are then estimated


@dataclass(kw_only=True, eq=False, repr=False)
class StudentMixture(ShapedMixture):
    """Mixture of multivariate Student-t distributions, fitted by expectation maximisation.

    All that `GaussianMixture` takes and has, for components with heavy tails: a row far from a component counts little
    for it. `covariances_`, `precisions_` and `precisions_cholesky_` are those of the scale matrices; the covariance of
    a component is nu / (nu - 2) times its scale matrix, where its degrees of freedom nu are above 2. Rows must be
    complete.

    Parameters
    ----------
    n_components : int, default=1
        Number of components.
    dof : {'own', 'common'} or float, default='own'
        Degrees of freedom: estimated for each component, or one for all; or given.
    **parameters
        As of `GaussianMixture`.

    Attributes
    ----------
    dofs_ : array of shape (k,)
        Degrees of freedom of each component; a million stands for a Gaussian.

    References
    ----------
    Peel and McLachlan (2000); Liu and Rubin (1995).

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import StudentMixture
    >>> X = np.random.default_rng(0).standard_t(3, size=(500, 2))
    >>> model = StudentMixture().fit(X)
    >>> bool(2 < model.dofs_[0] < 5)
    True
    """

    dof: str | float = "own"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = ShapedMixture._parameter_constraints | {
        "dof": [StrOptions(set(RULES)), Interval(Real, 0.0, None, closed="neither")],
    }
    _made_of: ClassVar[tuple[str, ...]] = (*ShapedMixture._made_of, "dofs_")

    def _family(self, begin: Mixture, sample: Sample) -> Mixture:
        begin = super()._family(begin, sample)
        if isinstance(begin.components, Student):
            return begin
        dof = BEGIN if isinstance(self.dof, str) else float(self.dof)
        dofs = begin.located.mean.new_full((begin.k,), dof)
        return begin.replace(components=Student(begin.located, dofs, self._rule()))

    def _shapes(self, k: int, d: int) -> dict[str, tuple[int, ...]]:
        return super()._shapes(k, d) | {"dofs_": (k,)}

    def _written(self, components: Student) -> dict[str, Tensor]:
        return super()._written(components) | {"dofs_": components.dof}

    def _read(self, values: Mapping[str, Tensor], origin: Float[Tensor, "d"]) -> Student:
        return Student(self._read_gaussian(values, origin), values["dofs_"].double().clone(), self._rule())

    def _settings(self) -> tuple[Any, ...]:
        return *super()._settings(), self._rule()

    @classmethod
    def _parameters_of(cls, mixture: Mixture) -> dict[str, Any]:
        components = mixture.components
        if not isinstance(components, Student):
            raise TypeError(f"Expected a mixture of Student-t components, got one of {type(components).__name__}.")
        known = next((name for name, rule in RULES.items() if rule == components.rule), float(components.dof[0]))
        return super()._parameters_of(mixture) | {"dof": known}

    def _rule(self) -> Dof:
        return RULES[self.dof] if isinstance(self.dof, str) else Fixed()
