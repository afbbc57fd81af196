"""Information criteria, in scikit-learn's sign: lower is better.

`loglik` is the total over all rows; `n` is their number, or the sum of their weights. What a criterion needs of the
responsibilities is one sum over rows, `entropy` or `doubt`, which may be added up chunk by chunk.
"""

from __future__ import annotations

import math

import torch

from gmmlab.axes import Float, Tensor


def bic(loglik: float, n_parameters: int, n: float | int) -> float:
    """Bayesian information criterion, -2 log L + p log n (Schwarz, 1978)."""
    return -2 * loglik + n_parameters * math.log(n)


def aic(loglik: float, n_parameters: int) -> float:
    """Akaike information criterion, -2 log L + 2 p (Akaike, 1974)."""
    return -2 * loglik + 2 * n_parameters


def aicc(loglik: float, n_parameters: int, n: float | int) -> float:
    """AIC corrected for few rows, AIC + 2 p (p + 1) / (n - p - 1); infinite where n <= p + 1.

    See Hurvich and Tsai (1989). The correction is exact for a linear regression and customary elsewhere.
    """
    room = n - n_parameters - 1
    correction = 2 * n_parameters * (n_parameters + 1) / room if room > 0 else math.inf
    return aic(loglik, n_parameters) + correction


def icl(loglik: float, n_parameters: int, n: float | int, uncertainty: float) -> float:
    """Integrated complete-data likelihood, BIC + 2 uncertainty: BIC with a price for clusters that overlap.

    `uncertainty` is the `doubt` of the responsibilities, as mclust has it, or their `entropy`. Never below BIC. See
    Biernacki, Celeux and Govaert (2000).
    """
    return bic(loglik, n_parameters, n) + 2 * uncertainty


def nec(k: int, loglik: float, loglik_of_one: float, entropy: float) -> float:
    """Normalised entropy criterion, entropy / (log L_k - log L_1); 1 for one component.

    Infinite where k components fit no better than one. Below 1 there is evidence of clusters. See Celeux and Soromenho
    (1996), and Biernacki, Celeux and Govaert (1999) for the value at k = 1.
    """
    if k == 1:
        return 1.0
    gain = loglik - loglik_of_one
    return entropy / gain if gain > 0 else math.inf


def mml(loglik: float, weights: Float[Tensor, "k"], n: float | int, n_each: float | int) -> float:
    """Message length of a mixture and its rows, in nats.

        N/2 sum_k log(n pi_k / 12) + K/2 log(n / 12) + K (N + 1)/2 - log L

    `n_each` is N, the free parameters of one component; parameters that components share may be spread over them.
    Components of weight zero send nothing and are not counted. See Figueiredo and Jain (2002), eq. 15.
    """
    sent = weights[weights > 0].double()
    k = len(sent)
    parameters = n_each / 2 * float((n * sent / 12).log().sum())
    return parameters + k / 2 * math.log(n / 12) + k * (n_each + 1) / 2 - loglik


def entropy(resp: Float[Tensor, "n k"], weight: Float[Tensor, "n"] | None = None) -> float:
    """How undecided the responsibilities are, -sum_i w_i sum_k r_ik log r_ik; between 0 and n log k."""
    return float(_total(torch.special.entr(resp.double()).sum(1), weight))


def doubt(resp: Float[Tensor, "n k"], weight: Float[Tensor, "n"] | None = None) -> float:
    """How undecided the most probable labels are, -sum_i w_i log max_k r_ik; never more than the entropy."""
    return float(_total(-resp.double().amax(1).log(), weight))


def mclust_sign(value: float) -> float:
    """A criterion the other way round, higher is better: 2 log L - p log n for BIC. Undoes itself."""
    return -value


def _total(rows: Float[Tensor, "n"], weight: Float[Tensor, "n"] | None) -> Float[Tensor, ""]:
    return rows.sum() if weight is None else (weight.double() * rows).sum()
