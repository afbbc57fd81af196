"""`HMM`: hidden Markov models whose states emit what any family of the house scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted

from gmmlab.axes import Float, Tensor
from gmmlab.estimators import parameters as sk
from gmmlab.families import FactorAnalyzers
from gmmlab.gates import Constant, Markov
from gmmlab.model import Mixture
from gmmlab.sequences.base import SequenceModel, chain_of
from gmmlab.sequences.emissions import Emission, GaussianEmission, Start
from gmmlab.sequences.given import Given

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer

MISSING = {"error": False, "marginal": True}


@dataclass(kw_only=True, eq=False, repr=False)
class HMM(SequenceModel):
    """Hidden Markov model, fitted by expectation maximisation (Baum and Welch).

    A mixture whose component depends on that of the row before. Rows come in sequences, of any lengths; a fit sees all
    of them in every step.

    Parameters
    ----------
    n_states : int, default=2
        Number of states.
    emission : object, default=GaussianEmission()
        What a state emits: `GaussianEmission()`, `StudentEmission()`, `FactorEmission(n_factors)`, or a mixture of
        Gaussians for each state, `GMMEmission(n_components, tied=False)`.
    covariance_type : str, default='diag'
        As of `GaussianMixture`.
    topology : {'ergodic', 'left-right'} or array of shape (s, s), default='ergodic'
        Moves that are possible: all, those to the next state (from the first on), or those of a mask.
    startprob_prior, transmat_prior : float or array, default=1.0
        Parameters of Dirichlet priors, at least 1: so many more starts and moves than are seen, plus one.
    stickiness : float, default=0.0
        Added to the diagonal of `transmat_prior`: so many more times were states kept.
    reg_covar : float, default=1e-6
        Added to all variances at every step, in squared data units.
    init_params : str or array, default='auto'
        How rows are parted into states at first: by 'kmeans' or another start of `GaussianMixture`, or in 'time',
        equal parts of each sequence, which is what 'auto' takes for 'left-right' states; or labels or responsibilities.
        Of rows whose states are told ('auto'), those are taken.
    missing : {'error', 'marginal'}, default='error'
        What to do with missing entries (NaN): refuse them, or integrate them out (Gaussian states).
    scan : {'auto', 'sequential', 'associative'}, default='auto'
        How to pass through time: step by step for all sequences at once, or by associative scan (for few, long ones).
    n_init, max_iter, tol, random_state : as of `GaussianMixture`
        `tol` is the gain of the mean log-likelihood per row that ends the fit.

    Attributes
    ----------
    startprob_, transmat_ : arrays of shape (s,) and (s, s)
        Probabilities of first states, and of moves from one (row) to the next (column).
    means_, covariances_ : arrays
        Of the components, in the shapes of `GaussianMixture`; those of a state stand together.
    weights_ : array of shape (s, k)
        Weights of components within states, where states are mixtures.
    log_likelihood_history_ : list of float
        Log-likelihood of all sequences before each step.
    lower_bounds_ : list of float
        What the fit climbed: log-likelihood and log prior, per row.
    converged_, n_iter_, n_features_in_, feature_names_in_
    mixture_ : Mixture
        The fitted model as a value, whose gate is `Markov`.

    References
    ----------
    Baum, Petrie, Soules and Weiss (1970); Rabiner (1989); Särkkä and García-Fernández (2021) for scans.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab.sequences import HMM
    >>> rng = np.random.default_rng(0)
    >>> states = np.repeat([0, 1, 0, 1], 50)
    >>> X = np.where(states == 0, -1.0, 1.0)[:, None] + 0.5 * rng.normal(size=(200, 1))
    >>> model = HMM(2, random_state=0).fit(X, lengths=[100, 100])
    >>> sorted(model.means_.round(1).ravel().tolist()), float(model.transmat_.diagonal().min().round(2))
    ([-1.0, 1.0], 0.98)
    """

    emission: Any = field(default_factory=GaussianEmission)
    missing: str = "error"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = SequenceModel._parameter_constraints | {
        "emission": [HasMethods(["begin"])],
        "missing": [StrOptions(set(MISSING))],
    }

    def _takes_gaps(self) -> bool:
        return MISSING[self.missing]

    def _begun(self, rows: Given, resp: Float[Tensor, "n s"], gate: Markov, rng: torch.Generator) -> Mixture:
        emission: Emission = self.emission
        begun = emission.begin(Start(rows.x, resp, sk.structure(self.covariance_type), float(self.reg_covar), rng))
        if begun.parts is not None:
            parts = Markov.of(gate.start.exp(), gate.moves.exp(), begun.parts)
            gate = gate.replace(parts=parts.parts, share=parts.share)
        return Mixture(begun.components, gate)

    def _written(self, model: Mixture) -> dict[str, Tensor]:
        components = model.components
        if isinstance(components, FactorAnalyzers):
            return {"means_": components.mean, "covariances_": components.cov}
        layout = sk.COVARIANCES[self.covariance_type]
        covariances = sk.attributes(model.located.chol, layout)["covariances_"]
        found = {"means_": model.located.mean, "covariances_": covariances}
        parts = chain_of(model).parts
        return found if parts is None else found | {"weights_": parts.exp().T}

    def forecast(self, X: Any, k: int = 1) -> Mixture:
        """The mixture of the row that comes `k` rows after the end of one sequence.

        Its components are those of the states, weighted by p(z_T+k | x_1:T) = p(z_T | x_1:T) A^k.
        """
        if k < 1:
            raise ValueError(f"k={k}; expected a number of rows ahead, at least 1.")
        _, prepared, model = self._again(X, None)
        gate = chain_of(model)
        now = prepared.source.filtered(model).resp[-1].double()
        then = now @ torch.linalg.matrix_power(gate.moves.exp(), int(k))
        return model.replace(gate=Constant.of(then if gate.parts is None else gate.parts.exp() @ then))

    def sample(self, n_samples: int = 1, n_sequences: int = 1, random_state: Any = None) -> tuple[Any, Any]:
        """Rows and states of so many sequences of `n_samples` rows each, one after the other."""
        check_is_fitted(self, "mixture_")
        model = self.mixture_
        gate = chain_of(model)
        rng = self._generator(model.weights.device, random_state)
        states = torch.cat([gate.path(int(n_samples), rng) for _ in range(int(n_sequences))])
        z = states if gate.parts is None else torch.multinomial(gate.parts.exp().T[states], 1, generator=rng)[:, 0]
        return sk.like(self.means_, model.components.sample(z, rng)), sk.like(self.means_, states)

    def explore(
        self, X: Any, lengths: Any = None, *, state_weights: Any = None, sample_weight: Any = None, **options: Any
    ) -> Explorer:
        """Watch the fit in a notebook: all rows together, the states as components; see `gmmlab.explore`."""
        from gmmlab.widgets.opening import explore
        from gmmlab.widgets.runs import called

        given = self._given(X, lengths, fitting=True)
        told = {"state_weights": state_weights, "sample_weight": sample_weight}
        session = self.watch(X, lengths, **told, name=called("Explorer", given.x, given.names))
        return explore(session=session, **options)
