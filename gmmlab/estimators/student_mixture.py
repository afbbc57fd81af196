"""`StudentMixture`: components with heavy tails, whose centres outliers do not drag along."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from gmmlab.estimators.gaussian_mixture import GaussianMixture
from gmmlab.families import Components, Gaussian, Student
from gmmlab.families.student import Common, Dof, Fixed, Own

RULES: dict[str, Dof] = {"own": Own(), "common": Common()}
BEGIN = 10.0  # degrees of freedom that are then estimated


class StudentMixture(GaussianMixture):
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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = GaussianMixture._parameter_constraints | {
        "dof": [StrOptions(set(RULES)), Interval(Real, 0.0, None, closed="neither")],
    }
    _takes_gaps: ClassVar[bool] = False

    def __init__(
        self,
        n_components: int = 1,
        *,
        dof: str | float = "own",
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: Any = "auto",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        prior: Any = None,
        noise: bool | float = False,
        acceleration: str | None = None,
    ) -> None:
        super().__init__(
            n_components,
            covariance_type=covariance_type,
            tol=tol,
            reg_covar=reg_covar,
            max_iter=max_iter,
            n_init=n_init,
            init_params=init_params,
            weights_init=weights_init,
            means_init=means_init,
            precisions_init=precisions_init,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
            verbose_interval=verbose_interval,
            prior=prior,
            noise=noise,
            acceleration=acceleration,
        )
        self.dof = dof

    def _rule(self) -> Dof:
        return RULES[self.dof] if isinstance(self.dof, str) else Fixed()

    def _family(self, components: Gaussian, old: Components) -> Components:
        if isinstance(old, Student):
            return old.replace(gaussian=components)
        dof = BEGIN if isinstance(self.dof, str) else float(self.dof)
        return Student(components, components.mean.new_full((components.k,), dof), self._rule())
