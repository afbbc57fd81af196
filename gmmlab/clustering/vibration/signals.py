"""Signals of vibrating machines: made up, or read from files, in windows that do not overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmmlab.errors import BadData
from gmmlab.extras import needs

Array = NDArray[np.float64]

FS = 12_000.0  # samples per second
SHAFT = 29.0  # turns per second
JITTER, GAIN = 0.01, 0.05  # relative: of the speed, and of the sensor
RESONANCE, DECAY = 3000.0, 0.002  # Hz and s, of what an impact rings
MESH = 20  # teeth that meet in a turn


class Signals(NamedTuple):
    """Windows of acceleration, a row each, the condition of the machine in each, and its load."""

    windows: Array
    condition: NDArray[np.str_]
    load: NDArray[np.int64]
    fs: float


def simulate(
    kind: str = "bearing",
    seed: int = 0,
    *,
    windows: int = 40,
    loads: int = 3,
    seconds: float = 1.0,
    severity: float = 1.0,
) -> Signals:
    """Windows of a machine in several conditions: `windows` of each at each load, none of which overlap.

    'bearing': healthy, or with a fault of the outer race, inner race or a ball. A fault is struck 3.58, 5.42 or 2.36
    times a turn, and each impact rings at 3 kHz for 2 ms; the inner race passes through the load once a turn.
    'pump': an unbalance of four sizes, with and without the broad noise of cavitation. 'gearbox': a mesh of teeth with
    sidebands, with and without a tooth that is broken. All have harmonics of the shaft, a phase of their own, 1 % of
    jitter in speed, 5 % in the gain of the sensor, and noise. A higher load is louder; `severity` scales the faults.
    Raises `BadData` for other kinds, and for windows that are shorter than two turns.
    """
    if kind not in MACHINES:
        raise BadData(f"There is no machine {kind!r}; expected one of {', '.join(MACHINES)}.")
    if min(windows, loads) < 1 or seconds * SHAFT < 2:
        raise BadData(
            f"Got windows={windows}, loads={loads}, seconds={seconds:g}; expected at least 1, 1 and {2 / SHAFT:.2g}."
        )
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * FS)) / FS
    found, condition, load = [], [], []
    for (name, machine), level, _ in product(MACHINES[kind].items(), range(loads), range(windows)):
        speed = SHAFT * (1 + JITTER * rng.uniform(-1, 1))
        turns = speed * time + rng.uniform()
        signal = _shaft(turns, rng) + severity * machine(turns, rng) + 0.3 * rng.standard_normal(len(time))
        found.append((1 + 0.2 * level) * (1 + GAIN * rng.uniform(-1, 1)) * signal)
        condition.append(name)
        load.append(level)
    return Signals(np.array(found), np.array(condition), np.array(load), FS)


Machine = Callable[[Array, np.random.Generator], Array]  # what a condition adds, over turns of the shaft


def _shaft(turns: Array, rng: np.random.Generator) -> Array:
    """The shaft and two overtones."""
    signal = np.zeros_like(turns)
    for harmonic, amplitude in ((1, 1.0), (2, 0.5), (3, 0.25)):
        signal += amplitude * np.sin(2 * np.pi * (harmonic * turns + rng.uniform()))
    return signal


def _healthy(turns: Array, rng: np.random.Generator) -> Array:  # noqa: ARG001 - nothing is wrong
    return np.zeros_like(turns)


def _impacts(per_turn: float, *, modulated: bool = False, strength: tuple[float, float] = (0.5, 2.0)) -> Machine:
    """Impacts so many times a turn, each of which rings; modulated once a turn where the fault goes round."""

    def machine(turns: Array, rng: np.random.Generator) -> Array:
        speed = (turns[-1] - turns[0]) / (len(turns) - 1) * FS
        phase = rng.uniform()
        since = np.mod(per_turn * turns + phase, 1.0) / (per_turn * speed)  # seconds since the last impact
        ring = np.exp(-since / DECAY) * np.sin(2 * np.pi * RESONANCE * since)
        size = rng.uniform(*strength) * (1 + 0.8 * np.cos(2 * np.pi * turns) if modulated else 1.0)
        return size * ring

    return machine


def _pump(unbalance: float, cavitation: float) -> Machine:
    def machine(turns: Array, rng: np.random.Generator) -> Array:
        phase = rng.uniform()
        once = (unbalance - 1) * np.sin(2 * np.pi * (turns + phase))
        return once + cavitation * rng.standard_normal(len(turns))

    return machine


def _gears(broken: bool) -> Machine:
    tooth = _impacts(1.0, strength=(1.0, 3.0))

    def machine(turns: Array, rng: np.random.Generator) -> Array:
        depth = 0.6 if broken else 0.2  # of the sidebands
        mesh = (1 + depth * np.cos(2 * np.pi * turns)) * np.sin(2 * np.pi * (MESH * turns + rng.uniform()))
        return mesh + tooth(turns, rng) if broken else mesh

    return machine


MACHINES: dict[str, dict[str, Machine]] = {
    "bearing": {
        "healthy": _healthy,
        "outer race": _impacts(3.58),
        "inner race": _impacts(5.42, modulated=True),
        "ball": _impacts(2.36),
    },
    "pump": {
        f"unbalance {size:g}{', cavitation' if noise else ''}": _pump(size, noise)
        for size, noise in product((1.0, 1.5, 2.0, 3.0), (0.0, 0.6))
    },
    "gearbox": {"sound": _gears(False), "broken tooth": _gears(True)},
}


def from_csv(
    path: str | Path, fs: float, *, seconds: float = 1.0, column: str | int = 0, condition: str = ""
) -> Signals:
    """One recording in a column of a CSV file, cut into windows that do not overlap (what is left over is dropped).

    Recordings of several conditions are put together by `join`.
    """
    path = Path(path)
    table = needs("pandas").read_csv(path)
    values = table[column] if isinstance(column, str) else table.iloc[:, column]
    return cut(values.to_numpy(dtype=np.float64), fs, seconds=seconds, condition=condition or path.stem)


def from_mat(path: str | Path, fs: float, *, name: str, seconds: float = 1.0, condition: str = "") -> Signals:
    """The same for the variable `name` of a MATLAB file, as bearing data are often given away."""
    from scipy.io import loadmat

    path = Path(path)
    held = loadmat(path)
    if name not in held:
        raise BadData(f"{path.name} has no variable {name!r}; it has {', '.join(k for k in held if k[0] != '_')}.")
    return cut(np.ravel(held[name]).astype(np.float64), fs, seconds=seconds, condition=condition or path.stem)


def cut(signal: Array, fs: float, *, seconds: float = 1.0, condition: str = "", load: int = 0) -> Signals:
    """Windows of one recording. They do not overlap: what overlaps would be found again in another group."""
    length = round(seconds * fs)
    count = len(signal) // length if length else 0
    if count == 0:
        raise BadData(f"The signal has {len(signal)} samples; expected at least one window of {length}.")
    windows = np.asarray(signal, dtype=np.float64)[: count * length].reshape(count, length)
    return Signals(windows, np.full(count, condition), np.full(count, load), float(fs))


def join(parts: Sequence[Signals]) -> Signals:
    """Several recordings as one set. Raises `BadData` where their windows differ."""
    if len({(part.windows.shape[1], part.fs) for part in parts}) != 1:
        raise BadData("The recordings differ in their sampling rate or the length of their windows; expected the same.")
    windows, condition, load = (np.concatenate(column) for column in zip(*(part[:3] for part in parts), strict=True))
    return Signals(windows, condition, load, parts[0].fs)
