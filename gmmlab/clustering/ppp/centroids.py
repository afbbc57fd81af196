"""Trees of means: k-means that finds k by cutting its clusters in two while a test is for it.

Both begin with one mean. Every cluster is cut by two means along its principal axis; where the test is for two, they
replace the one, and all means then take part in Lloyd's algorithm over all rows. So it goes on until no cluster is cut.
The methods differ in their test alone: X-means asks BIC with spheres of one size (Pelleg and Moore, 2000), G-means
whether rows are Gaussian along the line through the two means (Hamerly and Elkan, 2003).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.clustering.ppp.proposals import between, first_axis, two_means
from gmmlab.init import nearest

Test = Callable[[Tensor, Tensor], bool]  # from the rows of a cluster and their sides to whether it is two
CRITICAL = 1.8692  # of `anderson_darling` at the level 0.0001, as Hamerly and Elkan have it


def x_means(z: Float[Tensor, "n d"], *, most: int = 100) -> Int[Tensor, "n"]:
    """Labels of X-means, which starts from one mean; at most `most` groups."""
    return grown(z, supported, most)


def g_means(z: Float[Tensor, "n d"], *, most: int = 100, critical: float = CRITICAL) -> Int[Tensor, "n"]:
    """Labels of G-means; at most `most` groups. A cluster is cut where its statistic is above the critical value."""

    def not_gaussian(z: Float[Tensor, "n d"], side: Bool[Tensor, "n"]) -> bool:
        return anderson_darling(z @ (z[side].mean(0) - z[~side].mean(0))) > critical

    return grown(z, not_gaussian, most)


def grown(z: Float[Tensor, "n d"], test: Test, most: int) -> Int[Tensor, "n"]:
    """Labels of the means when no cluster passes the test, or `most` are reached. No random number is drawn."""
    z = z - z.mean(0)
    labels = torch.zeros(len(z), dtype=torch.int64, device=z.device)
    before, k = 0, 1
    while before < k < most:
        labels = settled(z, divided(z, labels, test, most))
        before, k = k, int(labels.max()) + 1
    return labels


def divided(z: Float[Tensor, "n d"], labels: Int[Tensor, "n"], test: Test, most: int) -> Int[Tensor, "n"]:
    """The partition with every group cut that passes the test, until there are `most`."""
    labels, k = labels.clone(), int(labels.max()) + 1
    for rows in [(labels == number).nonzero().flatten() for number in range(k)]:
        part = z[rows]
        side = two_means(part, (part - part.mean(0)) @ first_axis(part) > 0)
        if k < most and min(int(side.sum()), int((~side).sum())) > 1 and test(part, side):
            labels[rows[side]] = k
            k += 1
    return labels


def settled(z: Float[Tensor, "n d"], labels: Int[Tensor, "n"], max_iter: int = 100) -> Int[Tensor, "n"]:
    """Lloyd's algorithm over all rows from a partition, until no row changes; groups that lose all rows are gone."""
    for _ in range(max_iter):
        labels = labels.unique(return_inverse=True)[1]
        sums = z.new_zeros(int(labels.max()) + 1, z.shape[1]).index_add_(0, labels, z)
        before, labels = labels, nearest(z, sums / torch.bincount(labels)[:, None])[0]
        if torch.equal(labels, before):
            break
    return labels


def supported(z: Float[Tensor, "n d"], side: Bool[Tensor, "n"]) -> bool:
    """Whether BIC is for two spheres of one variance, to which rows belong by the cut, against one sphere.

        log L = sum_j n_j log(n_j / n) - n d / 2 log(2 pi s2) - d (n - k) / 2,      s2 = inertia / (d (n - k))

    with k (d + 1) free parameters. See Pelleg and Moore (2000), section 3.2, where s2 lacks the d.
    """
    n, d = z.shape
    whole = float((z - z.mean(0)).square().sum())
    sizes = torch.bincount(side.long()).tolist()
    one, two = _of_spheres([n], whole, d), _of_spheres(sizes, max(whole - between(z, side), 0.0), d)
    return two < one


def _of_spheres(sizes: list[int], inertia: float, d: int) -> float:
    n, k = sum(sizes), len(sizes)
    variance = inertia / (d * (n - k))
    if variance <= 0:
        return -math.inf
    parts = sum(size * math.log(size / n) for size in sizes)
    loglik = parts - n * d / 2 * math.log(2 * math.pi * variance) - d * (n - k) / 2
    return -2 * loglik + k * (d + 1) * math.log(n)


def anderson_darling(t: Float[Tensor, "n"]) -> float:
    """The statistic A^2 of numbers against a Gaussian of their mean and variance, corrected for few of them.

        A^2 = -n - 1/n sum_i (2 i - 1) (log F(z_i) + log(1 - F(z_{n + 1 - i})))

    times 1 + 4 / n - 25 / n^2 (D'Agostino and Stephens, 1986). Zero where the numbers do not vary.
    """
    n, spread = len(t), t.std()
    if not bool(spread > 0):
        return 0.0
    z = ((t - t.mean()) / spread).sort().values.double()
    odd = 2 * torch.arange(1, n + 1, dtype=torch.float64, device=t.device) - 1
    square = -n - float((odd * (torch.special.log_ndtr(z) + torch.special.log_ndtr(-z.flip(0)))).mean())
    return square * (1 + 4 / n - 25 / n**2)
