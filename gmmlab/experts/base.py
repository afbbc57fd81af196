"""What estimators of experts share: parameters, rows out of what people give, starts, and the best of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from gmmlab.axes import Float, Tensor
from gmmlab.data import as_rows
from gmmlab.errors import BadData, DataWarning, warn
from gmmlab.estimators.sample import generator
from gmmlab.experts import fitting
from gmmlab.experts.starts import STARTS
from gmmlab.fit import Step
from gmmlab.init import given_responsibilities
from gmmlab.kernels.threads import worth
from gmmlab.model import Mixture

if TYPE_CHECKING:
    from gmmlab.widgets.session import Session

SOLVERS = {"newton": True, "mm": False}  # whether steps of the gate look at second derivatives


class Task(NamedTuple):
    """Rows of p inputs of the experts, g columns that the gate looks at instead of these (or 0), and q outputs."""

    rows: Float[Tensor, "n d"]
    weight: Float[Tensor, "n"] | None
    p: int
    g: int
    q: int

    @property
    def inputs(self) -> range:
        """Columns of the experts."""
        return range(self.p)

    @property
    def looks(self) -> range:
        """Columns of the gate."""
        return range(self.p, self.p + self.g) if self.g else self.inputs

    @property
    def outputs(self) -> range:
        """Columns to be predicted."""
        return range(self.p + self.g, self.p + self.g + self.q)


@dataclass(kw_only=True, eq=False, repr=False)
class Experts(BaseEstimator, ABC):
    """A mixture of experts with a gate that looks at the rows; see the classes for what the parameters mean."""

    n_experts: int = field(default=2, kw_only=False)
    init: Any = "kplanes"
    n_init: int = 5
    gate_solver: str = "newton"
    reg_gate: float = 0.0
    tol: float = 1e-8
    max_iter: int = 1000
    random_state: Any = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_experts": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions(set(STARTS)), "array-like"],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "gate_solver": [StrOptions(set(SOLVERS))],
        "reg_gate": [Interval(Real, 0.0, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    @abstractmethod
    def _begin(self, task: Task, resp: Float[Tensor, "n k"]) -> Mixture:
        """The model of responsibilities."""

    def _responsibilities(self, task: Task, rng: torch.Generator) -> Float[Tensor, "n k"]:
        """Of the start that `init` asks for."""
        k, rows = int(self.n_experts), task.rows
        if not isinstance(self.init, str):
            return given_responsibilities(self.init, len(rows), k).to(rows)
        return STARTS[self.init](rows[:, [*task.inputs, *task.outputs]], task.p, k, rng)

    def _best(self, task: Task) -> fitting.Climbed:
        """The start that comes highest, as far as `tol` asks."""
        rng = generator(self.random_state, task.rows.device)
        starts = int(self.n_init) if isinstance(self.init, str) and self.n_experts > 1 else 1
        begins = (self._begin(task, self._responsibilities(task, rng)) for _ in range(starts))
        most, tol = int(self.max_iter), float(self.tol)
        first = max(tol, fitting.RACE) if starts > 1 else tol
        with worth(task.rows.numel() * int(self.n_experts)):
            ends = [fitting.climb(self._up(begin, task, first), most) for begin in begins]
            best = max(ends, key=lambda end: end.bound)
            if first > tol and (left := most - len(best.bounds)) > 0:
                rest = fitting.climb(self._up(best.model, task, tol), left)
                best = rest._replace(bounds=best.bounds + rest.bounds)
        return best

    def _up(self, begin: Mixture, task: Task, tol: float) -> Iterator[Step]:
        """The way up from a start."""
        return fitting.steps(begin, task.rows, task.weight, tol=tol)

    def _session(self, X: Any, task: Task, outputs: Sequence[str], name: str | None) -> Session:
        """A session of the fit of a task from its first start: rows are inputs, what the gate sees, and `outputs`."""
        from gmmlab.widgets.fits import Recipe
        from gmmlab.widgets.session import Session

        names = [str(name) for name in getattr(X, "columns", [f"x{j}" for j in task.inputs])]
        names += [f"gate {j}" for j in range(task.g)]
        begin = self._begin(task, self._responsibilities(task, generator(self.random_state, task.rows.device)))
        fit = Recipe(lambda: lambda model: self._up(model, task, float(self.tol)))
        return Session(task.rows, begin, fit=fit, names=[*names, *outputs], name=name, weight=task.weight)

    def _keep(self, X: Any, task: Task, best: fitting.Climbed) -> None:
        """The attributes that all fits have; a climb that has not settled is warned of."""
        if not best.converged:
            warn(
                f"The fit did not settle in max_iter={self.max_iter} steps: the last one still changed the mean "
                f"log-likelihood by tol={self.tol:g} or more. Try a larger max_iter or tol, or a reg_gate above 0 if "
                "the gate tells rows apart without error.",
                ConvergenceWarning,
            )
        validate_data(self, head(X), reset=True, skip_check_array=True)
        self._of_gate = task.g
        self.mixture_ = best.model
        self.converged_, self.n_iter_ = best.converged, len(best.bounds)
        self.loglik_path_, self.lower_bound_ = best.bounds, best.bound

    # -- what people give ------------------------------------------------------------------------------------------

    def _checked(self, X: Any, *, fitting: bool) -> Float[Tensor, "n p"]:
        """Inputs of the experts, with the columns of the fit unless this is one."""
        if not fitting:
            check_is_fitted(self)
        x = as_rows(X, min_rows=2 if fitting else 1).x
        validate_data(copy(self) if fitting else self, head(X), reset=fitting, skip_check_array=True)
        return x

    def _inputs(self, X: Any, Xg: Any, *, fitting: bool) -> tuple[Float[Tensor, "n c"], int]:
        """Inputs of the experts, then those of the gate where they have other ones; and how many are the first."""
        x = self._checked(X, fitting=fitting)
        wanted = None if fitting else self._of_gate
        g = x[:, :0] if Xg is None else as_rows(Xg).x.to(x)
        if len(g) != len(x) or (wanted is not None and g.shape[1] != wanted):
            raise BadData(
                f"Xg has the shape {tuple(g.shape)}; expected ({len(x)}, {g.shape[1] if wanted is None else wanted}), "
                "as the gate was fitted to."
            )
        return torch.cat([x, g], 1), x.shape[1]

    def _enough(self, x: Float[Tensor, "n p"]) -> None:
        """Raises `BadData` for fewer rows than experts, and warns of fewer than parameters."""
        k, each = int(self.n_experts), x.shape[1] + 2
        if len(x) < k:
            raise BadData(f"Expected n_samples >= n_experts, but got n_experts={k} and n_samples={len(x)}.")
        if len(x) < k * each:
            warn(
                f"There are {len(x)} rows for {k} experts of {each} parameters: some will pass through their rows, as "
                f"close as they are let. Fewer experts would help, or {k * each} rows.",
                DataWarning,
            )

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        return sorted(parameter.name for parameter in fields(cls))


def head(X: Any) -> Any:
    """What scikit-learn's bookkeeping of columns may look at."""
    return np.empty((1, X.shape[1])) if isinstance(X, Tensor) else X


def outputs_of(y: Any, x: Float[Tensor, "n c"]) -> Float[Tensor, "n q"]:
    """Checked numbers to be predicted, as columns. Raises `ValueError` unless there is one finite line for each row."""
    if y is None:
        raise ValueError("This estimator requires y to be passed, but the target y is None.")
    if isinstance(y, Tensor):
        found = y.detach()
    else:
        array = check_array(y, ensure_2d=False, dtype=[np.float64, np.float32], input_name="y")
        found = torch.from_numpy(np.array(array))
    found = (found[:, None] if found.ndim == 1 else found).to(x)
    if found.ndim != 2 or found.shape[1] == 0:
        raise BadData(f"y has the shape {tuple(found.shape)}; expected a number, or a line of them, for each row.")
    check_consistent_length(x.cpu(), found.cpu())
    if not bool(torch.isfinite(found).all()):
        raise BadData("Input y contains NaN or infinity; expected finite numbers. Leave those rows out.")
    return found
