"""Components that have classes: each with a table of how probable each class is in it.

    P(c | k) = beta_kc        p(x, c) = sum_k pi_k p_k(x) beta_kc        P(c | x) = sum_k r_k(x) beta_kc

Rows whose class is known add log beta_kc to what they look like; the others do not. The table is refitted by counting:
rows of known class by their responsibilities, and, if `latent`, also the others by responsibility times beta. Both
climb the same likelihood and have the same fixed points, as n + u beta = (n + u) beta says beta = n / n; the second
gets there slower. See Miller and Uyar (1997), EM-I and EM-II.
"""

from __future__ import annotations

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.gates.around import Around
from gmmlab.gates.gate import Gate
from gmmlab.gates.posterior import Posterior
from gmmlab.gates.told import Told
from gmmlab.record import shared, static
from gmmlab.stats import ClassCounts


class Classes(Around):
    """Another gate, and the log probability of c classes in each component; -inf for classes that it never has.

    `pseudo` are rows of each class that every component is taken to have had: those of a Dirichlet prior, whose mode is
    found. `about` is the log evidence (n, c) of the classes of the rows that the gate is bound to, with a last column
    for belonging to no component where rows may.
    """

    log_beta: Float[Tensor, "k c"]
    pseudo: Float[Tensor, "c"] = shared()
    about: Float[Tensor, "n j"] | None = shared(default=None)
    latent: bool = static(default=False)

    @property
    def beta(self) -> Float[Tensor, "k c"]:
        """The probability of each class in each component."""
        return self.log_beta.exp()

    @property
    def c(self) -> int:
        """Number of classes."""
        return self.log_beta.shape[1]

    @property
    def n_parameters(self) -> int:
        """Free parameters of the gate and of the table, where one probability of each component follows."""
        return self.gate.n_parameters + int((self.log_beta > -torch.inf).sum()) - len(self.log_beta)

    def told(self, about: Float[Tensor, "n j"]) -> Classes:
        """The gate bound to rows of whose classes something is known."""
        return self.replace(about=about)

    def at(self, rows: Float[Tensor, "n d"]) -> Classes:
        """The gate of these rows, which must be those that it is bound to, if any."""
        assert self.about is None or len(self.about) == len(rows)
        return super().at(rows)

    def classes(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n j"]:
        """Log density of each row together with each class, and with none in a last column, where rows may be that."""
        k = table.shape[1]
        outcomes = self.gate.outcomes(table)
        joint = torch.logsumexp(outcomes[:, :k, None] + self.log_beta.to(table), dim=1)
        return torch.cat([joint, outcomes[:, k:]], dim=1)

    def joint(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Log density of each row, and of what is known of its class, together with each component."""
        return self._assigning.joint(table)

    def outcomes(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n j"]:
        """The same with a last column for belonging to none, where rows may."""
        return self._assigning.outcomes(table)

    def log_prob(self, table: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
        """Log density of each row and of what is known of its class."""
        return self._assigning.log_prob(table)

    def posterior(self, table: Float[Tensor, "n k"]) -> Posterior:
        """Responsibilities given the row and what is known of its class, and evidence."""
        return self._assigning.posterior(table)

    def posterior_(self, table: Float[Tensor, "n k"]) -> Posterior:
        """The same in the memory of the table, which is overwritten."""
        return self._assigning.posterior_(table)

    def assign(self, table: Float[Tensor, "n k"]) -> Int[Tensor, "n"]:
        """Most probable component of each row; -1 for rows that belong to none."""
        return self._assigning.assign(table)

    def stats(self, posterior: Posterior) -> ClassCounts:
        """Those of the gate, and rows counted by component and class."""
        resp = posterior.resp.double()
        if self.about is not None:
            counts = torch.einsum("nk,nkc->kc", resp, self._shares(self.about))
        else:
            counts = resp.sum(0)[:, None] * self.beta * float(self.latent)
        return ClassCounts(self.gate.stats(posterior), counts)

    def refit(self, stats: ClassCounts) -> Classes:
        """The gate refitted, and the shares of the classes in each component; one without rows keeps its own."""
        counts = torch.where(self.log_beta > -torch.inf, stats.classes + self.pseudo, 0.0)
        total = counts.sum(1, keepdim=True)
        log_beta = torch.where(total > 0, (counts / total).log(), self.log_beta)
        return self.replace(gate=self.gate.refit(stats.gate), log_beta=log_beta)

    def penalty(self) -> Float[Tensor, ""]:
        """Log prior density of the gate and of the table, up to a constant."""
        here = (self.log_beta > -torch.inf) & (self.pseudo > 0)
        return self.gate.penalty() + torch.where(here, self.pseudo * self.log_beta, 0.0).sum()

    @property
    def _assigning(self) -> Gate:
        if self.about is None:
            return self.gate
        evidence = torch.logsumexp(self.log_beta + self.about[:, None, : self.c], dim=2)
        return Told(self.gate, torch.cat([evidence, self.about[:, self.c :]], dim=1))

    def _shares(self, about: Float[Tensor, "n j"]) -> Float[Tensor, "n k c"]:
        """The probability of each class of each row if it is of each component; zeros where it cannot be of one."""
        return torch.softmax(self.log_beta + about[:, None, : self.c], dim=2).nan_to_num(0.0)
