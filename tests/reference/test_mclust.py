"""From the same partition, EM ends where R's mclust 6.0.0 ends: fourteen models, one to nine components, four data.

mclust starts EM from a hierarchical clustering; its partitions and its BIC (2 log L - p log n: larger is better), at
its own tolerance (`bic`) and at 1e-12 (`bic_tight`), are stored in data/mclust_*.json. Ours runs to 1e-11 of the mean
log-likelihood. The rest of the way is then below 1e-3 in BIC: with a rate of convergence of 0.999, it is a thousand
steps of 1e-11 times 2 n.

mclust refuses a model (null) whose covariances come near to singular by a rule of its own, sometimes at one tolerance
and not at the other: only what it fitted is compared.

VVE is held to less, because mclust 6.0.0 does not reach the maximum in its M-step: see the test of it.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from gmmlab.families import EIGEN, Structure
from gmmlab.families.structures import VVE
from gmmlab.kernels.groups import Groups

DATA = ("acidity", "faithful", "iris", "banknote")
STRUCTURES = {structure.name: structure for structure in EIGEN} | {"E": EIGEN[0], "V": EIGEN[1]}
# where mclust's M-step of VVE leads it another way, on which it ends higher
ANOTHER_WAY = {("iris", 5), ("banknote", 5), ("banknote", 6), ("banknote", 7), ("banknote", 8)}


@cache
def reference(name: str) -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "data" / f"mclust_{name}.json").read_text())


def rows(name: str) -> Tensor:
    x = torch.tensor(reference(name)["rows"], dtype=torch.float64)
    return x - x.mean(0)


QUICK = ("acidity", "iris")
SLOW = {name: [] if name in QUICK else [pytest.mark.slow] for name in DATA}
CELLS = [pytest.param(name, model, marks=SLOW[name]) for name in DATA for model in reference(name)["bic"]]


class End(NamedTuple):
    """How a mixture ended: its log-likelihood (None if it became singular) and labels."""

    evidence: float | None
    labels: Tensor


def table(x: Tensor, mean: Tensor, cov: Tensor) -> tuple[Tensor, Tensor]:
    """Log densities (n, k), and which components are singular."""
    z = x - mean[:, None]
    chol, info = torch.linalg.cholesky_ex(cov)
    bad = (info > 0) | ~torch.isfinite(chol).flatten(1).all(1)
    chol = torch.where(bad[:, None, None], torch.eye(x.shape[1], dtype=x.dtype), chol)
    white = torch.linalg.solve_triangular(chol, z.mT, upper=False)
    constant = chol.diagonal(dim1=1, dim2=2).log().sum(1) + 0.5 * x.shape[1] * math.log(2 * math.pi)
    return (-0.5 * white.square().sum(1) - constant[:, None]).T, bad


def assign(joint: Tensor, groups: Groups) -> tuple[Tensor, Tensor]:
    """Responsibilities within each mixture (n, k) and log evidence (g)."""
    parts = joint.split(groups.sizes, dim=1)
    evidence = torch.stack([part.logsumexp(1) for part in parts], dim=1)
    return (joint - evidence[:, groups.owner(joint.device)]).exp(), evidence.sum(0)


def climb(x: Tensor, starts: list[Tensor], structure: Structure) -> list[End]:
    """EM on many mixtures at once, each from its responsibilities (n, k); those that are done leave."""
    n, d = x.shape
    ends: list[Any] = [None] * len(starts)
    running, resp = list(range(len(starts))), torch.cat(starts, dim=1)
    groups = Groups(tuple(part.shape[1] for part in starts))
    cov = x.square().mean(0).expand(groups.k, d)
    cov = torch.diag_embed(cov) if structure.dense else cov
    before = torch.full((len(starts),), -math.inf, dtype=x.dtype)
    while running:
        w = resp.sum(0)
        mean = (resp.T @ x) / w[:, None]
        z = x - mean[:, None]
        weighted = z * resp.T[:, :, None]
        scatter = weighted.mT @ z if structure.dense else (weighted * z).sum(1)
        cov = structure.project(w, scatter, cov, groups)
        log_density, bad = table(x, mean, cov if structure.dense else torch.diag_embed(cov))
        resp, evidence = assign(log_density + (w / n).log(), groups)
        failed = groups.sum(bad.double()) > 0
        assert bool((failed | (evidence >= before - 1e-8 * n)).all()), f"{structure.name} fell"
        done = failed | (evidence - before < 1e-11 * n)
        before = evidence
        if bool(done.any()):
            parts = resp.split(groups.sizes, dim=1)
            for at in done.nonzero().flatten().tolist():
                ends[running[at]] = End(None if failed[at] else float(evidence[at]), parts[at].argmax(1))
            keep = [at for at in range(groups.g) if not done[at]]
            members = (~done)[groups.owner(x.device)]
            running = [running[at] for at in keep]
            groups = Groups(tuple(groups.sizes[at] for at in keep))
            resp, cov, before = resp[:, members].contiguous(), cov[members], before[~done]
    return ends


def bic(end: End, x: Tensor, structure: Structure, k: int) -> float:
    n, d = x.shape
    parameters = k * d + k - 1 + structure.n_parameters(k, d)
    return -math.inf if end.evidence is None else 2 * end.evidence - parameters * math.log(n)


@cache
def ends(name: str, model: str) -> dict[int, End]:
    labels = {int(k): torch.tensor([int(c) - 1 for c in row]) for k, row in reference(name)["labels"].items()}
    starts = [torch.eye(k, dtype=torch.float64)[row] for k, row in labels.items()]
    return dict(zip(labels, climb(rows(name), starts, STRUCTURES[model]), strict=True))


@pytest.mark.parametrize(("name", "model"), CELLS)
def test_same_start_same_end(name, model):
    x, known = rows(name), reference(name)
    for k, end in ends(name, model).items():
        ours = bic(end, x, STRUCTURES[model], k)
        tight, default = known["bic_tight"][model][str(k)], known["bic"][model][str(k)]
        if model == "VVE":
            lowest = -math.inf if (name, k) in ANOTHER_WAY else tight
            assert lowest is None or ours >= lowest - 1e-3, k
        elif tight is not None:
            assert ours == pytest.approx(tight, abs=1e-3), k
            assert default is None or ours >= default - 0.2, k
        elif default is not None:
            assert end.evidence is None, f"{k}: mclust became singular when it went on"


@pytest.mark.parametrize(("name", "k"), sorted(ANOTHER_WAY))
def test_vve_raises_the_fits_of_mclust(name, k):
    """From mclust's own fit, ours goes up, and not a little: mclust's was no maximum."""
    x, fit = rows(name), reference(name)["fits"][f"VVE,{k}"]
    weights, mean, cov = (torch.tensor(fit[key], dtype=torch.float64) for key in ("weights", "means", "covariances"))
    mean = mean - torch.tensor(reference(name)["rows"], dtype=torch.float64).mean(0)
    resp, evidence = assign(table(x, mean, cov)[0] + weights.log(), Groups((k,)))
    known = reference(name)["bic"]["VVE"][str(k)]
    assert bic(End(float(evidence), resp), x, VVE(), k) == pytest.approx(known, abs=1e-3)
    ours = bic(climb(x, [resp], VVE())[0], x, VVE(), k)
    assert ours > known


def test_vve_of_a_partition_is_a_better_maximum_than_that_of_mclust():
    """mclust's mstepVVE ends at 399.410 on iris in two groups, at 399.473 after up to 10000 rounds to 1e-12."""
    x = rows("iris")
    resp = torch.eye(2, dtype=x.dtype)[torch.tensor([int(c) - 1 for c in reference("iris")["labels"]["2"]])]
    w, z = resp.sum(0), x - ((resp.T @ x) / resp.sum(0)[:, None])[:, None]
    scatter = (z * resp.T[:, :, None]).mT @ z
    cov = VVE().project(w, scatter, torch.cov(x.T).expand(2, 4, 4), Groups((2,)))
    fitted = torch.linalg.solve(cov, scatter).diagonal(dim1=1, dim2=2).sum(1)
    assert -0.5 * float((w * torch.logdet(cov) + fitted).sum()) > 399.859


@pytest.mark.parametrize("name", DATA)
def test_same_number_of_parameters(name):
    d = rows(name).shape[1]
    for model, counts in reference(name)["n_parameters"].items():
        for k, count in counts.items():
            assert int(k) * d + int(k) - 1 + STRUCTURES[model].n_parameters(int(k), d) == count


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW[name]) for name in DATA])
def test_same_labels_in_the_best_model(name):
    best = reference(name)["best"]
    ours = ends(name, best["model"])[best["G"]].labels.tolist()
    assert adjusted_rand_score(ours, list(best["labels"])) >= 0.99
