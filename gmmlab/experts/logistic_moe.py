"""`LogisticMoE`: a classifier with a rule of its own in each region of x."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d

from gmmlab.axes import Float, Tensor
from gmmlab.data import row_weights
from gmmlab.errors import BadData, NumericalWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.sample import generator
from gmmlab.experts.answers import Scored
from gmmlab.experts.base import SOLVERS, Experts, Task
from gmmlab.experts.fitting import gate_of
from gmmlab.experts.starts import STARTS
from gmmlab.families import Logits
from gmmlab.fit import Step
from gmmlab.gates import Softmax
from gmmlab.model import Mixture

if TYPE_CHECKING:
    from gmmlab.widgets.session import Session

STEEP = 50.0  # log odds per standard deviation, beyond which an expert parts its rows without error

#: What the gate may look at in place of x.
TRANSFORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "cos": torch.cos,
    "unit": lambda x: x / x.norm(dim=1, keepdim=True).clamp(min=1e-300),
}


@dataclass(kw_only=True, eq=False, repr=False)
class LogisticMoE(Scored, ClassifierMixin, Experts):
    """Softmax-gated mixture of multinomial logistic experts, fitted by expectation maximisation.

    P(y = c | x) = sum_k pi_k(x) P_k(c | x), with pi = softmax(w_k0 + w_k' M(x)) and P_k a multinomial logistic
    regression: rules that hold in soft regions of x, such as the two of an exclusive or.

    Parameters
    ----------
    n_experts : int, default=2
        Number of experts K.
    gate_transform : {'tanh', 'cos', 'unit'} or callable, default=None
        What the gate looks at, M(x), computed on tensors (n, D) -> (n, G); None is x itself. A bounded M that is not
        affine keeps gate and experts apart where an expert does not depend on x (Nguyen et al., 2024).
    ridge : float, default=1e-6
        Penalty ridge/2 |w|^2 on the slopes of each expert, for columns in standard deviations. Where an expert parts
        its rows without error, nothing else holds its weights.
    reg_gate : float, default=1e-6
        The same for the gate.
    init : {'kmeans-x', 'random'} or array, default='kmeans-x'
        Start: groups of x, or random responsibilities; or a label or responsibilities for each row.
    n_init, gate_solver, tol, max_iter, random_state
        As of `SoftmaxMoE`; the solver is that of gate and experts.

    Attributes
    ----------
    classes_ : array of shape (C,)
        Labels of the classes.
    gate_weights_ : array of shape (K, 1 + G)
        Constants and slopes of the gate; those of the last expert are zero.
    expert_coef_, expert_intercept_ : arrays of shape (K, C - 1, D) and (K, C - 1)
        Log odds of the classes over the last one.
    weights_, converged_, n_iter_, lower_bound_, loglik_path_, mixture_, n_features_in_, feature_names_in_
        As of `SoftmaxMoE`; the column y of the rows of `mixture_` has the numbers of the classes.

    References
    ----------
    Jordan and Jacobs (1994); Nguyen, Akbarian, Nguyen and Ho (2024).

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab.experts import LogisticMoE
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 2))
    >>> y = X[:, 0] * X[:, 1] > 0
    >>> float(LogisticMoE(2, ridge=0.1, random_state=0).fit(X, y).score(X, y)) > 0.95
    True
    """

    init: Any = "kmeans-x"
    gate_transform: Any = None
    ridge: float = 1e-6
    reg_gate: float = 1e-6
    tol: float = 1e-7
    max_iter: int = 500

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = Experts._parameter_constraints | {
        "init": [StrOptions({"kmeans-x", "random"}), "array-like"],
        "gate_transform": [StrOptions(set(TRANSFORMS)), callable, None],
        "ridge": [Interval(Real, 0.0, None, closed="left")],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to inputs `X` (n, D) and labels `y` (n,), each row of which counts `sample_weight` times."""
        task, classes = self._asked(X, y, sample_weight)
        self._of_classes = len(classes)
        best = self._best(task)
        self._keep(X, task, best)
        self.classes_ = classes
        return self._written(X)

    def steps(self, X: Any, y: Any, sample_weight: Any = None) -> Iterator[Step]:
        """The steps that a fit takes from its first start, one by one. Bad parameters raise at once."""
        self._validate_params()
        task, classes = self._asked(X, y, sample_weight)
        self._of_classes = len(classes)
        begin = self._begin(task, self._responsibilities(task, generator(self.random_state, task.rows.device)))
        return self._up(begin, task, float(self.tol))

    def watch(self, X: Any, y: Any, sample_weight: Any = None, *, name: str | None = None) -> Session:
        """A session of the fit from its first start, for the widgets; its rows are those of `X`, the class behind."""
        self._validate_params()
        task, classes = self._asked(X, y, sample_weight)
        self._of_classes = len(classes)
        return self._session(X, task, ["class"], name)

    def _asked(self, X: Any, y: Any, sample_weight: Any) -> tuple[Task, np.ndarray]:
        """Rows (x, M(x), number of the class), and the labels of the classes."""
        if y is None:
            raise ValueError("This estimator requires y to be passed, but the target y is None.")
        x = self._checked(X, fitting=True)
        labels = _labels(y)
        check_consistent_length(x.cpu(), labels)
        classes, numbers = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise BadData(f"y has one class, {classes[0]!r}; expected at least 2 classes to tell apart.")
        own = torch.from_numpy(numbers).to(x)[:, None]
        seen = self._seen(x)
        self._enough(x)
        weight = row_weights(sample_weight, x)
        return Task(torch.cat([x, seen, own], 1), weight, x.shape[1], seen.shape[1], 1), classes

    def _seen(self, x: Float[Tensor, "n p"]) -> Float[Tensor, "n g"]:
        """What the gate looks at, if that is not x."""
        if self.gate_transform is None:
            return x[:, :0]
        known = isinstance(self.gate_transform, str)
        found = (TRANSFORMS[self.gate_transform] if known else self.gate_transform)(x)
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(x):
            raise BadData(f"gate_transform gave {type(found).__name__}; expected a tensor of {len(x)} rows.")
        return found.to(x)

    def _responsibilities(self, task: Task, rng: torch.Generator) -> Float[Tensor, "n k"]:
        k, rows = int(self.n_experts), task.rows
        if isinstance(self.init, str) and self.init not in STARTS:
            draw = torch.rand(5, len(rows), k, generator=rng, device=rng.device).log().sum(0)  # Dirichlet(5), times -1
            return (draw / draw.sum(1, keepdim=True)).to(rows)
        return super()._responsibilities(task, rng)

    def _begin(self, task: Task, resp: Float[Tensor, "n k"]) -> Mixture:
        rows, weight, curved = task.rows, task.weight, SOLVERS[self.gate_solver]
        experts = Logits.near(
            rows,
            resp if weight is None else resp * weight[:, None],
            self._of_classes,
            inputs=task.inputs,
            output=task.outputs[0],
            ridge=float(self.ridge),
            curved=curved,
            most=3,  # steps: the fit goes on from there
        )
        gate = Softmax.even(resp.shape[1], rows, task.looks, ridge=float(self.reg_gate), curved=curved)
        return Mixture(experts, gate_of(gate, rows, resp, weight))

    @property
    def _parts(self) -> tuple[Logits, Softmax]:
        experts, gate = self.mixture_.components, self.mixture_.gate
        if not isinstance(experts, Logits) or not isinstance(gate, Softmax):
            raise TypeError(
                f"mixture_ is one of {type(experts).__name__}; expected logistic experts with a softmax gate."
            )
        return experts, gate

    def _written(self, like: Any) -> Self:
        experts, gate = self._parts
        dtype = experts.origin.dtype
        w = torch.cat([gate.intercepts[:, None], gate.slopes], 1)
        coef, intercept = experts.coef, experts.intercept
        found = {
            "gate_weights_": w - w[-1:],
            "expert_coef_": coef[:, :-1] - coef[:, -1:],
            "expert_intercept_": intercept[:, :-1] - intercept[:, -1:],
            "weights_": gate.weights,
        }
        for name, value in found.items():
            setattr(self, name, sk.like(like, value.to(dtype).clone()))
        steep = float(experts.w[:, :, 1:].abs().max())
        if steep > STEEP:
            warn(
                f"An expert parts its rows without error: its log odds grow by {steep:.0f} per standard deviation of a "
                "column, and more steps would make it more. Probabilities are as they should be, coefficients mean "
                "little; a larger ridge holds them.",
                NumericalWarning,
            )
        return self

    # -- the fitted model ------------------------------------------------------------------------------------------

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes (n, C), sum_k pi_k(x) P_k(c | x)."""
        gate, own = self._both(X)
        return sk.like(X, (gate[:, :, None] * own).sum(1))

    def predict(self, X: Any) -> Any:
        """The most probable class of each row."""
        gate, own = self._both(X)
        return self.classes_[(gate[:, :, None] * own).sum(1).argmax(1).cpu().numpy()]

    def gate_proba(self, X: Any) -> Any:
        """The weights pi_k(x) of the experts (n, K), before y is known."""
        return sk.like(X, self._both(X)[0])

    def expert_proba(self, X: Any) -> Any:
        """What each expert alone would say, (n, K, C)."""
        return sk.like(X, self._both(X)[1])

    @torch.no_grad()
    def _both(self, X: Any) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k j"]]:
        """Weights of the experts, and their probabilities."""
        rows = self._lined(X)
        experts, gate = self._parts
        return gate.to(rows.device).at(rows).log_w.exp(), experts.to(rows.device).log_proba(rows).exp()

    def _lined(self, X: Any) -> Float[Tensor, "n d"]:
        """Rows of a fitted model, whose class is not known: 0."""
        x = self._checked(X, fitting=False)
        return torch.cat([x, self._seen(x), x.new_zeros(len(x), 1)], 1)

    def _with(self, X: Any, y: Any) -> Float[Tensor, "n d"]:
        """Rows with the numbers of their classes. Raises `BadData` for labels that the fit has not seen."""
        rows, labels = self._lined(X), _labels(y)
        check_consistent_length(rows.cpu(), labels)
        if unknown := set(labels.tolist()) - set(self.classes_.tolist()):
            raise BadData(f"y has the labels {sorted(map(str, unknown))[:5]}, which the fit has not seen.")
        rows[:, -1] = torch.from_numpy(np.searchsorted(self.classes_, labels)).to(rows)
        return rows


def _labels(y: Any) -> np.ndarray:
    """Labels of the rows, one each."""
    array = y.detach().cpu().numpy() if isinstance(y, Tensor) else y
    found = column_or_1d(check_array(array, ensure_2d=False, dtype=None, input_name="y"), warn=True)
    check_classification_targets(found)
    return np.asarray(found)
