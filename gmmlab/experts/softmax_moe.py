"""`SoftmaxMoE`: a regression whose line, and noise, change with x."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from gmmlab.axes import Float, Tensor
from gmmlab.data import row_weights
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.sample import generator
from gmmlab.experts import fitting
from gmmlab.experts.answers import Distributions, Scored
from gmmlab.experts.base import SOLVERS, Experts, Task, outputs_of
from gmmlab.experts.conditional import Conditional, conditional
from gmmlab.experts.fitting import gate_of
from gmmlab.families import LinearGaussian, ScaledLinear
from gmmlab.fit import Step
from gmmlab.gates import Softmax
from gmmlab.model import Mixture

if TYPE_CHECKING:
    from gmmlab.widgets.session import Session

FLOOR = 1e-6  # of the variance of y, below which that of an expert is not fitted
COVARIANCES = ("full", "tied", "diag", "spherical")


@dataclass(kw_only=True, eq=False, repr=False)
class SoftmaxMoE(Distributions, Scored, RegressorMixin, Experts):
    """Softmax-gated mixture of linear-Gaussian experts, fitted by expectation maximisation.

    p(y | x) = sum_k pi_k(x) N(y | a_k' x + b_k, s_k), with pi = softmax(w_k0 + w_k' x): K lines with a level and a
    noise of their own, soft regions in which they hold, and a density of y at each x that may be skewed or have several
    modes.

    Parameters
    ----------
    n_experts : int, default=2
        Number of experts K.
    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        Of the noise of several outputs: any covariance, the same for all experts ('tied'), or variances along the axes.
        For one output 'tied' means one variance for all experts, and the others are alike.
    heteroscedastic : bool, default=False
        Whether the log variance of an expert is linear in x too, for one output.
    init : {'kplanes', 'kmeans-x', 'kmeans-xy'} or array, default='kplanes'
        Start: rows part by the nearest of K planes, or by k-means of inputs, or of inputs and outputs; or a label or
        responsibilities for each row.
    n_init : int, default=5
        Number of starts; the highest of them goes on to the end.
    gate_solver : {'newton', 'mm'}, default='newton'
        Steps of the gate: Newton's, as far as a bound allows, or those of a fixed curvature, which cost less for many
        columns and are more. Both never lower the likelihood.
    reg_gate : float, default=0
        Penalty reg_gate/2 |w|^2 on the slopes of the gate, for columns in standard deviations. Where regions can be
        told apart without error the slopes have no finite maximum; 1e-4 times the number of rows holds them.
    min_var : float, default=None
        Least variance of an expert, in squared units of y; None is 1e-6 of that of y.
    tol : float, default=1e-8
        The fit ends when a step changes the mean log-likelihood, in parts of it (and one), by no more.
    max_iter : int, default=1000
        Most steps of a start.
    random_state : int, default=None
        Seed of the starts, and of `sample`.

    Attributes
    ----------
    gate_weights_ : array of shape (K, 1 + D)
        Constants and slopes of the gate; those of the last expert are zero.
    coef_, intercept_ : arrays of shape (K, D) and (K,), or (K, Q, D) and (K, Q) for Q outputs
        The lines.
    variances_ : array of shape (K,), or (K, Q, Q)
        Variances (covariances) of the noise.
    log_variances_ : array of shape (K, 1 + D)
        In their place, constants and slopes of the log variances, where these change with x.
    weights_ : array of shape (K,)
        Share of the rows of each expert.
    converged_, n_iter_, lower_bound_, loglik_path_
        Whether the fit has settled, after how many steps, and the mean (penalised) log-likelihood of each.
    mixture_ : Mixture
        The model as a value: a mixture over rows (x, y) whose components score y.
    n_features_in_ : int
    feature_names_in_ : array of str

    References
    ----------
    Jacobs, Jordan, Nowlan and Hinton (1991); Jordan and Jacobs (1994); Nguyen, Nguyen and Ho (2023).

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab.experts import SoftmaxMoE
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-2, 2, size=(400, 1))
    >>> y = np.abs(x[:, 0]) + 0.1 * rng.normal(size=400)
    >>> model = SoftmaxMoE(2, random_state=0).fit(x, y).canonicalise()
    >>> sorted(model.coef_[:, 0].round(1).tolist())
    [-1.0, 1.0]
    """

    covariance_type: str = "full"
    heteroscedastic: bool = False
    min_var: Any = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = Experts._parameter_constraints | {
        "covariance_type": [StrOptions(set(COVARIANCES))],
        "heteroscedastic": ["boolean"],
        "min_var": [Interval(Real, 0.0, None, closed="neither"), None],
    }

    # -- fitting ---------------------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, Xg: Any = None) -> Self:
        """Fit to inputs `X` (n, D) and outputs `y` (n,) or (n, Q), each row of which counts `sample_weight` times.

        `Xg` are the columns that the gate looks at, if they are not those of the experts.
        """
        task = self._asked(X, y, sample_weight, Xg)
        best = self._best(task)
        self._flat = (y if isinstance(y, Tensor) else np.asarray(y)).ndim == 1
        self._keep(X, task, best)
        return self._written(X)

    def steps(self, X: Any, y: Any, sample_weight: Any = None, Xg: Any = None) -> Iterator[Step]:
        """The steps that a fit takes from its first start, one by one. Bad parameters raise at once."""
        self._validate_params()
        task = self._asked(X, y, sample_weight, Xg)
        return self._up(self._start(task), task, float(self.tol))

    def watch(self, X: Any, y: Any, sample_weight: Any = None, Xg: Any = None, *, name: str | None = None) -> Session:
        """A session of the fit from its first start, for the widgets; its rows are those of `X` with `y` behind."""
        self._validate_params()
        task = self._asked(X, y, sample_weight, Xg)
        return self._session(X, task, ["y"] if task.q == 1 else [f"y{j}" for j in range(task.q)], name)

    def _up(self, begin: Mixture, task: Task, tol: float) -> Iterator[Step]:
        halves = 2 if self.heteroscedastic else 1
        return fitting.steps(begin, task.rows, task.weight, tol=tol, halves=halves)

    def _asked(self, X: Any, y: Any, sample_weight: Any, Xg: Any) -> Task:
        x, p = self._inputs(X, Xg, fitting=True)
        out = outputs_of(y, x)
        self._enough(x[:, :p])
        weight = row_weights(sample_weight, x)
        return Task(torch.cat([x, out], 1), weight, p, x.shape[1] - p, out.shape[1])

    def _start(self, task: Task) -> Mixture:
        return self._begin(task, self._responsibilities(task, generator(self.random_state, task.rows.device)))

    def _begin(self, task: Task, resp: Float[Tensor, "n k"]) -> Mixture:
        rows, weight = task.rows, task.weight
        spread = float(rows[:, list(task.outputs)].double().var(0, correction=0).mean())
        counted = resp if weight is None else resp * weight[:, None]
        floor = max(float(FLOOR * spread if self.min_var is None else self.min_var), 1e-300)
        columns = {"inputs": task.inputs, "outputs": task.outputs}
        experts: LinearGaussian | ScaledLinear
        if self.heteroscedastic:
            experts = ScaledLinear.near(rows, counted, floor=floor, **columns)
        else:
            structure = sk.structure(self.covariance_type)
            experts = LinearGaussian.near(rows, counted, floor=floor, structure=structure, **columns)
        curved, ridge = SOLVERS[self.gate_solver], float(self.reg_gate)
        gate = Softmax.even(resp.shape[1], rows, task.looks, ridge=ridge, curved=curved)
        return Mixture(experts, gate_of(gate, rows, resp, weight))

    # -- the fitted model ------------------------------------------------------------------------------------------

    def canonicalise(self) -> Self:
        """The same fit with its experts in the order of their intercepts, and of their variances where these tie."""
        check_is_fitted(self)
        experts, gate = self._parts
        noise = experts.log_variance[:, 0] if isinstance(experts, ScaledLinear) else experts.cov[:, 0, 0]
        first = noise.argsort(stable=True)
        order = first[experts.intercept[first, 0].argsort(stable=True)]
        self.mixture_ = Mixture(experts.take(order), gate.take(order))
        return self._written(self.coef_)

    def _written(self, like: Any) -> Self:
        """Sets the attributes out of `mixture_`."""
        experts, gate = self._parts
        dtype = experts.origin.dtype
        w = torch.cat([gate.intercepts[:, None], gate.slopes], 1)
        coef, intercept = experts.coef, experts.intercept
        found = {"gate_weights_": w - w[-1:]}
        if isinstance(experts, ScaledLinear):
            found["log_variances_"] = experts.log_variance
        else:
            found["variances_"] = experts.cov[:, 0, 0] if self._flat else experts.cov
        found["coef_"], found["intercept_"] = (coef[:, 0], intercept[:, 0]) if self._flat else (coef, intercept)
        for name, value in (found | {"weights_": gate.weights}).items():
            setattr(self, name, sk.like(like, value.to(dtype).clone()))
        return self

    @property
    def _parts(self) -> tuple[LinearGaussian | ScaledLinear, Softmax]:
        """The experts and the gate."""
        experts, gate = self.mixture_.components, self.mixture_.gate
        if not isinstance(experts, LinearGaussian | ScaledLinear) or not isinstance(gate, Softmax):
            raise TypeError(
                f"mixture_ is one of {type(experts).__name__}; expected linear experts with a softmax gate."
            )
        return experts, gate

    @property
    def _dtype(self) -> torch.dtype:
        return self._parts[0].origin.dtype

    def conditional(self, X: Any, Xg: Any = None) -> Conditional:
        """The mixture of Gaussians that y is drawn from, for each row of inputs."""
        x, _ = self._inputs(X, Xg, fitting=False)
        mixture = self.mixture_.to(x.device)
        return conditional(mixture, torch.cat([x, x.new_zeros(len(x), self._parts[0].q)], 1))

    def responsibilities(self, X: Any, y: Any, Xg: Any = None) -> Any:
        """The probability of each expert given x and y, (n, K)."""
        return sk.like(X, self.mixture_.posterior(self._with(X, y, Xg)).resp)

    def log_density(self, X: Any, y: Any, Xg: Any = None) -> Any:
        """Log density of y given x, of each row."""
        with torch.no_grad():
            return sk.like(X, self.mixture_.log_prob(self._with(X, y, Xg)))

    def _with(self, X: Any, y: Any, Xg: Any = None) -> Float[Tensor, "n d"]:
        """Rows of inputs and outputs, of a fitted model."""
        x, _ = self._inputs(X, Xg, fitting=False)
        out = outputs_of(y, x)
        if out.shape[1] != (q := self._parts[0].q):
            raise ValueError(f"y has {out.shape[1]} outputs; expected {q}, as the model was fitted to.")
        return torch.cat([x, out], 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
