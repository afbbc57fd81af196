"""`FactorMixture`: covariances that are a few factors and noise, for rows with many columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions

from gmmlab.axes import Float, Tensor
from gmmlab.data import Rows
from gmmlab.errors import BadData
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.base import MixtureEstimator
from gmmlab.estimators.sample import Sample
from gmmlab.families import FactorAnalyzers, Gaussian, Structure
from gmmlab.gates import Constant
from gmmlab.init import METHODS, given_responsibilities, in_leading_components
from gmmlab.init.short import sample_of
from gmmlab.model import Mixture

ROWS = 20_000  # that a start is made from
NOISES = {name for name, layout in sk.COVARIANCES.items() if not layout.structure.dense} - set(sk.UNIVARIATE)


@dataclass(kw_only=True, eq=False, repr=False)
class FactorMixture(ClassNamePrefixFeaturesOutMixin, TransformerMixin, MixtureEstimator):
    """Mixture of factor analysers, fitted by expectation maximisation.

    The covariance of a component is that of a few factors of its own, which many columns have in common, and of noise
    that each column has for itself: Sigma_k = Lambda_k Lambda_k' + Psi_k. A component of d columns has about d q
    parameters in place of d^2 / 2, a row costs O(d q), and no (d, d) matrix is formed by a fit. With one noise variance
    for all columns ('spherical') the components are probabilistic principal component analysers. Rows must be complete.

    Parameters
    ----------
    n_components : int, default=1
        Number of components.
    n_factors : int, default=1
        Number q of factors of each component, fewer than columns.
    noise_covariance : str, default='diag'
        What the factors leave: own variances of each component along the axes ('diag'), one variance each
        ('spherical'), or any of 'EII', 'VII', 'EEI', 'VEI', 'EVI', 'VVI'. With loadings that are free these are the
        models UCC, UUC, UCU and UUU of McNicholas and Murphy (2008), and two of their later ones.
    tol : float, default=1e-3
        The fit ends when the mean log-likelihood changes by less than this in a step.
    reg_covar : float, default=1e-6
        Added to all noise variances at every step, in squared data units.
    max_iter, n_init, weights_init, means_init, random_state, warm_start, verbose, verbose_interval, noise,
    weights_prior
        As of `GaussianMixture`; `noise` is the uniform background for rows that belong to no component.
    init_params : str or array, default='auto'
        As of `GaussianMixture`; rows are parted along the k + q leading principal components of standardised columns
        (of at most 20,000 rows), and the factors begin at the principal components of the groups.

    Attributes
    ----------
    weights_, means_ : arrays of shape (k,) and (k, d)
        Weights and means.
    loadings_ : array of shape (k, d, q)
        Loadings, which are determined up to a rotation of the factors of each component.
    noise_variances_ : array of shape (k, d)
        Variances of the noise.
    covariances_ : array of shape (k, d, d)
        Covariance matrices, made when they are asked for.
    converged_, n_iter_, lower_bound_, lower_bounds_, noise_weight_, noise_box_, mixture_
        As of `GaussianMixture`.
    certificate_ : Certificate
        As of `GaussianMixture`; the condition numbers are bounds from above, exact for one noise variance.
    n_features_in_ : int
    feature_names_in_ : array of str

    References
    ----------
    Ghahramani and Hinton (1996); Tipping and Bishop (1999); McLachlan and Peel (2000), chapter 8.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import FactorMixture
    >>> rng = np.random.default_rng(0)
    >>> factors, loadings = rng.normal(size=(500, 2)), rng.normal(size=(2, 100))
    >>> X = factors @ loadings + 0.1 * rng.normal(size=(500, 100))
    >>> model = FactorMixture(n_factors=2).fit(X)
    >>> model.transform(X).shape, model.noise_variances_.mean().round(2).item()
    ((500, 2), 0.01)
    """

    n_factors: int = 1
    noise_covariance: str = "diag"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = MixtureEstimator._parameter_constraints | {
        "n_factors": [Interval(Integral, 1, None, closed="left")],
        "noise_covariance": [StrOptions(NOISES)],
    }
    _made_of: ClassVar[tuple[str, ...]] = ("means_", "loadings_", "noise_variances_")

    def transform(self, X: Any) -> Any:
        """The expected factors of each row, (n, k q): those of component 0 first, times its probability, and so on.

        E[z 1(component = k) | x] = r_k Lambda_k' Sigma_k^-1 (x - mu_k). With one component this is factor analysis.
        """
        return sk.like(X, self._over(X, _factors))

    @property
    def covariances_(self) -> Any:
        """Covariance matrices (k, d, d): in a fit of many columns they are far larger than all it holds."""
        mixture = self.mixture_
        return sk.like(self.means_, _analyzers(mixture).cov.to(mixture.located.origin.dtype))

    @property
    def _n_features_out(self) -> int:
        return int(self.n_components) * int(self.n_factors)

    def _first(self, sample: Sample, rng: torch.Generator) -> Mixture:
        k, q, d = int(self.n_components), int(self.n_factors), sample.x.shape[1]
        if q >= d:
            raise BadData(
                f"n_factors={q} and n_features = {d}: expected fewer factors than columns. Try fewer factors, or "
                "GaussianMixture."
            )
        if isinstance(self.init_params, str):
            x, weight = sample.counting
            if len(x) > (most := max(ROWS, 40 * k)):
                drawn = sample_of(len(x), most, rng).to(x.device)
                x, weight = x[drawn], None if weight is None else weight[drawn]
            resp = in_leading_components(x, k, k + q, METHODS[self.init_params], rng, weight=weight)
        else:
            x, weight = sample.x, sample.weight
            resp = given_responsibilities(self.init_params, len(x), k).to(x)
        resp = resp if weight is None else resp * weight[:, None]
        components = FactorAnalyzers.near(x, resp, q, self._structure(), rng=rng, ridge=float(self.reg_covar))
        return Mixture(components, Constant.of(resp.sum(0)))

    def _family(self, begin: Mixture, sample: Sample) -> Mixture:
        return begin.relocated(origin=sample.origin)

    def _structure(self) -> Structure:
        return sk.structure(self.noise_covariance)

    def _shapes(self, k: int, d: int) -> dict[str, tuple[int, ...]]:
        return {"means_": (k, d), "loadings_": (k, d, int(self.n_factors)), "noise_variances_": (k, d)}

    def _written(self, components: FactorAnalyzers) -> dict[str, Tensor]:
        return {"means_": components.mean, "loadings_": components.loadings, "noise_variances_": components.noise}

    def _read(self, values: Mapping[str, Tensor], origin: Float[Tensor, "d"]) -> FactorAnalyzers:
        mean, noise, loadings = (values[name].double().clone() for name in ("means_", "noise_variances_", "loadings_"))
        jitter = mean.new_zeros(len(mean))
        return FactorAnalyzers(
            Gaussian(mean, noise.sqrt(), jitter, origin, self._structure(), float(self.reg_covar)), loadings
        )

    def _settings(self) -> tuple[Any, ...]:
        return self.noise_covariance, float(self.reg_covar)

    @classmethod
    def _parameters_of(cls, mixture: Mixture) -> dict[str, Any]:
        components = _analyzers(mixture)
        kind, ridge = sk.covariance_type(components.gaussian.structure), components.gaussian.ridge
        return {"n_factors": components.q, "noise_covariance": kind, "reg_covar": ridge}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _analyzers(mixture: Mixture) -> FactorAnalyzers:
    if not isinstance(mixture.components, FactorAnalyzers):
        raise TypeError(f"Expected a mixture of factor analysers, got one of {type(mixture.components).__name__}.")
    return mixture.components


def _factors(mixture: Mixture, rows: Rows) -> Tensor:
    return (mixture.posterior(rows.x).resp[:, :, None] * _analyzers(mixture).scores(rows.x)).flatten(1)
