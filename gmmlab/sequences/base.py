"""What models of sequences with scikit-learn's manners share: checked sequences in, a chain of states out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import islice
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from gmmlab.axes import Float, Tensor
from gmmlab.data import row_weights
from gmmlab.errors import BadData, NumericalWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.sample import generator
from gmmlab.fit import Sequences, Step, plateau, run, sequences
from gmmlab.fit.missing import start_rows
from gmmlab.gates import Markov
from gmmlab.gates.markov import Along, Smooth
from gmmlab.init import RESPONSIBILITIES, given_responsibilities, one_hot
from gmmlab.kernels import chain, scan
from gmmlab.kernels.packing import Packing
from gmmlab.kernels.threads import worth
from gmmlab.model import Mixture
from gmmlab.score import criteria
from gmmlab.sequences.given import Given, as_sequences, log_plausibilities

if TYPE_CHECKING:
    from gmmlab.widgets.session import Session

SCANS: dict[str, Smooth] = {"auto": scan.quickest, "sequential": chain.smooth, "associative": scan.smooth}
TOPOLOGIES: dict[str, Callable[[int], Tensor]] = {
    "ergodic": lambda s: torch.ones(s, s),
    "left-right": lambda s: torch.ones(s, s).triu() - torch.ones(s, s).triu(2),
}
IN_TIME = "left-right"  # the topology whose states begin as equal parts of each sequence
STAY = 0.9  # the probability of staying in a state before the first step


class Decoded(NamedTuple):
    """The best path of each sequence: log p(x, path), and the state of each row."""

    log_prob: Any
    states: Any


class Prepared(NamedTuple):
    """Sequences ready for a fit."""

    source: Sequences
    rows: Given  # that the components see
    told: Float[Tensor, "n s"] | None


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceModel(BaseEstimator, ABC):
    """A chain of states, of which each emits rows in its own way; classes say how."""

    n_states: int = field(default=2, kw_only=False)
    covariance_type: str = "diag"
    topology: Any = "ergodic"
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    stickiness: float = 0.0
    reg_covar: float = 1e-6
    init_params: Any = "auto"
    scan: str = "auto"
    n_init: int = 1
    max_iter: int = 200
    tol: float = 1e-5
    random_state: Any = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_states": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(sk.COVARIANCES))],
        "topology": [StrOptions(set(TOPOLOGIES)), "array-like"],
        "startprob_prior": [Interval(Real, 1.0, None, closed="left"), "array-like"],
        "transmat_prior": [Interval(Real, 1.0, None, closed="left"), "array-like"],
        "stickiness": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "init_params": [StrOptions({"auto", "time", *RESPONSIBILITIES}), "array-like"],
        "scan": [StrOptions(set(SCANS))],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "random_state": ["random_state"],
    }

    # -- what a model says of its states ---------------------------------------------------------------------------

    @abstractmethod
    def _begun(self, rows: Given, resp: Float[Tensor, "n s"], gate: Markov, rng: torch.Generator) -> Mixture:
        """A first model of rows that belong to states by `resp`."""

    @abstractmethod
    def _written(self, model: Mixture) -> dict[str, Tensor]:
        """The fitted attributes of the components."""

    def _rows(self, given: Given) -> Given:
        """What the components see of the sequences."""
        return given

    def _kept(self, given: Given, values: Tensor) -> Tensor:  # noqa: ARG002 - for those that see fewer rows
        """What belongs to the rows that components see, of values of all rows."""
        return values

    def _spread(self, given: Given, values: Tensor) -> Tensor:  # noqa: ARG002 - the same
        """Values of all rows, from those of the rows that components see."""
        return values

    def _takes_gaps(self) -> bool:
        """Whether entries may be missing."""
        return False

    # -- fitting ---------------------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, lengths: Any = None, *, state_weights: Any = None, sample_weight: Any = None) -> Self:
        """Fit to sequences: rows (n, d) with `lengths`, a list of tables, or a padded array (b, t, d) with its mask.

        `state_weights` (n, s) says how plausible each state is at each row: ones for rows of which nothing is known,
        zero for what is ruled out (see `labels_to_weights`). A sequence counts `sample_weight` times.
        """
        given = self._given(X, lengths, fitting=True)
        prepared, rng = self._prepared(given, state_weights, sample_weight), self._generator(given.x.device)
        best: list[Step] = []
        with worth(given.x.numel() * int(self.n_states)):
            for attempt in range(self.n_init):
                climbed = list(islice(self._climb(prepared, rng, attempt), self.max_iter))
                if not best or climbed[-1].info.objective > best[-1].info.objective:
                    best = climbed
        if not isinstance(X, list | tuple) and np.ndim(X) == 2:
            validate_data(self, X, reset=True, skip_check_array=True)
        self.n_features_in_ = given.x.shape[1]
        self._store(best, X)
        return self

    def _climb(self, prepared: Prepared, rng: torch.Generator, attempt: int = 0) -> Iterator[Step]:
        """Steps from a new start."""
        return run(self._start(prepared, rng, attempt), prepared.source, stop=plateau(float(self.tol)))

    def steps(
        self, X: Any, lengths: Any = None, *, state_weights: Any = None, sample_weight: Any = None
    ) -> Iterator[Step]:
        """The steps that `fit` would take from its first start; a `Session` can show them."""
        self._validate_params()
        given = self._given(X, lengths, fitting=True)
        prepared = self._prepared(given, state_weights, sample_weight)
        return islice(self._climb(prepared, self._generator(given.x.device)), self.max_iter)

    def watch(
        self,
        X: Any,
        lengths: Any = None,
        *,
        state_weights: Any = None,
        sample_weight: Any = None,
        name: str | None = None,
    ) -> Session:
        """A session of the fit from its first start, for the widgets, whose components are those of the states.

        Its rows are those of all sequences, one after the other; for `ARHMM` each behind the rows before it, as states
        see them. It can be paused, stopped and looked back at, not steered.
        """
        from gmmlab.widgets.fits import Recipe
        from gmmlab.widgets.session import Session

        told = {"state_weights": state_weights, "sample_weight": sample_weight}
        rows = self._rows(self._given(X, lengths, fitting=True))
        packing = Packing(rows.lengths, rows.x.device)

        def steps() -> Iterator[Step]:
            for step in self.steps(X, lengths, **told):
                gate = Along.rows_of(chain_of(step.model), packing)
                yield step._replace(model=step.model.replace(gate=gate))

        fit = Recipe(lambda: lambda _: steps(), steers=False)
        return Session(rows.x, next(steps()).model, fit=fit, names=rows.names, name=name)

    def _generator(self, device: torch.device, random_state: Any = None) -> torch.Generator:
        """Random numbers of a seed, that of the model unless another is given."""
        return generator(self.random_state if random_state is None else random_state, device)

    def _given(self, X: Any, lengths: Any, *, fitting: bool = False) -> Given:
        """Checked sequences with the columns of the fit."""
        given = as_sequences(X, lengths, missing=self._takes_gaps())
        if not isinstance(X, list | tuple) and np.ndim(X) == 2:
            validate_data(copy(self) if fitting else self, X, reset=fitting, skip_check_array=True)
        elif not fitting and given.x.shape[1] != self.n_features_in_:
            raise BadData(f"X has {given.x.shape[1]} features, but the fit had {self.n_features_in_}.")
        return given

    def _prepared(self, given: Given, state_weights: Any = None, sample_weight: Any = None) -> Prepared:
        told = log_plausibilities(state_weights, given, int(self.n_states))
        told = None if told is None else self._kept(given, told)
        weight = None
        if sample_weight is not None:
            weight = row_weights(sample_weight, given.x.new_zeros(len(given.lengths), 1))
        rows = self._rows(given)
        return Prepared(sequences(rows.x, rows.lengths, told=told, weight=weight, smooth=SCANS[self.scan]), rows, told)

    def _start(self, prepared: Prepared, rng: torch.Generator, attempt: int) -> Mixture:
        """A first model."""
        rows = prepared.rows
        if len(rows.x) < (s := int(self.n_states)):
            raise BadData(f"Expected at least as many rows as states, but got {len(rows.x)} rows and n_states={s}.")
        resp = self._responsibilities(rows, prepared.told, rng, attempt)
        return self._begun(rows._replace(x=start_rows(rows.x)), resp, self._gate(rows.x.device), rng)

    def _responsibilities(
        self, rows: Given, told: Float[Tensor, "n s"] | None, rng: torch.Generator, attempt: int
    ) -> Float[Tensor, "n s"]:
        """By which rows belong to states to begin with, within what is told of them, which makes the first start."""
        s = int(self.n_states)
        if not isinstance(self.init_params, str):
            return given_responsibilities(self.init_params, len(rows.x), s).to(rows.x)
        if self.init_params == "time" or (self.init_params == "auto" and self._ordered):
            time = torch.cat([torch.arange(n) * s // n for n in rows.lengths]).to(rows.x.device)
            return _within(one_hot(time, s, rows.x.dtype), told)
        first = self.init_params == "auto" and attempt == 0
        if first and told is not None and (spoken := _spoken(told)) is not None:
            return spoken
        name = "kmeans" if self.init_params == "auto" else self.init_params
        resp = RESPONSIBILITIES[name](start_rows(rows.x), s, rng)
        if told is None:
            return resp
        agreed = linear_sum_assignment(-(resp.T @ told.exp()).cpu().numpy())[1]
        return _within(resp[:, torch.from_numpy(agreed).argsort()], told)

    @property
    def _ordered(self) -> bool:
        """Whether states come in their order."""
        return isinstance(self.topology, str) and self.topology == IN_TIME

    def _gate(self, device: torch.device) -> Markov:
        """A first chain: states are kept with the probability STAY."""
        s = int(self.n_states)
        allowed = self._allowed()
        others = allowed * (1 - torch.eye(s))
        moves = STAY * torch.eye(s) * allowed + (1 - STAY) * others / others.sum(1, keepdim=True).clamp(min=1)
        start = torch.eye(s)[0] if self._ordered else torch.ones(s)
        alpha = _prior(self.transmat_prior, (s, s), "transmat_prior") + float(self.stickiness) * torch.eye(s).double()
        return (
            Markov.of(start, moves).with_priors(_prior(self.startprob_prior, (s,), "startprob_prior"), alpha).to(device)
        )

    def _allowed(self) -> Float[Tensor, "s s"]:
        """Moves that are possible. Raises `BadData` for a mask of another shape, or a state that cannot be left."""
        s = int(self.n_states)
        if isinstance(self.topology, str):
            return TOPOLOGIES[self.topology](s)
        mask = sk.as_tensor(self.topology)
        if tuple(mask.shape) != (s, s):
            raise BadData(
                f"topology has the shape {tuple(mask.shape)}; expected {(s, s)}: True for moves that are allowed."
            )
        allowed = (mask != 0).float()
        if stuck := (allowed.sum(1) == 0).nonzero().flatten().tolist():
            raise BadData(f"topology allows no move from state {stuck[0]}; expected one at least, if only to itself.")
        return allowed

    def _store(self, climbed: list[Step], like: Any) -> None:
        """Set the fitted attributes, and warn."""
        self.converged_ = len(climbed) > 1 and plateau(float(self.tol))(climbed[-1])
        self.n_iter_ = len(climbed)
        self.log_likelihood_history_ = [float(step.info.stats.evidence) for step in climbed]
        self.lower_bounds_ = [float(step.info.objective) for step in climbed]
        model = climbed[-1].model
        gate = chain_of(model)
        self.mixture_ = model
        attributes = {"startprob_": gate.start.exp(), "transmat_": gate.moves.exp()} | self._written(model)
        for name, value in attributes.items():
            setattr(self, name, sk.like(like, value.clone()))
        jitter = float(getattr(model.components, "jitter", torch.zeros(1)).max())
        if jitter > 0:
            warn(
                f"Up to {jitter:.2g} was added to the variances of a state to make its covariance positive definite. "
                "Fewer states, a larger reg_covar, or a simpler covariance_type would help.",
                NumericalWarning,
            )
        if not self.converged_:
            warn(
                f"The fit did not converge in {self.n_iter_} steps: the mean log-likelihood per row still changes by "
                f"tol={self.tol:g} or more. Increase max_iter or tol, or try other starts (n_init).",
                ConvergenceWarning,
            )

    # -- the fitted model ------------------------------------------------------------------------------------------

    def score_samples(self, X: Any, lengths: Any = None) -> Any:
        """Log density of each row given the rows of its sequence before it: they sum to that of the sequence."""
        given, prepared, model = self._again(X, lengths)
        return sk.like(X, self._spread(given, prepared.source.posterior(model).evidence))

    def score(self, X: Any, lengths: Any = None) -> float:
        """Mean log-likelihood per row."""
        _, prepared, model = self._again(X, lengths)
        return float(prepared.source(model).score)

    def log_likelihood(self, X: Any, lengths: Any = None) -> float:
        """Log-likelihood of all sequences."""
        _, prepared, model = self._again(X, lengths)
        return float(prepared.source(model).evidence)

    def bic(self, X: Any, lengths: Any = None) -> float:
        """Bayesian information criterion; lower is better. Every row counts as one."""
        _, prepared, model = self._again(X, lengths)
        stats = prepared.source(model)
        return criteria.bic(float(stats.evidence), model.n_parameters, float(stats.n))

    def aic(self, X: Any, lengths: Any = None) -> float:
        """Akaike information criterion; lower is better."""
        _, prepared, model = self._again(X, lengths)
        return criteria.aic(float(prepared.source(model).evidence), model.n_parameters)

    def predict_proba(self, X: Any, lengths: Any = None, *, state_weights: Any = None) -> Any:
        """Probabilities (n, s) of the states of each row given its whole sequence, and what is told of the states."""
        given, prepared, model = self._again(X, lengths, state_weights)
        return sk.like(X, self._spread(given, prepared.source.states(model)))

    def filter(self, X: Any, lengths: Any = None, *, state_weights: Any = None) -> Any:
        """Probabilities (n, s) of the states of each row given the rows of its sequence so far."""
        given, prepared, model = self._again(X, lengths, state_weights)
        return sk.like(X, self._spread(given, prepared.source.filtered(model).resp))

    def decode(self, X: Any, lengths: Any = None, *, state_weights: Any = None) -> Decoded:
        """The most probable path of each sequence (Viterbi), and its log joint density with the rows."""
        given, prepared, model = self._again(X, lengths, state_weights)
        paths = prepared.source.paths(model)
        return Decoded(sk.like(X, paths.log_prob), sk.like(X, self._spread(given, paths.states)))

    def predict(self, X: Any, lengths: Any = None, *, state_weights: Any = None) -> Any:
        """States of the most probable path of each sequence."""
        return self.decode(X, lengths, state_weights=state_weights).states

    def _again(self, X: Any, lengths: Any, state_weights: Any = None) -> tuple[Given, Prepared, Mixture]:
        check_is_fitted(self, "mixture_")
        given = self._given(X, lengths)
        return given, self._prepared(given, state_weights), self.mixture_.to(given.x.device)

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        return sorted(parameter.name for parameter in fields(cls))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._takes_gaps()
        return tags


def chain_of(model: Mixture) -> Markov:
    """The gate of a model of sequences."""
    assert isinstance(model.gate, Markov)  # for the type checker
    return model.gate


def _within(resp: Float[Tensor, "n s"], told: Float[Tensor, "n s"] | None) -> Float[Tensor, "n s"]:
    """Responsibilities times plausibilities; the latter alone where they rule all out."""
    if told is None:
        return resp
    weights = told.exp()
    joint = resp * weights
    joint = torch.where(joint.sum(1, keepdim=True) > 0, joint, weights)
    return joint / joint.sum(1, keepdim=True)


def _spoken(told: Float[Tensor, "n s"]) -> Float[Tensor, "n s"] | None:
    """Shares of plausibility, in parts of how much they say; None where a state is never spoken of."""
    share = told.exp() / told.exp().sum(1, keepdim=True)
    said = 1 - torch.special.entr(share).sum(1, keepdim=True) / max(1e-300, float(np.log(told.shape[1])))
    best = (share == share.amax(1, keepdim=True)) & (said > 1e-9)
    return share * said.clamp(min=0) if bool(best.any(0).all()) else None


def _prior(value: Any, shape: tuple[int, ...], name: str) -> Tensor:
    alpha = torch.full(shape, float(value)).double() if isinstance(value, Real) else sk.as_tensor(value).double()
    if tuple(alpha.shape) != shape:
        raise BadData(f"{name} has the shape {tuple(alpha.shape)}; expected a number, or {shape}.")
    return alpha
