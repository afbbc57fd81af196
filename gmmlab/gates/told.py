"""What is told of the rows, beside what they look like, to any gate.

    p(x_i, e_i) = sum_k pi_k p_k(x_i) p(e_i | k)        r_ik ~ pi_k p_k(x_i) p(e_i | k)

A label c is the evidence log p(e | k) = 0 for k = c and -inf for all others. Classes of rows are told by the log
probability of the class under each component, plausible labels by the log of their plausibilities, and what other rows
tell of this one by a message. Whatever gate assigns the rows then assigns them with more to go by. See Miller and Uyar
(1997) for labels, and Come, Oukhellou, Denoeux and Aknin (2009) for plausibilities.
"""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.gates.around import Around
from gmmlab.gates.posterior import Posterior
from gmmlab.kernels.logspace import normalise_
from gmmlab.record import shared


class Told(Around):
    """A gate bound to rows, and the log evidence of each component in what is told of each of them.

    One line of it is told of all rows alike. Where rows may belong to none, a last column may tell of that. A row that
    cannot be (its label is a component without weight) goes by what is told of it alone, and has the evidence -inf.
    """

    log_evidence: Float[Tensor, "n j"] = shared()

    def at(self, rows: Float[Tensor, "n d"]) -> Told:
        """The gate of these rows. Raises `ValueError` unless it is told of just as many."""
        if len(self.log_evidence) not in (1, len(rows)):
            raise ValueError(
                f"{len(rows)} rows are to be assigned by what is told of {len(self.log_evidence)}; expected as many. "
                "Tell of a chunk when it comes."
            )
        return super().at(rows)

    def joint(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Log density of each row, and of what is told of it, together with each component."""
        return self.gate.joint(self._added(table))

    def outcomes(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n j"]:
        """The same with all that a row may belong to."""
        k = table.shape[1]
        outcomes = self.gate.outcomes(self._added(table))
        return torch.cat([outcomes[:, :k], outcomes[:, k:] + self.log_evidence[:, k:]], dim=1)

    def log_prob(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
        """Log density of each row and of what is told of it."""
        if self._tells_of_none(table):
            return torch.logsumexp(self.outcomes(table), dim=1)
        return self.gate.log_prob(self._added(table))

    def posterior(self, table: Float[Tensor, "n k"]) -> Posterior:
        """Responsibilities given the row and what is told of it, in the dtype of the table, and evidence."""
        k = table.shape[1]
        if self._tells_of_none(table):
            resp, evidence = normalise_(self.outcomes(table))
            found = Posterior(resp[:, :k], evidence, resp[:, k])
        else:
            found = self.gate.posterior_(self._added(table))
        lost = ~found.evidence.isfinite() & ~table.isnan().any(1)
        alone = torch.softmax(self.log_evidence, dim=1)
        return Posterior(
            torch.where(lost[:, None], alone[:, :k], found.resp).to(table),
            found.evidence.masked_fill(lost, -torch.inf),
            found.none if found.none is None else found.none.masked_fill(lost, 0.0).to(table),
        )

    posterior_ = posterior  # the sum is another table

    def assign(self, table: Float[Tensor, "n k"]) -> Int[Tensor, "n"]:
        """Most probable component of each row."""
        if not self._tells_of_none(table):
            return self.gate.assign(self._added(table))
        best = self.outcomes(table).max(1).indices
        return torch.where(best == table.shape[1], -1, best)

    def _added(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """In the wider of the two dtypes: what is told may cancel what is seen."""
        return table + self.log_evidence[:, : table.shape[1]]

    def _tells_of_none(self, table: Float[Tensor, "n k"]) -> bool:
        return self.log_evidence.shape[1] > table.shape[1]


def labels_told(labels: Int[Tensor, "n"], j: int) -> Float[Tensor, "n j"]:
    """The log evidence of labels 0 to j - 1 that are certain; of a row with the label -1 nothing is told."""
    other = labels[:, None] != torch.arange(j, device=labels.device)
    ruled_out = other & (labels >= 0)[:, None]
    return torch.zeros(ruled_out.shape, dtype=torch.float64, device=labels.device).masked_fill(ruled_out, -torch.inf)
