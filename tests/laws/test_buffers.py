"""Memory that chunks share changes no number, and nothing that outlives a chunk lies in it."""

from __future__ import annotations

import math

import cases
import pytest
import torch
from torch.utils import _pytree as pytree

from gmmlab.kernels import chunks, forms
from gmmlab.kernels.chunks import Buffers, chunk_rows
from gmmlab.kernels.forms import Parameters
from gmmlab.kernels.logspace import normalise_
from gmmlab.steps import e_step, stats_of

FORMS = {
    True: (forms.Packed(), forms.Whitened(), forms.Blocks()),
    False: (forms.Squares(), forms.WhitenedSquares(), forms.Squares()),
}


@cases.few_structures()
@pytest.mark.parametrize("side", [0, 1, 2], ids=["products", "whitened", "blocks"])
def test_buffers_change_no_number(mixture, x, side, tol):
    """Fresh and shared memory, the latter after other rows have been in it."""
    components, form, buffers = mixture.components, FORMS[mixture.components.structure.dense][side], Buffers()
    natural = form.natural(Parameters.of(components.mean - components.origin, components.chol))
    resp = mixture.posterior(x[:64]).resp
    form.table(form.features(x[-200:], components.origin, buffers), natural, buffers).fill_(math.nan)
    found, expected = [], []
    for into, some in ((found, buffers), (expected, None)):
        features = form.features(x[:64], components.origin, some)
        into.append(features.clone())
        into.append(form.table(features, natural, some).clone())
        into.extend(form.sums(features, resp, some))
    for left, right in zip(found, expected, strict=True):
        torch.testing.assert_close(left, right, rtol=tol, atol=tol)


@cases.few_structures()
def test_statistics_outlive_their_chunk(mixture, x):
    buffers = Buffers()

    def stats(rows: torch.Tensor) -> list[torch.Tensor]:
        features = mixture.components.features(rows, buffers)
        posterior = mixture.gate.posterior_(mixture.components.table(features, buffers))
        return pytree.tree_leaves(stats_of(mixture, features, posterior, None, buffers))

    first = stats(x[:100])
    kept = [leaf.clone() for leaf in first]
    stats(x[100:200])
    for held in buffers._held.values():
        held.fill_(math.nan)
    assert all(torch.equal(leaf, copy) for leaf, copy in zip(first, kept, strict=True))


def test_a_name_has_one_memory_that_grows():
    buffers, like = Buffers(), torch.zeros(1, dtype=torch.float32)
    big = buffers.take("table", (4, 8), like)
    assert buffers.take("table", (2, 3), like).data_ptr() == big.data_ptr()
    assert buffers.take("table", (3, 2), like).is_contiguous()
    assert buffers.take("features", (2, 3), like).data_ptr() != big.data_ptr()
    assert buffers.take("table", (4, 9), like).shape == (4, 9)
    assert buffers.take("table", (2, 3), like.double()).dtype == torch.float64


@cases.few_structures()
@pytest.mark.parametrize(
    ("name", "value"),
    [("_CACHE", 1 << 16), ("_CACHE", 3 << 20), ("_CPU", torch.device("meta"))],
    ids=["small", "large", "as on another device"],
)
def test_the_size_of_chunks_changes_no_sum(mixture, x, *, name, value, monkeypatch, tol):
    whole = e_step(mixture, x)
    monkeypatch.setattr(chunks, name, value)
    for left, right in zip(pytree.tree_leaves(e_step(mixture, x)), pytree.tree_leaves(whole), strict=True):
        torch.testing.assert_close(left, right, rtol=tol, atol=tol * float(right.abs().max().clamp(min=1)))


def test_chunks_fill_the_cache_within_bounds():
    assert chunk_rows(10**9, 8) == 512
    assert chunk_rows(1, 4) == 65536
    width = 300
    assert chunk_rows(width, 8) == torch.get_num_threads() * chunks._CACHE // (8 * width)
    assert chunk_rows(width, 8, torch.device("cuda")) == (1 << 29) // (8 * width)
    assert chunk_rows(10**9, 8, torch.device("cuda")) == 512


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_responsibilities_to_base_two(dtype, tol, rng):
    """The scaling to base 2 costs no digits, near and far from zero, with components of weight zero."""
    joint = torch.randn(300, 5, generator=rng, dtype=torch.float64) * 30 - 100
    joint[:, 2] = -math.inf
    joint = joint.to(dtype)
    exact = joint.double()
    resp, evidence = normalise_(joint.T.contiguous().T)
    torch.testing.assert_close(resp.double(), torch.softmax(exact, 1), rtol=30 * tol, atol=tol)
    torch.testing.assert_close(evidence.double(), torch.logsumexp(exact, 1), rtol=tol, atol=tol)
    assert float(resp[:, 2].abs().max()) == 0


@cases.few_structures()
def test_a_log_density_is_differentiable_in_its_rows(mixture, x):
    rows = x[:5].double().requires_grad_()
    mixture.log_prob(rows).sum().backward()
    assert rows.grad is not None and bool(torch.isfinite(rows.grad).all())


def test_what_is_kept_between_calls_serves_autograd():
    """Index tables are kept; made in inference mode they would be refused by a later backward pass."""
    d, form = 7, forms.Packed()
    chol = torch.eye(d, dtype=torch.float64)[None]
    with torch.inference_mode():
        form.natural(Parameters.of(torch.zeros(1, d, dtype=torch.float64), chol))
    m = torch.zeros(1, d, dtype=torch.float64, requires_grad=True)
    form.natural(Parameters.of(m, chol.clone().requires_grad_()))[0].sum().backward()
    assert m.grad is not None
