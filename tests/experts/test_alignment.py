"""Alignment in time: the best of all monotone paths, and what is known of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from gmmlab.errors import BadData
from gmmlab.experts.alignment import align


def noise(n, rng, q=2):
    return torch.randn(n, q, generator=rng, dtype=torch.float64)


def paths(i, j):
    """All monotone paths from (0, 0) to (i, j)."""
    if i == j == 0:
        yield [(0, 0)]
    for di, dj in ((1, 1), (1, 0), (0, 1)):
        if i >= di and j >= dj:
            yield from ([*path, (i, j)] for path in paths(i - di, j - dj))


def cost(path, x, y):
    """Distances along a path, each as often as both courses went on."""
    steps = [2, *((b[0] - a[0]) + (b[1] - a[1]) for a, b in pairwise(path))]
    return sum(step * float((x[i] - y[j]).norm()) for step, (i, j) in zip(steps, path, strict=True))


@pytest.mark.parametrize("band", [None, 2, 1])
@pytest.mark.parametrize(("t", "u"), [(1, 1), (1, 2), (2, 3), (4, 4), (5, 4), (6, 6)])
def test_no_path_is_cheaper(t, u, band, rng):
    x, y = noise(t, rng), noise(u, rng)
    found = align(x, y, band)
    allowed = [path for path in paths(t - 1, u - 1) if band is None or all(abs(i - j) <= band for i, j in path)]
    best = min(allowed, key=lambda path: cost(path, x, y))
    assert [tuple(pair) for pair in found.pairs.tolist()] == best
    assert found.distance * (t + u) == pytest.approx(cost(best, x, y))


def test_a_slower_copy_is_found_again(rng):
    x = noise(80, rng).cumsum(0)
    times = torch.randint(1, 4, (80,), generator=rng)
    frame = torch.arange(80).repeat_interleave(times)
    found = align(x, x[frame])
    assert found.distance == 0
    torch.testing.assert_close(found.pairs[:, 0], frame[found.pairs[:, 1]])
    assert set(found.pairs[:, 1].tolist()) == set(range(len(frame)))


def test_either_course_may_be_the_first(rng):
    x, y = noise(30, rng).cumsum(0), noise(40, rng).cumsum(0)
    one, other = align(x, y), align(y, x)
    torch.testing.assert_close(one.pairs, other.pairs.flip(1))
    assert one.distance == pytest.approx(other.distance)


def test_a_band_is_kept_and_costs(rng):
    x, y = noise(50, rng).cumsum(0), noise(45, rng).cumsum(0)
    found = [align(x, y, band) for band in (5, 15, None)]
    assert int((found[0].pairs[:, 0] - found[0].pairs[:, 1]).abs().max()) == 5
    distances = [one.distance for one in found]
    assert distances == sorted(distances, reverse=True) and distances[0] > distances[-1]


def test_courses_that_cannot_be_aligned_are_refused(rng):
    x, y = noise(5, rng), noise(9, rng)
    with pytest.raises(BadData, match="band is 3, and courses have 5 and 9 frames; expected at least 4"):
        align(x, y, band=3)
    with pytest.raises(BadData, match="0 and 9 frames"):
        align(x[:0], y)
    with pytest.raises(BadData, match="not finite"):
        align(x * torch.nan, y)
