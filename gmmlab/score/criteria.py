"""Information criteria, in scikit-learn's sign: lower is better."""

from __future__ import annotations

import math


def bic(loglik: float, n_parameters: int, n: int) -> float:
    """Bayesian information criterion, -2 log L + p log n (Schwarz, 1978); `loglik` is the total over n rows."""
    return -2 * loglik + n_parameters * math.log(n)


def aic(loglik: float, n_parameters: int) -> float:
    """Akaike information criterion, -2 log L + 2 p (Akaike, 1974); `loglik` is the total over all rows."""
    return -2 * loglik + 2 * n_parameters
