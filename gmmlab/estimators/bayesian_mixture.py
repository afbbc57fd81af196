"""`BayesianGaussianMixture`, a drop-in for scikit-learn's: posteriors of all parameters by variational Bayes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from sklearn.utils._param_validation import Interval, StrOptions

from gmmlab.axes import Tensor
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.base import ClimbingMixture
from gmmlab.estimators.beginning import grouped, resumed
from gmmlab.estimators.believed import DISCOUNTED, FINITE, STICKS, prior_of, weights_prior_of
from gmmlab.estimators.fitting import Begin, Fit, best_of
from gmmlab.estimators.kept import keep_ends
from gmmlab.estimators.sample import Sample, generator
from gmmlab.estimators.verbose import Reporter
from gmmlab.families import NormalWishart
from gmmlab.fit import Source, Step, last, plateau, run, stream_steps
from gmmlab.fit.certificate import certify
from gmmlab.fit.loop import Stop
from gmmlab.fit.variational import attained, left_out, parts
from gmmlab.gates import Constant, DirichletWeights, Known, Learned, StickWeights
from gmmlab.init import METHODS, RESPONSIBILITIES, given_responsibilities
from gmmlab.init.partitions import refitted
from gmmlab.kernels.chunks import Chunk, evenly
from gmmlab.model import Mixture
from gmmlab.sample.believed import drawn
from gmmlab.stats import Counts
from gmmlab.steps import MixtureStats, e_step, m_step

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer


@dataclass(kw_only=True, eq=False, repr=False)
class BayesianGaussianMixture(ClimbingMixture):
    """Gaussian mixture whose parameters have posteriors, found by variational Bayes.

    Takes what `sklearn.mixture.BayesianGaussianMixture` takes and, from the same start, ends at the same numbers, after
    as many steps. What it adds: weights of rows, tensors and streams, a Pitman-Yor process, a concentration that is
    learned, stochastic steps, the whole lower bound, and the predictive density.

    The posterior of a component is a normal-Wishart distribution. The attributes are theirs: `means_` are posterior
    means, `covariances_` the inverses of expected precisions (not expected covariances, which are dof / (dof - d - 1)
    times as large), `weights_` posterior means. `predict` and `predict_proba` assign by expected log weights and
    densities, which is less to uncertain components than the attributes alone would give; `score_samples` sums those
    expectations, which is no density, as theirs does. The density of a next row is `predictive_`.

    Parameters
    ----------
    n_components : int, default=1
        Most components; surplus ones lose their rows. The processes are cut off there.
    covariance_type : str, default='full'
        'full', 'tied', 'diag', 'spherical' or one of the fourteen by three letters. The model is always that of free
        covariances; this is the form of what is expected of them, which restricts the posterior.
    tol : float, default=1e-3
        The fit ends when the lower bound, of all rows and not of one, changes by less than this in a step.
    reg_covar : float, default=1e-6
        Added to the variances of the rows at every step, in squared data units.
    max_iter, n_init, random_state, warm_start, verbose, verbose_interval
        As of `GaussianMixture`.
    init_params : str or array, default='kmeans'
        As of `GaussianMixture`.
    weight_concentration_prior_type : str, default='dirichlet_process'
        Prior of the weights: 'dirichlet_process' (a broken stick), 'dirichlet_distribution' (finite), 'pitman_yor' (a
        stick with a `discount`).
    weight_concentration_prior : float, default=None
        Concentration: the smaller, the fewer components keep rows. 1 / n_components unless given.
    mean_precision_prior : float, default=None
        How many rows the prior of the means counts as. 1 unless given.
    mean_prior : array of shape (d,), default=None
        Prior of the means; the mean of the rows unless given.
    degrees_of_freedom_prior : float, default=None
        How many rows the prior of the covariances counts as, above d - 1; d unless given.
    covariance_prior : float or array, default=None
        Scale of their prior: a matrix (d, d), variances (d,) for axis-aligned types, or one number for 'spherical'. The
        covariance of the rows unless given. The prior expects precisions of degrees_of_freedom_prior times its inverse.
    discount : float, default=0.25
        Of the Pitman-Yor process, from 0 to below 1; the larger, the more small components.
    learn_alpha : bool or (shape, rate), default=False
        Whether the concentration of the Dirichlet process has a gamma distribution of its own; that of shape 1 and mean
        `weight_concentration_prior` unless given.
    by_size : bool, default=False
        Whether the stick is broken in the order of size, which raises the bound, or in that of the numbers, as theirs.
    inference : {'vb', 'svi'}, default='vb'
        'svi' begins with a pass of stochastic steps, each from a batch of rows as if they were all (Hoffman et al.,
        2013), which saves passes where rows are many; exact steps follow until `tol`.
    batch_size : int, default=1000
        Rows of a stochastic step; of a stream, its chunks are taken.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : arrays
        Expected weights and means, inverses of expected precisions, and these; in scikit-learn's shapes.
    weight_concentration_ : array of shape (k,), or a pair of them
        Parameters of the Dirichlet posterior, or of the beta posteriors of the breaks.
    mean_precision_, degrees_of_freedom_ : arrays of shape (k,)
        Rows behind each mean, and behind each covariance (one number for 'tied').
    weight_concentration_prior_, mean_precision_prior_, mean_prior_, degrees_of_freedom_prior_, covariance_prior_
        The prior that was used.
    concentration_posterior_ : array of shape (2,)
        Shape and rate of the gamma posterior, with `learn_alpha`.
    lower_bound_, lower_bounds_ : float, list of float
        The lower bound after the last step, and every step, without terms that no step changes: scikit-learn's numbers.
    elbo_ : float
        The whole lower bound of the log density of all rows, to be compared between numbers of components and priors.
        (`lower_bounds_` are as far below those of earlier steps as `lower_bound_` is.)
    predictive_ : Mixture
        The density of a next row under the posterior, a mixture of Student-t distributions.
    expected_ : Mixture
        Gaussians with the expected parameters, for the tools that take a mixture of Gaussians.
    mixture_ : Mixture
        The posterior itself as a value.
    converged_, n_iter_, certificate_, n_features_in_, feature_names_in_
        As of `GaussianMixture`.

    References
    ----------
    Attias (2000); Bishop (2006), section 10.2; Blei and Jordan (2006).

    Examples
    --------
    >>> import gmmlab
    >>> model = gmmlab.BayesianGaussianMixture(5, weight_concentration_prior=0.01, random_state=0)
    >>> model.fit(gmmlab.faithful()).weights_.round(2).tolist()
    [0.64, 0.36, 0.0, 0.0, 0.0]
    """

    covariance_type: str = "full"
    init_params: Any = "kmeans"
    weight_concentration_prior_type: str = STICKS
    weight_concentration_prior: float | None = None
    mean_precision_prior: float | None = None
    mean_prior: Any = None
    degrees_of_freedom_prior: float | None = None
    covariance_prior: Any = None
    discount: float = 0.25
    learn_alpha: Any = False
    by_size: bool = False
    inference: str = "vb"
    batch_size: int = 1000

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = ClimbingMixture._parameter_constraints | {
        "covariance_type": [StrOptions(set(sk.COVARIANCES))],
        "weight_concentration_prior_type": [StrOptions({FINITE, STICKS, DISCOUNTED})],
        "weight_concentration_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "mean_precision_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "mean_prior": [None, "array-like"],
        "degrees_of_freedom_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "covariance_prior": [None, "array-like", Interval(Real, 0.0, None, closed="neither")],
        "discount": [Interval(Real, 0.0, 1.0, closed="left")],
        "learn_alpha": ["boolean", "array-like"],
        "by_size": ["boolean"],
        "inference": [StrOptions({"vb", "svi"})],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
    }
    _climbs: ClassVar[str] = "lower bound"
    _made_of: ClassVar[tuple[str, ...]] = (
        *("means_", "precisions_cholesky_", "mean_precision_", "weight_concentration_", "concentration_posterior_"),
        *("weight_concentration_prior_", "mean_precision_prior_", "degrees_of_freedom_prior_"),
        *("mean_prior_", "covariance_prior_"),
    )

    # -- fitting ---------------------------------------------------------------------------------------------------

    def _best_fit(self, sample: Sample, rng: torch.Generator) -> Fit:
        def climb(begin: Begin, stop: Stop) -> Iterator[Step]:
            return run(begin.model, sample.source, stop=stop, previous=begin.previous, objective=attained)

        report = Reporter(self.verbose, self.verbose_interval)
        best, fits = best_of(self._begins(sample, rng), climb, self._budget(), report)
        keep_ends(self, fits)
        return best

    def _begins(self, sample: Sample, rng: torch.Generator) -> Iterator[Begin]:
        """Posteriors to climb from: `n_init` of them, or the last one if it is to go on."""
        prior = prior_of(self, sample)
        if self.warm_start and hasattr(self, "converged_"):
            model = resumed(self, sample).relocated(origin=sample.origin, prior=prior.located.prior)
            yield Begin(model, self.lower_bound_)
            return
        for _ in range(int(self.n_init)):
            model = self._start(prior, sample, rng)
            yield Begin(_warmed(model, sample, int(self.batch_size), rng) if self.inference == "svi" else model)

    def _start(self, prior: Mixture, sample: Sample, rng: torch.Generator) -> Mixture:
        """The posterior after rows that are assigned as `init_params` says."""
        given, k = self.init_params, int(self.n_components)
        if not isinstance(given, str):
            found = grouped(given, sample, rng) if hasattr(given, "fit_predict") else given
            return refitted(
                prior, sample.x, given_responsibilities(found, len(sample.x), k).to(sample.x), sample.weight
            )
        x, weight = sample.counting
        if given in RESPONSIBILITIES:
            return refitted(prior, x, RESPONSIBILITIES[given](x, k, rng), weight)
        structure, ridge = prior.located.structure, float(self.reg_covar)
        begin = METHODS[given](x, k, structure, rng, ridge=ridge, weight=weight)
        return m_step(prior, e_step(begin.relocated(origin=sample.origin), x, weight))

    # -- the fitted model ------------------------------------------------------------------------------------------

    def _store(self, fit: Fit, like: Any, n: float) -> None:
        super()._store(fit, like, n)
        for name in ("mean_precision_prior_", "degrees_of_freedom_", "degrees_of_freedom_prior_", "covariance_prior_"):
            if getattr(self, name).ndim == 0:
                setattr(self, name, float(getattr(self, name)))
        per_row = [bound / n for bound in fit.bounds]
        self.certificate_ = certify(fit.model, per_row, n, converged=fit.converged, jitter=fit.jitter)
        self.elbo_ = fit.bound + float(left_out(fit.model, n))
        (_, gate), dtype = parts(fit.model), fit.model.located.origin.dtype
        self.__dict__.pop("concentration_posterior_", None)
        if isinstance(gate, StickWeights):
            self.weight_concentration_ = tuple(sk.like(like, each.to(dtype).clone()) for each in (gate.a, gate.b))
            self._store_concentration(gate.concentration, like)
        else:
            self.weight_concentration_ = sk.like(like, gate.alpha.to(dtype).clone())
            self.weight_concentration_prior_ = float(gate.alpha0[0])

    def _store_concentration(self, concentration: Known | Learned, like: Any) -> None:
        if isinstance(concentration, Learned):
            self.concentration_posterior_ = sk.like(like, torch.stack([concentration.shape, concentration.rate]))
            self.weight_concentration_prior_ = float(concentration.shape0 / concentration.rate0)
        else:
            self.weight_concentration_prior_ = float(concentration.mean)

    def _shapes(self, k: int, d: int) -> dict[str, tuple[int, ...]]:
        axes = sk.COVARIANCES[self.covariance_type].axes(k, d)
        covariances = dict.fromkeys(("covariances_", "precisions_", "precisions_cholesky_"), axes)
        return {"means_": (k, d), "mean_precision_": (k,)} | covariances

    def _written(self, components: NormalWishart) -> dict[str, Tensor]:
        layout, prior, dof = sk.COVARIANCES[self.covariance_type], components.prior, components.dof
        return {
            "means_": components.mean,
            "mean_precision_": components.kappa,
            "degrees_of_freedom_": dof[0] if components.gaussian.structure.shared else dof,
            "mean_precision_prior_": prior.kappa[0],
            "mean_prior_": prior.mean[0],
            "degrees_of_freedom_prior_": prior.rows[0],
            "covariance_prior_": prior.scale[0, 0] if self.covariance_type == "spherical" else prior.scale[0],
        } | sk.attributes(components.gaussian.chol, layout)

    def _model(self, values: Mapping[str, Tensor]) -> Mixture:
        layout, mean = sk.COVARIANCES[self.covariance_type], values["means_"]
        scale, kappa = values["covariance_prior_"].double(), float(values["mean_precision_prior_"])
        prior = NormalWishart.of(
            layout.structure,
            len(mean),
            mean=values["mean_prior_"],
            kappa=kappa,
            dof=float(values["degrees_of_freedom_prior_"]),
            scale=scale.expand(mean.shape[1]) if scale.ndim == 0 else scale,
            origin=(values["weights_"].double() @ mean.double()).to(mean.dtype),
            ridge=float(self.reg_covar),
        )
        chol = sk.factors(values["precisions_cholesky_"], layout, *mean.shape)
        gaussian = prior.gaussian.replace(mean=mean.double().clone(), chol=chol)
        return Mixture(
            prior.replace(gaussian=gaussian, w=values["mean_precision_"].double() - kappa), self._gate(values)
        )

    def _gate(self, values: Mapping[str, Tensor]) -> DirichletWeights | StickWeights:
        found = values["weight_concentration_"].double()
        gate = weights_prior_of(self, float(values["weight_concentration_prior_"])).to(found.device)
        if isinstance(gate, DirichletWeights):
            return gate.refit(Counts(found - gate.alpha0))
        concentration = gate.concentration
        if isinstance(concentration, Learned):
            shape, rate = values["concentration_posterior_"].double()
            concentration = concentration.replace(shape=shape, rate=rate)
        return gate.having(found[0], found[1], concentration)

    def _settings(self) -> tuple[Any, ...]:
        kind, options = self.weight_concentration_prior_type, (self.discount, self.by_size, str(self.learn_alpha))
        return self.covariance_type, float(self.reg_covar), kind, *options

    @property
    def predictive_(self) -> Mixture:
        """The density of a next row, a mixture of Student-t distributions; `StudentMixture.from_mixture` takes it."""
        components, gate = parts(self.mixture_)
        return Mixture(components.predictive(), Constant.of(gate.weights))

    @property
    def expected_(self) -> Mixture:
        """Gaussians with the expected means and precisions; `GaussianMixture.from_mixture` takes it."""
        return plugged_in(self.mixture_)

    def sample_posterior(self, n_samples: int = 200, random_state: Any = None) -> list[Mixture]:
        """Independent draws of weights, means and covariances from the posterior, component by component.

        Their components have the numbers of the fitted ones. The posterior of variational Bayes is too narrow where
        components overlap; draws of `clustering.SampledGaussianMixture` are not, but come one after the other.
        """
        posterior = self.mixture_
        rng = generator(random_state, posterior.weights.device)
        return [drawn(posterior, rng) for _ in range(n_samples)]

    # -- watching --------------------------------------------------------------------------------------------------

    def steps(self, X: Any, sample_weight: Any = None) -> Iterator[Step]:
        """The steps of a fit of rows `X`, one by one; their models are the Gaussians of the expected parameters.

        A `Session` can show them. Their objective is the whole lower bound, per row, before each refit.
        """
        self._validate_params()
        sample, rng = self._sample(X, sample_weight)
        begin = next(self._begins(sample, rng))
        return variational(begin.model, sample.source, plateau(float(self.tol) / sample.n))

    def explore(self, X: Any, sample_weight: Any = None, **options: Any) -> Explorer:
        """Watch and steer the fit of rows `X` in a notebook; see `gmmlab.explore` for the options.

        The dials beside it turn the prior while it runs; its line is the lower bound, per row.
        """
        from gmmlab.widgets.bayesian import explore_posterior

        return explore_posterior(self, X, sample_weight, options)


def plugged_in(posterior: Mixture) -> Mixture:
    """Gaussians with the expected weights, means and precisions of a posterior."""
    return Mixture(posterior.located.replace(prior=None), Constant.of(posterior.weights))


def variational(posterior: Mixture, source: Source, stop: Stop) -> Iterator[Step]:
    """Steps of variational Bayes from a posterior, which show the Gaussians of what it expects.

    Their evidence is the lower bound, per row, before each refit.
    """
    for step in run(posterior, source, stop=stop):
        stats = step.info.stats
        told = stats.replace(evidence=step.info.objective * stats.n)
        yield step._replace(model=plugged_in(step.model), info=step.info._replace(stats=told))


def _warmed(model: Mixture, sample: Sample, size: int, rng: torch.Generator) -> Mixture:
    """A posterior after one pass of stochastic steps: the statistics of each batch count as those of all rows.

    That is a natural-gradient step of falling size. See Hoffman, Blei, Wang and Paisley (2013), section 2.4.
    """

    def refit(model: Mixture, stats: MixtureStats) -> Mixture:
        return m_step(model, stats * (sample.n / float(stats.n)))

    if sample.complete:
        batches = sample.batches(evenly(len(sample.x), size), rng)
    else:
        batches = [Chunk(piece.x, piece.weight) for piece in sample.pieces]
    return last(stream_steps(model, batches, exact=False, refit=refit)).model
