"""A gate that remembers: the states of a sequence's rows follow a Markov chain.

    p(x, z) = pi_{z_1} p(x_1 | z_1) prod_t A_{z_t-1 z_t} p(x_t | z_t)

Which component a row belongs to depends on the rows before and after it, so that rows are assigned sequence by sequence
(`along`), by the passes of `kernels/chain.py`. With equal rows of A the states forget: then this is a gate of constant
weights. A state is a component, or a mixture of them with weights of its own: each state of its own components, or all
states of one pool (semi-continuous or tied mixtures). See Rabiner (1989), sections III and IV, and for priors and their
modes Gauvain and Lee (1994).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.gates import dirichlet
from gmmlab.gates.constant import Constant
from gmmlab.gates.posterior import Posterior
from gmmlab.kernels.chain import Chain, Smoothed
from gmmlab.kernels.chunks import Buffers
from gmmlab.kernels.packing import Packing
from gmmlab.kernels.scan import quickest
from gmmlab.record import Record, static
from gmmlab.stats import Counts, PartedTransitions, Transitions

_LEAST = 1e-300  # probability of what is allowed: only what was never allowed is impossible
Smooth = Callable[[Chain, Tensor, Packing, Tensor | None, Buffers | None], Smoothed]


class Assigned(NamedTuple):
    """Rows assigned with the rest of their sequences: to components, to states, and what a refit needs of it."""

    posterior: Posterior
    states: Float[Tensor, "n s"]
    stats: Transitions


class Markov(Record):
    """Log probabilities of first states, and of moves from one state (line) to the next (column).

    A probability of zero stays zero: so a topology is kept. `share` is how often each component is met, by which rows
    are assigned that come without their sequence. `parts` are the log weights of components (lines) within each state
    (column); None where states are components. The alphas are the parameters of Dirichlet priors, at least 1, of which
    a refit gives the mode.
    """

    start: Float[Tensor, "s"]
    moves: Float[Tensor, "s s"]
    share: Constant
    parts: Float[Tensor, "k s"] | None = None
    alpha_start: Float[Tensor, "s"] | None = None
    alpha_moves: Float[Tensor, "s s"] | None = None

    @classmethod
    def of(
        cls, start: Float[Tensor, "s"], moves: Float[Tensor, "s s"], parts: Float[Tensor, "k s"] | None = None
    ) -> Markov:
        """A chain from probabilities in any scale, with the shares that a long sequence has.

        Raises `ValueError` for numbers that are no probabilities, and a state from which no move leads.
        """
        first, to = _shares(start, "first states"), _shares(moves, "moves")
        within = None if parts is None else _shares(parts.T, "components of states").T
        # of a sequence that ends after each row with probability 1e-6
        long = torch.linalg.solve((torch.eye(len(to)).to(to) - (1 - 1e-6) * to).T, first).clamp(min=0)
        share = Constant.of(long if within is None else within @ long)
        return cls(first.log(), to.log(), share, None if within is None else within.log())

    def with_priors(self, start: Float[Tensor, "s"], moves: Float[Tensor, "s s"]) -> Markov:
        """The same with priors: parameters of Dirichlet distributions; what is impossible has none.

        Raises `ValueError` for parameters below 1.
        """
        for alpha in (start, moves):
            dirichlet.check(alpha.flatten().double())
        start, moves = start.double(), moves.double()
        return self.replace(
            alpha_start=torch.where(self.start > -torch.inf, start, 1.0),
            alpha_moves=torch.where(self.moves > -torch.inf, moves, 1.0),
        )

    @property
    def chain(self) -> Chain:
        """What the passes through time need."""
        return Chain(self.start, self.moves)

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.start)

    @property
    def log_w(self) -> Float[Tensor, "k"]:
        """Logarithms of the weights."""
        return self.share.log_w

    @property
    def weights(self) -> Float[Tensor, "k"]:
        """How often each component is met."""
        return self.share.weights

    @property
    def n_parameters(self) -> int:
        """Free parameters: probabilities that are not zero, less one for each distribution."""
        tables = [self.start, self.moves] if self.parts is None else [self.start, self.moves, self.parts.T]
        return sum(int((table > -torch.inf).sum()) - table[..., 0].numel() for table in tables)

    # -- sequences -------------------------------------------------------------------------------------------------

    def states(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n s"]:
        """Log density of each row in each state."""
        if self.parts is None:
            return table
        own = [(self.parts[:, s] > -torch.inf).nonzero().flatten() for s in range(self.n_states)]
        parts = self.parts.to(table)
        return torch.stack([torch.logsumexp(table[:, k] + parts[k, s], dim=1) for s, k in enumerate(own)]).T

    def along(
        self,
        table: Float[Tensor, "n k"],
        packing: Packing,
        *,
        told: Float[Tensor, "n s"] | None = None,
        weight: Float[Tensor, "n"] | None = None,
        smooth: Smooth = quickest,
        buffers: Buffers | None = None,
    ) -> Assigned:
        """Packed rows assigned given their whole sequences.

        `told` is log evidence about the states from elsewhere, added to their log densities: 0 where nothing is said,
        -inf for what is ruled out. `weight` says how often each row's sequence counts. The evidence of a row is
        log p(x_t | x_1:t-1), which sums to that of the sequence. With `buffers`, what it gives may lie in them.
        """
        dense = self.states(table)
        found = smooth(self.chain, dense if told is None else dense + told.to(dense), packing, weight, buffers)
        resp = found.resp if weight is None else found.resp * weight[:, None]
        evidence = found.evidence if weight is None else found.evidence * weight
        start = resp[: packing.columns].sum(0).double()
        if self.parts is None:
            w = resp.sum(0).double()
            return Assigned(Posterior(resp, evidence), found.resp, Transitions(w, start, found.moves))
        each, parts = self._handed_on(table, dense, resp)
        stats = PartedTransitions(parts.sum(1), start, found.moves, parts)
        return Assigned(Posterior(each, evidence), found.resp, stats)

    def _handed_on(
        self, table: Float[Tensor, "n k"], dense: Float[Tensor, "n s"], resp: Float[Tensor, "n s"]
    ) -> tuple[Float[Tensor, "n k"], Float[Tensor, "k s"]]:
        """What states are responsible for, handed on to their components; and the sums of that."""
        assert self.parts is not None
        each, sums = torch.zeros_like(table), torch.zeros_like(self.parts)
        for s in range(self.n_states):
            k = (self.parts[:, s] > -torch.inf).nonzero().flatten()
            own = torch.exp(table[:, k] + self.parts[k, s].to(table) - dense[:, s, None]) * resp[:, s, None]
            own = torch.where(resp[:, s, None] > 0, own, 0.0)  # a row that no component can make is of other states
            each[:, k] += own
            sums[k, s] = own.sum(0).double()
        return each, sums

    def refit(self, stats: Counts) -> Markov:
        """The mode given expected counts; a state that is never left keeps its moves. See Rabiner (1989), eq. 40.

        Counts of rows without their sequences say how often components are met, and nothing of moves.
        """
        share = self.share.refit(Counts(stats.w))
        if not isinstance(stats, Transitions):
            return self.replace(share=share)
        parts = self.parts
        if parts is not None and isinstance(stats, PartedTransitions):
            parts = _mode(stats.parts.T, None, parts.T).T
        start, moves = (
            _mode(stats.start, self.alpha_start, self.start),
            _mode(stats.moves, self.alpha_moves, self.moves),
        )
        return self.replace(start=start, moves=moves, share=share, parts=parts)

    def penalty(self) -> Float[Tensor, ""]:
        """Log prior density of the probabilities, up to a constant; zero without a prior."""
        if self.alpha_start is None or self.alpha_moves is None:
            return self.start.new_zeros(())
        moves = dirichlet.log_density(self.moves.flatten(), self.alpha_moves.flatten())
        return dirichlet.log_density(self.start, self.alpha_start) + moves

    def path(self, n: int, rng: torch.Generator, first: Float[Tensor, "s"] | None = None) -> Int[Tensor, "n"]:
        """The states of one sequence of n rows, of which the first is drawn from `first` unless from the start."""
        begin = self.start.exp() if first is None else first
        sums = torch.cat([begin[None], self.moves.exp()]).cumsum(1)
        lines = (sums / sums[:, -1:]).tolist()
        states, line = [], lines[0]
        for u in torch.rand(n, generator=rng, dtype=torch.float64, device=rng.device).tolist():
            states.append(bisect_right(line, u))
            line = lines[states[-1] + 1]
        return torch.tensor(states, device=self.start.device)

    def sample(self, n: int, rng: torch.Generator) -> Int[Tensor, "n"]:
        """The components of one sequence of n rows."""
        states = self.path(n, rng)
        if self.parts is None:
            return states
        return torch.multinomial(self.parts.exp().T[states], 1, generator=rng).squeeze(1)

    # -- rows without their sequences, by how often components are met ---------------------------------------------

    def at(self, rows: Float[Tensor, "n d"]) -> Constant | Markov:  # noqa: ARG002 - the protocol's arguments
        """Chunks of rows are no sequences: their gate is that of single rows."""
        return self.share

    def joint(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Log density of each row together with each component."""
        return self.share.joint(table)

    outcomes = joint

    def log_prob(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
        """Log density of each row by itself."""
        return self.share.log_prob(table)

    def posterior(self, table: Float[Tensor, "n k"]) -> Posterior:
        """Responsibilities for each row by itself."""
        return self.share.posterior(table)

    def posterior_(self, table: Float[Tensor, "n k"]) -> Posterior:
        """The same in the memory of the table, which is overwritten."""
        return self.share.posterior_(table)

    def assign(self, table: Float[Tensor, "n k"]) -> Int[Tensor, "n"]:
        """Most probable component of each row by itself."""
        return self.share.assign(table)

    def weigh(self, posterior: Posterior, weight: Float[Tensor, "n"]) -> Posterior:
        """Rows that count `weight` times."""
        return self.share.weigh(posterior, weight)

    def stats(self, posterior: Posterior) -> Counts:
        """Rows counted by responsibility."""
        return self.share.stats(posterior)

    def marginal(self, columns: Sequence[int]) -> Markov:  # noqa: ARG002 - the protocol's arguments
        """The same: states look at no column."""
        return self


class Along(Markov):
    """A Markov gate that knows which rows of one table follow each other: what a view of that table needs.

    It assigns the table given whole sequences where it sees all of it at once, and any other rows by themselves.
    """

    packing: Any = static(default=None)

    @classmethod
    def rows_of(cls, gate: Markov, packing: Packing) -> Along:
        """The gate of a table whose sequences are packed so."""
        held = {field.name: getattr(gate, field.name) for field in fields(Markov)}
        return cls(**held, packing=packing)

    def at(self, rows: Float[Tensor, "n d"]) -> Constant | Along:
        """Itself for the table, the gate of single rows for others."""
        return self if len(rows) == len(self.packing.order) else self.share

    def posterior(self, table: Float[Tensor, "n k"]) -> Posterior:
        """Responsibilities given whole sequences, and evidence given the rows before."""
        resp, found, _ = self.along(self.packing.pack(table), self.packing).posterior
        return Posterior(self.packing.unpack(resp), self.packing.unpack(found))

    posterior_ = posterior

    def log_prob(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
        """Log density of each row given the rows before it."""
        return self.posterior(table).evidence

    def joint(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """The same together with each component, shared out as responsibilities are."""
        resp, found, _ = self.posterior(table)
        return resp.log() + found[:, None]

    outcomes = joint

    def assign(self, table: Float[Tensor, "n k"]) -> Int[Tensor, "n"]:
        """Most probable component of each row given its whole sequence."""
        return self.posterior(table).resp.max(1).indices


def _shares(weights: Float[Tensor, "... s"], what: str) -> Float[Tensor, "... s"]:
    """Probabilities along the last axis. Raises `ValueError` for what cannot be made such."""
    weights = weights.double()
    total = weights.sum(-1, keepdim=True)
    if not bool((weights >= 0).all()) or not bool(torch.isfinite(total).all()):
        raise ValueError(f"The probabilities of {what} are {weights.tolist()}; expected finite numbers of at least 0.")
    if bool((total == 0).any()):
        at = "" if weights.ndim == 1 else f" in line {int((total == 0).flatten().nonzero()[0])}"
        raise ValueError(f"The probabilities of {what} are all zero{at}; expected at least one that is not.")
    return weights / total


def _mode(counts: Tensor, alpha: Tensor | None, old: Tensor) -> Tensor:
    """Log probabilities along the last axis; those of -inf stay, and a line without counts does."""
    counts = torch.where(old > -torch.inf, counts if alpha is None else counts + alpha - 1, 0.0)
    total = counts.sum(-1, keepdim=True)
    share = torch.where(old > -torch.inf, (counts / total).clamp(min=_LEAST), 0.0)
    return torch.where(total > torch.finfo(counts.dtype).eps, share.log(), old)
