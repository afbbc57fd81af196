"""`SampledGaussianMixture`: groups, and how sure they are, from draws of the posterior of a Bayesian mixture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from gmmlab.axes import Float, Int, Tensor
from gmmlab.clustering.base import MixtureClusterer
from gmmlab.data import row_weights
from gmmlab.errors import BadData
from gmmlab.estimators import parameters as sk
from gmmlab.extras import needs
from gmmlab.families import NormalInverseWishart
from gmmlab.families.niw import grouped
from gmmlab.gates import Constant
from gmmlab.init import RESPONSIBILITIES
from gmmlab.model import Mixture
from gmmlab.sample import (
    Belief,
    Dirichlet,
    Gamma,
    Restaurant,
    Sticks,
    Sweep,
    Weights,
    blocked_gibbs,
    collapsed_gibbs,
    split_merge,
)
from gmmlab.sample.draws import Draw, copied, sets
from gmmlab.score.partitions import Loss, binder, point, similarity, variation

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer

GROUPS = 5  # whose ellipsoids fill that of the rows: the default size of a group
MOST = 10_000  # rows of which every pair is counted
LOSSES: dict[str, Loss] = {"vi": variation, "binder": binder}
WEIGHTS: dict[str, type[Sticks | Dirichlet]] = {"dp": Sticks, "dirichlet": Dirichlet}
ONE_BY_ONE = {"collapsed": collapsed_gibbs, "subcluster": split_merge}


class Start(NamedTuple):
    """Where chains begin."""

    x: Tensor
    prior: NormalInverseWishart
    rng: torch.Generator
    copies: Tensor | None = None

    def model(self, labels: Int[Tensor, "n"], k: int) -> Mixture:
        """A model drawn given labels."""
        groups = grouped(self.x, labels, k, self.x.mean(0))
        return Mixture(self.prior.posterior(groups).sample(self.rng, groups.origin), Constant.of(groups.w + 1))


@dataclass(kw_only=True, eq=False, repr=False)
class SampledGaussianMixture(MixtureClusterer):
    """A Bayesian mixture of Gaussians by draws from its posterior: how many groups there are, and who goes with whom.

    Rows may count several times (`sample_weight`, whole numbers): that is the posterior of so many copies, which need
    not be together. What is told of rows (`labels_`, `partitions_`, `psm_`) is of one copy of each; in the loss rows
    count as often as they are there. 'gibbs' takes the time of the rows, the others that of all copies.

    Means and covariances have a normal-inverse-Wishart prior, the sizes of groups that of a Dirichlet process (any
    number of groups) or of finite Dirichlet weights. A fit keeps partitions with their parameters, and sums up what
    does not depend on how groups are numbered.

    Parameters
    ----------
    inference : {'subcluster', 'collapsed', 'gibbs'}, default='subcluster'
        'subcluster' draws all rows at once and splits and merges groups; 'collapsed' draws row by row, with parameters
        integrated out (Neal, 2000), and takes n k operations one after the other in a sweep; 'gibbs' has `n_components`
        components and draws rows and parameters in turn.
    prior : {'dp', 'dirichlet'}, default='dp'
        Of the sizes of groups: a Dirichlet process (for 'gibbs' cut off after `n_components`), or, for 'gibbs' alone,
        Dirichlet weights with alpha / n_components for each component.
    n_components : int, default=20
        Components of 'gibbs', some of which stay empty; the others have no limit.
    n_samples, burn_in, thin : int, default=200, 100, 1
        Draws that are kept of each chain, sweeps before the first of them, and sweeps for each.
    n_chains : int, default=1
        Chains one after the other, from rows dealt at random to 1, 2, 3... groups ('gibbs' always begins by k-means).
    alpha : float, default=1.0
        Concentration: large for many groups. n rows ask for about alpha log(1 + n / alpha) groups before they are seen.
    learn_alpha : bool, default=True
        Draw it too, beginning at `alpha`, by the prior Gamma(shape, rate) of `alpha_prior`.
    alpha_prior : pair of floats, default=(2.0, 4.0)
        That of Escobar and West (1995); it says much, as rows say little about alpha.
    mean_prior : array of shape (d,), optional
        Where means are expected; the mean of the rows.
    mean_precision_prior : float, optional
        How many rows that counts, kappa. 5^(-2/d) unless given, so that means spread as the rows do.
    degrees_of_freedom_prior : float, optional
        How many rows the covariance counts; d + 2 unless given, the least whole number with an expectation. Above d-1.
    covariance_prior : array of shape (d, d), optional
        The covariance that is expected of a group (for up to d + 1 degrees of freedom: the scale matrix itself). It
        says how large a group is. That of the rows divided by 5^(2/d) unless given: five such ellipsoids fill theirs.
    loss : {'vi', 'binder'}, default='vi'
        What `labels_` make least of, among the draws: the variation of information, or Binder's pairs.
    random_state : int, RandomState instance or None

    Attributes
    ----------
    labels_ : array of shape (n,)
        The draw that is next to all others.
    posterior_K_ : array
        Probability of 0, 1, 2... groups with rows.
    psm_ : array of shape (n, n)
        Probability that two rows are together.
    samples_ : list of Mixture
        A draw of weights, means and covariances for each partition.
    partitions_ : array of shape (draws, n)
        Chain after chain.
    alphas_, log_joints_ : arrays of shape (chains, draws)
        Concentrations, and log densities of rows and labels given them.
    moves_ : tuple
        Splits proposed, accepted, merges proposed, accepted, in all sweeps of 'subcluster'.
    mixture_ : Mixture
        What is expected of the groups of `labels_`.
    weights_, means_, covariances_ : arrays of shape (k,), (k, d), (k, d, d)
        Its parameters.
    n_iter_ : int
        Sweeps in all.

    References
    ----------
    Neal (2000); Ishwaran and James (2001); Chang and Fisher (2013); Jain and Neal (2004); Escobar and West (1995);
    Wade and Ghahramani (2018).

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab.clustering import SampledGaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (20, 2)), rng.normal(9, 1, (20, 2))])
    >>> model = SampledGaussianMixture(n_samples=40, burn_in=20, alpha=0.1, learn_alpha=False, random_state=0).fit(X)
    >>> int(model.posterior_K_.argmax())
    2
    """

    inference: str = "subcluster"
    prior: str = "dp"
    n_components: int = 20
    n_samples: int = 200
    burn_in: int = 100
    thin: int = 1
    n_chains: int = 1
    alpha: float = 1.0
    learn_alpha: bool = True
    alpha_prior: Any = (2.0, 4.0)
    mean_prior: Any = None
    mean_precision_prior: float | None = None
    degrees_of_freedom_prior: float | None = None
    covariance_prior: Any = None
    loss: str = "vi"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = MixtureClusterer._parameter_constraints | {
        "inference": [StrOptions({"gibbs", *ONE_BY_ONE})],
        "prior": [StrOptions(set(WEIGHTS))],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "burn_in": [Interval(Integral, 0, None, closed="left")],
        "thin": [Interval(Integral, 1, None, closed="left")],
        "n_chains": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0.0, None, closed="neither")],
        "learn_alpha": ["boolean"],
        "alpha_prior": [tuple, list],
        "mean_prior": [None, "array-like"],
        "mean_precision_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "degrees_of_freedom_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "covariance_prior": [None, "array-like"],
        "loss": [StrOptions(set(LOSSES))],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: ARG002 - handed to all
        """Draw partitions of rows `X`, each of which is there `sample_weight` times; `y` is ignored."""
        x, rng = self._checked(X)
        self._keep(X, self._found(x, rng, _copies(sample_weight, x)))
        return self

    def steps(self, X: Any, sample_weight: Any = None) -> Iterator[Sweep]:
        """The sweeps that `fit` would take, one by one; a `Session` can show them. Bad parameters raise at once."""
        self._validate_params()
        x, rng = self._checked(X)
        return self._steps(x, rng, _copies(sample_weight, x))

    def explore(self, X: Any, sample_weight: Any = None, **options: Any) -> Explorer:
        """Watch the sampler on rows `X` in a notebook; see `gmmlab.explore` for the options."""
        from gmmlab.widgets.opening import explore, watching

        steps = partial(self.steps, X, sample_weight)
        return explore(session=watching(X, steps, keeps=self.keeps, sample_weight=sample_weight), **options)

    def predict_proba(self, X: Any) -> Any:
        """The probability of each group of `labels_` given the row, under `mixture_`."""
        x = self._again(X)
        return sk.like(X, self.mixture_.to(x.device).posterior(x).resp)

    def score_samples(self, X: Any) -> Any:
        """Log posterior predictive density of each row: the mean over the draws of a mixture of Student's t."""
        x = self._again(X)
        belief, total = self._belief, None
        for groups, alpha in self._groups:
            log_p = belief.predictive(groups, alpha).to(x.device).log_prob(x).double()
            total = log_p if total is None else torch.logaddexp(total, log_p)
        assert total is not None
        return sk.like(X, total - math.log(len(self._groups)))

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002 - scikit-learn hands it to all
        """Mean log posterior predictive density per row."""
        return float(np.mean(sk.as_tensor(self.score_samples(X)).cpu().numpy()))

    def to_inference_data(self) -> Any:
        """What does not depend on the numbers of groups, for ArviZ: chains of K, alpha, log_joint and largest.

        `largest` is the share of rows in the largest group.
        """
        shape = self.alphas_.shape
        sizes = [groups.w for groups, _ in self._groups]
        columns = {
            "K": np.array([int((w > 0).sum()) for w in sizes]),
            "alpha": np.asarray(self.alphas_),
            "log_joint": np.asarray(self.log_joints_),
            "largest": np.array([float(w.max() / w.sum()) for w in sizes]),
        }
        return needs("arviz", "bayes").from_dict(posterior={name: c.reshape(shape) for name, c in columns.items()})

    def convergence(self) -> Any:
        """Rank-normalised split R-hat and effective sample sizes of the chains, as a data frame, by ArviZ.

        R-hat near 1 says that chains agree, and with one chain only that its halves do: have several (`n_chains`). What
        is constant has none. See Vehtari et al. (2021).
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            return needs("arviz", "bayes").summary(self.to_inference_data(), kind="all", round_to="none")

    def keeps(self, sweep: Sweep) -> bool:
        """Whether a sweep of `steps` is one of the draws that a fit keeps."""
        return sweep.i > self.burn_in and (sweep.i - self.burn_in) % self.thin == 0

    def _found(
        self, x: Float[Tensor, "n d"], rng: torch.Generator, copies: Int[Tensor, "n"] | None = None
    ) -> Mapping[str, Any]:
        if len(x) > MOST:
            raise BadData(
                f"There are {len(x):,} rows; expected at most {MOST:,}, as every pair of them is counted. Take draws "
                "one by one from steps(X)."
            )
        sweeps, moves, kept = 0, torch.zeros(4, dtype=torch.int64), []
        for sweep in self._steps(x, rng, copies):
            sweeps, moves = sweeps + 1, moves + torch.tensor(sweep.info.moves)
            if self.keeps(sweep):
                kept.append(sweep)
        return self._summed(x, kept, copies) | {"n_iter_": sweeps, "moves_": tuple(moves.tolist())}

    def _summed(self, x: Float[Tensor, "n d"], kept: list[Sweep], copies: Int[Tensor, "n"] | None) -> dict[str, Any]:
        draws: list[Draw] = [sweep.info for sweep in kept]
        partitions = torch.stack([draw.labels for draw in draws])
        psm = similarity(partitions)
        weight = None if copies is None else copies.double()
        labels = _numbered(partitions[point(partitions, psm, LOSSES[self.loss], weight)], weight)
        self._belief = Belief(self._prior_of(x, weight), self._process())
        mixture = self._belief.expected(sets(x, labels, x.mean(0), weight))
        self._groups = [(draw.groups, draw.alpha) for draw in draws]
        per_chain = (int(self.n_chains), int(self.n_samples))
        return {
            "labels_": labels,
            "psm_": psm,
            "posterior_K_": torch.bincount(torch.tensor([draw.k for draw in draws])).double() / len(draws),
            "samples_": [sweep.model for sweep in kept],
            "partitions_": partitions,
            "alphas_": torch.tensor([draw.alpha for draw in draws], dtype=torch.float64).view(per_chain),
            "log_joints_": torch.tensor([draw.log_joint for draw in draws], dtype=torch.float64).view(per_chain),
            "mixture_": mixture,
            "weights_": mixture.weights,
            "means_": mixture.gaussian.mean,
            "covariances_": mixture.gaussian.cov,
        }

    def _steps(
        self, x: Float[Tensor, "n d"], rng: torch.Generator, copies: Int[Tensor, "n"] | None = None
    ) -> Iterator[Sweep]:
        weight = None if copies is None else copies.double()
        start, learn = Start(x, self._prior_of(x, weight), rng, copies), self._learnt()
        length = int(self.burn_in + self.n_samples * self.thin)
        return chain.from_iterable(islice(self._chain(start, i, learn), length) for i in range(int(self.n_chains)))

    def _chain(self, start: Start, number: int, learn: Gamma | None) -> Iterator[Sweep]:
        (x, prior, rng, copies), alpha, process = start, float(self.alpha), self._process()
        if isinstance(process, Weights):
            found = RESPONSIBILITIES["kmeans"](x, min(process.k, len(x)), rng)
            begin = start.model(found.argmax(1), process.k)
            return blocked_gibbs(begin, x, prior, process, rng, alpha=alpha, learn=learn, copies=copies)
        whole = start._replace(x=copied(x, copies)[0])
        n, k = len(whole.x), min(number + 1, len(whole.x))
        dealt = torch.randint(k, (n,), generator=rng, device=x.device)
        sampler = ONE_BY_ONE[self.inference]
        return sampler(whole.model(dealt, k), x, prior, rng, alpha=alpha, learn=learn, copies=copies)

    def _process(self) -> Restaurant | Sticks | Dirichlet:
        if self.inference == "gibbs":
            return WEIGHTS[self.prior](int(self.n_components))
        if self.prior != "dp":
            raise ValueError(
                f"inference={self.inference!r} is for a Dirichlet process, and prior={self.prior!r}; expected 'dp', or "
                "inference='gibbs'."
            )
        return Restaurant()

    def _learnt(self) -> Gamma | None:
        if not self.learn_alpha:
            return None
        if len(self.alpha_prior) != 2 or not all(float(part) > 0 for part in self.alpha_prior):
            raise ValueError(f"alpha_prior={self.alpha_prior!r}; expected two numbers above 0, a shape and a rate.")
        return Gamma(*(float(part) for part in self.alpha_prior))

    def _prior_of(self, x: Float[Tensor, "n d"], weight: Float[Tensor, "n"] | None) -> NormalInverseWishart:
        """The prior of means and covariances, with defaults from the rows."""
        d, middle = x.shape[1], x.double().mean(0) if weight is None else weight @ x.double() / weight.sum()
        y = x.double() - middle
        if self.covariance_prior is None:
            cov = y.T @ y / len(y) if weight is None else (weight[:, None] * y).T @ y / weight.sum()
            spread = cov.diagonal().mean().clamp(min=1e-300)  # columns that follow from others need some of their own
            cov = (cov + 1e-6 * spread * torch.eye(d).to(cov)) / GROUPS ** (2 / d)
        else:
            cov = sk.as_tensor(self.covariance_prior).double().to(x.device)
        mean = middle if self.mean_prior is None else sk.as_tensor(self.mean_prior).double().to(x.device)
        if mean.shape != (d,) or cov.shape != (d, d):
            raise ValueError(
                f"mean_prior has shape {tuple(mean.shape)} and covariance_prior {tuple(cov.shape)}; expected {(d,)} "
                f"and {(d, d)}."
            )
        dof = d + 2.0 if self.degrees_of_freedom_prior is None else float(self.degrees_of_freedom_prior)
        kappa = GROUPS ** (-2 / d) if self.mean_precision_prior is None else float(self.mean_precision_prior)
        return NormalInverseWishart.of(mean, cov * (dof - d - 1 if dof > d + 1 else 1.0), kappa=kappa, dof=dof)


def _numbered(labels: Int[Tensor, "n"], weight: Float[Tensor, "n"] | None) -> Int[Tensor, "n"]:
    """The same groups, the largest first."""
    _, compact = labels.unique(return_inverse=True)
    rank = torch.bincount(compact, weight).argsort(descending=True, stable=True).argsort()
    return rank[compact]


def _copies(sample_weight: Any, x: Float[Tensor, "n d"]) -> Int[Tensor, "n"] | None:
    """How often each row is there. Raises `BadData` unless these are whole numbers of at least 1."""
    weight = row_weights(sample_weight, x.double())
    if weight is None:
        return None
    bad = (weight != weight.round()) | (weight < 1)
    if bool(bad.any()):
        at = int(bad.nonzero()[0])
        raise BadData(
            f"sample_weight[{at}] is {float(weight[at]):g}; expected whole numbers of at least 1, as draws are of "
            f"partitions and no part of a row is in a group ({int(bad.sum())} are not). Leave rows of weight 0 out, or "
            "give other weights to BayesianGaussianMixture, which takes any."
        )
    return weight.long()
