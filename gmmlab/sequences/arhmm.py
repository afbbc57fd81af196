"""`ARHMM`: hidden Markov models whose states are linear dynamics, with partial knowledge of the states."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import torch
from sklearn.utils._param_validation import Interval

from gmmlab.axes import Float, Int, Tensor
from gmmlab.errors import NumericalWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.families import Gaussian, LinearGaussian
from gmmlab.gates import Constant, Markov
from gmmlab.model import Mixture
from gmmlab.sequences import lags
from gmmlab.sequences.base import SequenceModel, chain_of
from gmmlab.sequences.given import Given
from gmmlab.sequences.prognosis import Remaining, remaining


class Simulated(NamedTuple):
    """Paths that go on from the end of a sequence: rows (q, n, d) and states (q, n)."""

    rows: Any
    states: Any


@dataclass(kw_only=True, eq=False, repr=False)
class ARHMM(SequenceModel):
    """Autoregressive hidden Markov model: in each state a row follows linearly from the rows before it.

        x_t | z_t = s  ~  N(c_s + B_s1 x_t-1 + ... + B_sp x_t-p, Sigma_s)

    Segments series into regimes, learns the dynamics of each, and goes on from their end. What is known of the states,
    surely or vaguely, enters a fit as `state_weights` (see `labels_to_weights`): plausibilities by which densities are
    multiplied. The first `order` rows of each sequence are only looked back at; they have the state of the first one
    that is scored, and no density.

    Parameters
    ----------
    n_states : int, default=2
        Number of states.
    order : int, default=1
        Number p of rows that are looked back at; 0 is the Gaussian `HMM`.
    covariance_type : str, default='full'
        Of the noise; as of `GaussianMixture`.
    reg_covar : float, default=1e-6
        The least variance of the noise along any direction, in squared data units.
    topology, startprob_prior, transmat_prior, stickiness, init_params, scan, n_init, max_iter, tol, random_state
        As of `HMM`; starts part rows and those before them.

    Attributes
    ----------
    coefs_ : array of shape (s, d, 1 + d p)
        Intercepts, and coefficients of the rows before, the nearest first. Where lags are collinear they are those of
        least length.
    covariances_ : array of shape (s, d, d)
        Of the noise.
    spectral_radius_ : array of shape (s,)
        Largest modulus of the eigenvalues of the dynamics: a state of 1 or more does not return to a level.
    startprob_, transmat_, log_likelihood_history_, lower_bounds_, converged_, n_iter_, n_features_in_, mixture_
        As of `HMM`.

    References
    ----------
    Hamilton (1989); Juesas, Ramasso, Drujont and Placet (2016); Ramasso and Denoeux (2013) for plausibilities.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab.sequences import ARHMM
    >>> rng = np.random.default_rng(0)
    >>> x = [0.0]
    >>> for t in range(1, 400):
    ...     up = t % 200 < 100
    ...     x.append((0.9 if up else 0.2) * x[-1] + (0.3 if up else -0.5) + 0.1 * rng.normal())
    >>> model = ARHMM(2, random_state=0).fit(np.array(x)[:, None])
    >>> sorted(model.coefs_[:, 0, 1].round(1).tolist())
    [0.2, 0.9]
    """

    order: int = 1
    covariance_type: str = "full"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = SequenceModel._parameter_constraints | {
        "order": [Interval(Integral, 0, None, closed="left")],
    }

    def _rows(self, given: Given) -> Given:
        return lags.lagged(given, int(self.order))

    def _kept(self, given: Given, values: Tensor) -> Tensor:
        return values[lags.scored(given, int(self.order))]

    def _spread(self, given: Given, values: Tensor) -> Tensor:
        return lags.of_all(given, int(self.order), values)

    def _begun(
        self,
        rows: Given,
        resp: Float[Tensor, "n s"],
        gate: Markov,
        rng: torch.Generator,  # noqa: ARG002 - the base's arguments
    ) -> Mixture:
        width = rows.x.shape[1]
        looked_at = width * int(self.order) // (int(self.order) + 1)
        columns = {"inputs": range(looked_at), "outputs": range(looked_at, width)}
        structure = sk.structure(self.covariance_type)
        return Mixture(
            LinearGaussian.near(rows.x, resp, structure=structure, floor=float(self.reg_covar), **columns), gate
        )

    def _written(self, model: Mixture) -> dict[str, Tensor]:
        experts = _experts(model)
        coefs = torch.cat([experts.intercept[:, :, None], experts.coef], dim=2)
        radius = torch.zeros(model.k, dtype=torch.float64, device=coefs.device)
        if int(self.order) > 0:
            radius = torch.linalg.eigvals(lags.companion(experts.coef)).abs().amax(1)
        return {"coefs_": coefs, "covariances_": experts.cov, "spectral_radius_": radius}

    def score_samples(self, X: Any, lengths: Any = None) -> Any:
        """Log density of each row given those before it; zero for the first rows, which are only looked back at."""
        given, prepared, model = self._again(X, lengths)
        found = given.x.new_zeros(len(given.x))
        found[lags.scored(given, int(self.order))] = prepared.source.posterior(model).evidence
        return sk.like(X, found)

    def forecast(self, X: Any) -> Mixture:
        """The mixture of the row that comes after the end of one sequence; further ahead see `simulate`."""
        _, now, recent = self._end(X)
        model = self.mixture_.to(recent.device)
        experts, gate = _experts(model), chain_of(model)
        mean = experts.expected(self._looking_back(recent[None]))[0]
        return Mixture(Gaussian.of(mean, experts.cov, experts.structure), Constant.of(now @ gate.moves.exp()))

    def simulate(self, X: Any, n: int, n_paths: int = 1000, random_state: Any = None) -> Simulated:
        """`n` further rows of one sequence, so many times: states drawn from what is known at its end, then rows.

        Paths of states whose dynamics do not return to a level may go anywhere; see `spectral_radius_`.
        """
        given, now, recent = self._end(X)
        rng = self._generator(given.x.device, random_state)
        rows, states = self._paths(recent.expand(int(n_paths), -1, -1), now, int(n), rng)
        return Simulated(sk.like(X, rows), sk.like(X, states))

    def rul(
        self,
        X: Any,
        threshold: float,
        *,
        n_paths: int = 1000,
        max_horizon: int = 1000,
        column: int = 0,
        below: bool = True,
        random_state: Any = None,
    ) -> Remaining:
        """Rows until a column falls below the `threshold` (or rises above it): the remaining useful life of X.

        By simulation of `n_paths` up to `max_horizon` rows ahead; a path that does not get there lasts forever, and
        when half of them do not a warning says so.
        """
        paths = self.simulate(X, max_horizon, n_paths, random_state)
        found = remaining(torch.as_tensor(paths.rows)[:, :, column], float(threshold), below=below)
        if found.median == float("inf"):
            warn(
                f"Of {n_paths} paths {int((found.paths == float('inf')).sum())} do not reach {threshold:g} within "
                f"{max_horizon} rows: the remaining life is infinite. A larger max_horizon might help.",
                NumericalWarning,
            )
        return found

    def _end(self, X: Any) -> tuple[Given, Float[Tensor, "s"], Float[Tensor, "p d"]]:
        """One sequence, what is known of its last state, and its last rows, the latest first."""
        given, prepared, model = self._again(X, None)
        now = prepared.source.filtered(model).resp[-1].double()
        return given, now, given.x[len(given.x) - int(self.order) :].flip(0).double()

    def _paths(
        self, recent: Float[Tensor, "q p d"], now: Float[Tensor, "s"], n: int, rng: torch.Generator
    ) -> tuple[Float[Tensor, "q n d"], Int[Tensor, "q n"]]:
        """Rows and states that follow the latest rows of each path."""
        model = self.mixture_.to(recent.device)
        experts, moves = _experts(model), chain_of(model).moves.exp()
        z = torch.multinomial(now, len(recent), replacement=True, generator=rng)
        rows, states = [], []
        for _ in range(n):
            z = torch.multinomial(moves[z], 1, generator=rng)[:, 0]
            x = experts.draw(self._looking_back(recent), z, rng)
            recent = torch.cat([x[:, None], recent], dim=1)[:, : int(self.order)]
            rows.append(x)
            states.append(z)
        return torch.stack(rows, dim=1), torch.stack(states, dim=1)

    def _looking_back(self, recent: Float[Tensor, "q p d"]) -> Float[Tensor, "q _"]:
        """Rows as the experts read them, whose outputs are yet to come."""
        past = recent.flatten(1)
        return torch.cat([past, past.new_zeros(len(past), int(self.n_features_in_))], dim=1)


def _experts(model: Mixture) -> LinearGaussian:
    assert isinstance(model.components, LinearGaussian)
    return model.components
