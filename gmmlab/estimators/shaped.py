"""What mixtures of Gaussians, and of what is built on Gaussians with a covariance matrix, share beyond `base`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

import torch
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from gmmlab.axes import Float, Tensor
from gmmlab.data import as_rows, row_weights
from gmmlab.errors import BadData
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.base import MixtureEstimator
from gmmlab.estimators.beginning import begins
from gmmlab.estimators.fitting import Climb, Fit, Online, by_blocks, by_passes
from gmmlab.estimators.monitored import Batch, Monitored
from gmmlab.estimators.sample import Sample
from gmmlab.families import Gaussian, Prior, Structure
from gmmlab.fit import anderson, identity, squarem
from gmmlab.kernels.chunks import Chunk
from gmmlab.model import Mixture

ACCELERATIONS = {"squarem": squarem(), "anderson": anderson()}


@dataclass(kw_only=True, eq=False, repr=False)
class CovarianceMixture(MixtureEstimator):
    """A mixture whose components have a covariance (or scale) matrix of some structure."""

    covariance_type: str | Structure = "full"
    precisions_init: Any = None
    prior: Any = None
    acceleration: str | None = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = MixtureEstimator._parameter_constraints | {
        "covariance_type": [StrOptions(set(sk.COVARIANCES)), Structure],
        "precisions_init": ["array-like", None],
        "prior": [StrOptions({"mclust"}), dict, None],
        "acceleration": [StrOptions(set(ACCELERATIONS)), None],
    }
    _made_of: ClassVar[tuple[str, ...]] = ("means_", "precisions_cholesky_")

    def _climb(self, sample: Sample, rng: torch.Generator) -> Climb:
        return by_passes(sample.source, ACCELERATIONS.get(self.acceleration or "", identity))

    # -- the components ----------------------------------------------------------------------------------------------

    def _structure(self) -> Structure:
        return sk.structure(self.covariance_type)

    def _given(self, k: int, d: int) -> dict[str, Tensor]:
        given = super()._given(k, d)
        sk.check_columns(self._structure(), d)
        if self.precisions_init is not None:
            given["chol"] = sk.check_precisions(self.precisions_init, self.covariance_type, k, d)
        return given

    def _family(self, begin: Mixture, sample: Sample) -> Mixture:
        prior = _prior(self.prior, self._structure(), int(self.n_components), sample)
        return begin.relocated(origin=sample.origin, prior=prior)

    def _shapes(self, k: int, d: int) -> dict[str, tuple[int, ...]]:
        axes = sk.layout(self.covariance_type).axes(k, d)
        return {"means_": (k, d)} | dict.fromkeys(("covariances_", "precisions_", "precisions_cholesky_"), axes)

    def _written(self, components: Any) -> dict[str, Tensor]:
        gaussian = components if isinstance(components, Gaussian) else components.gaussian
        return {"means_": gaussian.mean} | sk.attributes(gaussian.chol, sk.layout(self.covariance_type))

    def _read_gaussian(self, values: Mapping[str, Tensor], origin: Float[Tensor, "d"]) -> Gaussian:
        layout, mean = sk.layout(self.covariance_type), values["means_"]
        chol = sk.factors(values["precisions_cholesky_"], layout, *mean.shape)
        jitter = torch.zeros(len(mean), dtype=torch.float64, device=mean.device)
        return Gaussian(mean.double().clone(), chol, jitter, origin, layout.structure, float(self.reg_covar))

    def _settings(self) -> tuple[Any, ...]:
        return self.covariance_type, float(self.reg_covar)

    @classmethod
    def _parameters_of(cls, mixture: Mixture) -> dict[str, Any]:
        gaussian = mixture.located
        return {"covariance_type": sk.covariance_type(gaussian.structure), "reg_covar": gaussian.ridge}


@dataclass(kw_only=True, eq=False, repr=False)
class ShapedMixture(Monitored, CovarianceMixture):
    """The same for rows that may come in batches."""

    batch_size: int | None = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CovarianceMixture._parameter_constraints | {
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
    }

    def _fit(self, X: Any, sample_weight: Any) -> None:
        super()._fit(X, sample_weight)
        self.__dict__.pop("_online", None)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """One step of online EM with a batch of rows; the first batch also gives the start.

        Statistics are averaged over batches with a step size that falls as t^-0.7, so that one pass over many batches
        comes near a fit of all their rows. See Cappé and Moulines (2009). `fit` begins anew.
        """
        online: Online | None = getattr(self, "_online", None)
        if online is None:
            online = Online(next(iter(begins(self, *self._sample(X, sample_weight)))).model)
        else:
            self._check_columns(X)
        rows = as_rows(X)
        weight = row_weights(sample_weight, rows.x)
        online = online.after(Chunk(rows.x, weight))
        self._store(Fit(online.model, online.bounds), X, online.n)
        self._online = online
        self._tell(Batch(online.model, online.bounds[-1]))
        return self

    def _climb(self, sample: Sample, rng: torch.Generator) -> Climb:
        if self.batch_size is None:
            return super()._climb(sample, rng)
        if self.acceleration is not None:
            raise ValueError(
                f"acceleration={self.acceleration!r} leaps along steps that see all rows, and batch_size="
                f"{self.batch_size} asks for steps that see some; expected one of the two. Leave one out."
            )
        if not sample.complete:
            raise BadData(
                f"batch_size={self.batch_size} was given with rows that are a stream or have missing entries; expected "
                "complete rows in memory. Leave it out, or give the batches of a stream to partial_fit."
            )
        return by_blocks(sample.batches(int(self.batch_size), rng))


def _prior(given: Any, structure: Structure, k: int, sample: Sample) -> Prior | None:
    """mclust's default, or what a mapping says of it: kappa, dof, mean (d) and scale (d, d)."""
    if given is None:
        return None
    x = sample.x
    if not isinstance(given, Mapping):
        return Prior.weak(structure, k, x)
    if unknown := set(given) - {"kappa", "dof", "mean", "scale"}:
        raise ValueError(f"prior has the entries {sorted(unknown)}; expected some of kappa, dof, mean and scale.")
    d, y = x.shape[1], (x - sample.origin).double()
    mean = sk.as_tensor(given["mean"]).to(x) if "mean" in given else sample.origin
    scale = sk.as_tensor(given["scale"]).to(x) if "scale" in given else y.T @ y / (len(x) - 1) / k ** (2 / d)
    return Prior.of(
        structure, k, mean=mean, kappa=float(given.get("kappa", 0.01)), dof=float(given.get("dof", d + 2)), scale=scale
    )
