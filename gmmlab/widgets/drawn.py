"""Drawn data: clusters that a person has sprayed or set down, and the rows that they stand for.

What is kept are strokes, not rows: rows are drawn from them with a seed, so that another seed or another number of
rows is the same picture anew, and a cluster that is moved keeps its rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch

from gmmlab.axes import Float, Int, Tensor

Place = tuple[float, float]

SPREAD = 2.0  # standard deviations of a bell at the radius of its brush
SEEDS = 1 << 20  # clusters that one seed has numbers for


@runtime_checkable
class Part(Protocol):
    """What rows are drawn from; `n` is how many."""

    @property
    def n(self) -> int: ...

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 2"]:
        """So many rows."""
        ...

    def moved(self, by: Float[Tensor, "2"]) -> Part:
        """The same elsewhere."""
        ...


@dataclass(frozen=True, eq=False)
class Spray:
    """Rows spread evenly over a disc that goes from place to place in equal times; `radius` is that along both axes."""

    path: Float[Tensor, "p 2"]
    radius: Float[Tensor, "2"]
    n: int

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 2"]:
        along, turn, out = torch.rand(3, n, generator=rng, dtype=torch.float64)
        disc = out.sqrt()[:, None] * torch.stack([(2 * math.pi * turn).cos(), (2 * math.pi * turn).sin()], 1)
        return self._at(along) + disc * self.radius

    def moved(self, by: Float[Tensor, "2"]) -> Spray:
        return replace(self, path=self.path + by)

    def near(self, place: Float[Tensor, "2"]) -> bool:
        """Whether a place lies within two radii of the path, so that what is sprayed there goes on with it."""
        return bool(((self.path - place) / self.radius.clamp(min=1e-12)).norm(dim=1).min() <= 2)

    def _at(self, share: Float[Tensor, "n"]) -> Float[Tensor, "n 2"]:
        """Where the disc is at parts of its time."""
        time = share * (len(self.path) - 1)
        before = time.long().clamp(max=max(0, len(self.path) - 2))
        after = (before + 1).clamp(max=len(self.path) - 1)
        return torch.lerp(self.path[before], self.path[after], (time - before)[:, None])


@dataclass(frozen=True, eq=False)
class Bell:
    """Gaussian rows: mean + factor z."""

    mean: Float[Tensor, "2"]
    factor: Float[Tensor, "2 2"]
    n: int

    @classmethod
    def between(cls, start: Float[Tensor, "2"], end: Float[Tensor, "2"], radius: Float[Tensor, "2"], n: int) -> Bell:
        """Two standard deviations to both ends of a drag, and to the radius of its brush across."""
        u = (end - start) / radius
        long = float(u.norm())
        cos, sin = (u / long).tolist() if long > 0 else (1.0, 0.0)
        axes = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
        scale = torch.tensor([max(long / 2, 1.0), 1.0], dtype=torch.float64) / SPREAD
        return cls((start + end) / 2, radius[:, None] * axes * scale, n)

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 2"]:
        return self.mean + torch.randn(n, 2, generator=rng, dtype=torch.float64) @ self.factor.T

    def moved(self, by: Float[Tensor, "2"]) -> Bell:
        return replace(self, mean=self.mean + by)


@dataclass(frozen=True, eq=False)
class Cluster:
    """Parts of one class that are moved as one; `key` is its number for good."""

    parts: tuple[Part, ...]
    label: int
    key: int

    def moved(self, by: Float[Tensor, "2"]) -> Cluster:
        return replace(self, parts=tuple(part.moved(by) for part in self.parts))


@dataclass(frozen=True, eq=False)
class Drawing:
    """Clusters, and the rows drawn from them: `total` in all, or as many as were set down if that is 0."""

    clusters: tuple[Cluster, ...] = ()
    seed: int = 0
    total: int = 0

    def __repr__(self) -> str:
        return f"Drawing({self.words})"

    @property
    def words(self) -> str:
        """How many rows and clusters."""
        clusters = len(self.clusters)
        return f"{len(self.x):,} rows in {clusters} cluster{'s' * (clusters != 1)}"

    @property
    def k(self) -> int:
        """One more than the highest class."""
        return 1 + max((cluster.label for cluster in self.clusters), default=0)

    @property
    def x(self) -> Float[Tensor, "n 2"]:
        """All rows, cluster by cluster."""
        return self._rows[0]

    @property
    def labels(self) -> Int[Tensor, "n"]:
        """The class of each row."""
        return self._rows[1]

    @property
    def keys(self) -> Int[Tensor, "n"]:
        """The cluster of each row."""
        return self._rows[2]

    def add(self, part: Part, label: int) -> Drawing:
        """With one more part: of the cluster that it goes on with, or of a new one."""
        for cluster in reversed(self.clusters):
            last = cluster.parts[-1]
            sprayed = isinstance(part, Spray) and isinstance(last, Spray) and last.near(part.path[0])
            if sprayed and cluster.label == label:
                return self._with(cluster, replace(cluster, parts=(*cluster.parts, part)))
        key = 1 + max((cluster.key for cluster in self.clusters), default=-1)
        return replace(self, clusters=(*self.clusters, Cluster((part,), label, key)))

    def move(self, key: int, by: Float[Tensor, "2"]) -> Drawing:
        """A cluster elsewhere."""
        cluster = self._of(key)
        return self._with(cluster, cluster.moved(by))

    def remove(self, key: int) -> Drawing:
        """Without a cluster."""
        gone = self._of(key)
        return replace(self, clusters=tuple(cluster for cluster in self.clusters if cluster is not gone))

    def nearest(self, place: Float[Tensor, "2"]) -> int | None:
        """The cluster of the row nearest to a place; None on a blank plane."""
        return int(self.keys[(self.x - place).norm(dim=1).argmin()]) if len(self.x) else None

    def _with(self, old: Cluster, new: Cluster) -> Drawing:
        return replace(self, clusters=tuple(new if cluster is old else cluster for cluster in self.clusters))

    def _of(self, key: int) -> Cluster:
        found = [cluster for cluster in self.clusters if cluster.key == key]
        if not found:
            raise LookupError(f"There is no cluster {key}; there are {[cluster.key for cluster in self.clusters]}.")
        return found[0]

    @cached_property
    def _rows(self) -> tuple[Tensor, Tensor, Tensor]:
        x, labels, keys = [torch.empty(0, 2, dtype=torch.float64)], [torch.empty(0).long()], [torch.empty(0).long()]
        sizes = iter(shared(self.total, [part.n for cluster in self.clusters for part in cluster.parts]))
        for cluster in self.clusters:
            rng = torch.Generator().manual_seed(self.seed * SEEDS + cluster.key)
            rows = torch.cat([part.draw(next(sizes), rng) for part in cluster.parts])
            x.append(rows)
            labels.append(torch.full((len(rows),), cluster.label))
            keys.append(torch.full((len(rows),), cluster.key))
        return torch.cat(x), torch.cat(labels), torch.cat(keys)


def shared(total: int, sizes: list[int]) -> list[int]:
    """Sizes scaled so that they sum to `total`, by the largest remainders; as they are for a total of 0."""
    whole = sum(sizes)
    if not total or not whole:
        return sizes
    exact = [total * size / whole for size in sizes]
    floors = [math.floor(value) for value in exact]
    by_rest = sorted(range(len(sizes)), key=lambda i: floors[i] - exact[i])
    for i in by_rest[: total - sum(floors)]:
        floors[i] += 1
    return floors


def _bell(at: Place, sd: Place, degrees: float, n: int) -> Bell:
    angle = math.radians(degrees)
    axes = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    return Bell(torch.tensor(at, dtype=torch.float64), axes * torch.tensor(sd, dtype=torch.float64), n)


def _arc(at: Place, radius: float, degrees: Place, thick: float, n: int) -> Spray:
    angle = torch.deg2rad(torch.linspace(*degrees, 60, dtype=torch.float64))
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    path = torch.tensor(at, dtype=torch.float64) + radius * circle
    return Spray(path, torch.full((2,), thick, dtype=torch.float64), n)


def _drawn(*parts: Part) -> Drawing:
    return Drawing(tuple(Cluster((part,), label, label) for label, part in enumerate(parts)))


PRESETS: dict[str, Callable[[], Drawing]] = {
    "blobs": lambda: _drawn(*(_bell(at, (0.5, 0.5), 0.0, 150) for at in ((2.0, 2.0), (5.0, 4.3), (8.0, 2.0)))),
    "cigars": lambda: _drawn(*(_bell(at, (1.5, 0.14), 30.0, 200) for at in ((4.5, 3.8), (5.5, 2.2)))),
    "cross": lambda: _drawn(*(_bell((5.0, 3.0), (1.6, 0.16), degrees, 200) for degrees in (35.0, -35.0))),
    "unequal": lambda: _drawn(
        _bell((3.5, 3.0), (0.9, 0.7), 20.0, 500),
        _bell((6.6, 4.0), (0.25, 0.25), 0.0, 50),
        _bell((7.3, 2.0), (0.12, 0.12), 0.0, 15),
    ),
    "moons": lambda: _drawn(
        _arc((4.2, 2.6), 1.8, (0.0, 180.0), 0.3, 200), _arc((6.0, 3.4), 1.8, (180.0, 360.0), 0.3, 200)
    ),
    "ring": lambda: _drawn(_bell((5.0, 3.0), (0.4, 0.4), 0.0, 120), _arc((5.0, 3.0), 2.1, (0.0, 360.0), 0.25, 240)),
}
