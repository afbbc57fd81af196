"""EM on a GPU: seconds per iteration, peers on the same GPU, and the share of what its memory and arithmetic allow.

python benchmarks/gpu.py               prints the tables and writes benchmarks/gpu.md; without a GPU it says so
python benchmarks/gpu.py --tune        times the fused kernel with other tiles, and writes nothing
python benchmarks/gpu.py --rehearse    runs it on a CPU with few rows and the kernel interpreted; numbers mean nothing

scikit-learn, torchgmm and pomegranate stand beside us where they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import math
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
os.environ["SCIPY_ARRAY_API"] = "1"  # scikit-learn asks for it, before scipy is imported
REHEARSAL = "--rehearse" in sys.argv
if REHEARSAL:
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from gmmlab.families import Full, Gaussian  # noqa: E402
from gmmlab.fit import Ahead, run, whole  # noqa: E402
from gmmlab.fit.ahead import on_trust  # noqa: E402
from gmmlab.gates import Constant  # noqa: E402
from gmmlab.kernels import fused  # noqa: E402
from gmmlab.kernels.forms import Packed, Parameters, Products  # noqa: E402
from gmmlab.model import Mixture  # noqa: E402
from gmmlab.steps import MixtureStats, e_step  # noqa: E402

ITERATIONS = 3 if REHEARSAL else 15  # what a fit that looks after 1, 2, 4 and 8 steps asks for without a rest
PATIENCE = 40.0  # seconds that a peer may take in a cell
GENERATIONS = {7: "Volta or Turing", 8: "Ampere or Ada", 9: "Hopper", 10: "Blackwell", 12: "Blackwell"}


class Cell(NamedTuple):
    n: int
    d: int
    k: int

    def __str__(self) -> str:
        return f"{self.n:,} x {self.d}, k = {self.k}"

    @property
    def f(self) -> int:
        """Quadratic features of a row."""
        return 1 + self.d + self.d * (self.d + 1) // 2


CELLS = (
    Cell(10_000_000, 2, 5),
    Cell(10_000_000, 4, 10),
    Cell(10_000_000, 8, 10),
    Cell(2_000_000, 16, 20),
    Cell(1_000_000, 32, 20),
    Cell(200_000, 64, 10),
)
DTYPES = (torch.float64, torch.float32)


class Problem(NamedTuple):
    """Rows and the parameters to start from, on the device."""

    x: Tensor
    weights: Tensor
    means: Tensor
    covs: Tensor

    def model(self) -> Mixture:
        components = Gaussian.of(self.means, self.covs, Full(), origin=self.x.mean(0), ridge=1e-6)
        return Mixture(components, Constant.of(self.weights))


def problem(cell: Cell, dtype: torch.dtype, device: torch.device) -> Problem:
    """Overlapping clouds; numbers that float32 can hold, so that both dtypes have the same problem."""
    rng = torch.Generator(device).manual_seed(11)
    of: dict[str, Any] = {"generator": rng, "device": device}
    centres = 3 * torch.randn(cell.k, cell.d, **of) / cell.d**0.25
    z = torch.randint(cell.k, (cell.n,), **of)
    x = (centres[z] + torch.randn(cell.n, cell.d, **of)).to(dtype)
    means = x[torch.randint(cell.n, (cell.k,), **of)]
    covs = 2 * torch.eye(cell.d, dtype=dtype, device=device).expand(cell.k, -1, -1)
    return Problem(x, torch.full((cell.k,), 1 / cell.k, dtype=dtype, device=device), means, covs.contiguous())


# -- time ------------------------------------------------------------------------------------------------------------


def wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], object], device: torch.device, rounds: int = 7) -> float:
    """Median over rounds, after one that is not counted."""
    times = []
    for _ in range(2 if REHEARSAL else rounds + 1):
        wait(device)
        begin = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])


class Peaks(NamedTuple):
    """What the device did in this run: bytes a second of a large copy, operations a second of a large product."""

    bandwidth: float
    flops: dict[torch.dtype, float]

    def floor(self, cell: Cell, dtype: torch.dtype) -> float:
        """Seconds of an E-step that reads every row once and does the two products, and nothing else."""
        least = cell.n * cell.d * dtype.itemsize / self.bandwidth
        return max(least, 4 * cell.n * cell.k * cell.f / self.flops[dtype])


def peaks(device: torch.device, small: bool) -> Peaks:
    size, side = (1 << 22, 256) if small else (1 << 30, 8192)
    one, other = torch.rand(size // 4, device=device), torch.empty(size // 4, device=device)
    bandwidth = 2 * size / seconds(lambda: other.copy_(one), device)
    del one, other
    flops = {}
    for dtype in DTYPES:
        a = torch.rand(side, side, dtype=dtype, device=device)
        flops[dtype] = 2 * side**3 / seconds(lambda a=a: a @ a, device, rounds=3)
    return Peaks(bandwidth, flops)


# -- ours ------------------------------------------------------------------------------------------------------------


@contextmanager
def kernel(serves: bool) -> Iterator[None]:
    """The fused kernel always or never, whatever the rule says."""
    rule = fused.serves
    fused.serves = lambda *_: serves
    try:
        yield
    finally:
        fused.serves = rule


def fit(of: Problem, iterations: int = ITERATIONS) -> float:
    """Iterations as a fit on a GPU takes them; the last log-likelihood."""
    ahead = Ahead(whole(of.x))
    steps = run(of.model(), ahead.source, refit=ahead.refit, stop=lambda _: False)
    return list(islice(steps, iterations))[-1].info.evidence


def apart(one: MixtureStats, other: MixtureStats) -> float:
    """The largest relative difference of two E-steps, in sums and log-likelihood."""
    pairs = [(getattr(one.components, name), getattr(other.components, name)) for name in ("w", "s1", "s2")]
    pairs.append((one.evidence, other.evidence))
    return max(float((a - b).norm() / b.norm()) for a, b in pairs)


def waits(of: Problem) -> str:
    """Whether an iteration between two looks made the host wait for the GPU: torch watches."""
    if of.x.device.type == "cpu":
        return "no GPU"
    model = of.model()
    on_trust(model, e_step(model, of.x))
    torch.cuda.set_sync_debug_mode("error")
    try:
        _ = on_trust(model, e_step(model, of.x)).gaussian.doubtful
    except RuntimeError as error:
        return f"yes: {str(error).splitlines()[0]}"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "no"


# -- peers -----------------------------------------------------------------------------------------------------------


def sklearn(of: Problem, iterations: int) -> float:
    from sklearn import config_context
    from sklearn.mixture import GaussianMixture

    model = GaussianMixture(
        len(of.means),
        tol=0,
        max_iter=iterations,
        init_params="random_from_data",  # not asked, since all is given; the default is refused for tensors
        weights_init=of.weights,
        means_init=of.means,
        precisions_init=torch.linalg.inv(of.covs),
    )
    with config_context(array_api_dispatch=True):
        return float(model.fit(of.x).lower_bound_)


def torchgmm(of: Problem, iterations: int) -> float:
    """Takes means alone; its first covariances come from the rows, and it keeps its rows in the host's memory."""
    from torchgmm.bayes import GaussianMixture

    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger"), False)
    accelerator = "cpu" if of.x.device.type == "cpu" else "gpu"
    trainer = {"max_epochs": iterations, "accelerator": accelerator, "devices": 1, "precision": 8 * of.x.itemsize}
    model = GaussianMixture(
        len(of.means),
        covariance_type="full",
        init_means=of.means.cpu(),
        convergence_tolerance=0,
        trainer_params=trainer | quiet,
    )
    model.fit(of.x.cpu())
    return math.nan


def pomegranate(of: Problem, iterations: int) -> float:
    """Writes into the tensors that it is given."""
    from pomegranate.distributions import Normal
    from pomegranate.gmm import GeneralMixtureModel

    covs = zip(of.means, of.covs, strict=True)
    components = [Normal(mean.clone(), cov.clone(), covariance_type="full").to(of.x.device) for mean, cov in covs]
    model = GeneralMixtureModel(components, priors=of.weights.clone(), max_iter=iterations, tol=-math.inf)
    model.to(of.x.device).fit(of.x)
    return math.nan


PEERS: dict[str, Callable[[Problem, int], float]] = {
    "sklearn": sklearn,
    "torchgmm": torchgmm,
    "pomegranate": pomegranate,
}


class Peer(NamedTuple):
    """Seconds per iteration and the last log-likelihood (NaN where the start differs), or why there are none."""

    time: float = math.nan
    bound: float = math.nan
    why: str = ""


def peer(work: Callable[[Problem, int], float], of: Problem) -> Peer:
    """A thousandth of the rows goes first, to load what is loaded late and to see what the whole would cost."""
    if importlib.util.find_spec(work.__name__) is None:
        return Peer(why="not installed")
    device = of.x.device
    few = Problem(of.x[: max(100 * len(of.means), len(of.x) // 1000)], *of[1:])
    try:
        hundredth = Problem(of.x[: max(len(few.x), len(of.x) // 100)], *of[1:])
        small, more = (seconds(lambda part=part: work(part, 1), device, rounds=1) for part in (few, hundredth))
        guess = small + max(0.0, more - small) * ITERATIONS * len(of.x) / len(hundredth.x)
        if guess > PATIENCE:
            return Peer(why=f"left out: about {guess / ITERATIONS:.0f} s")
        bound = math.nan

        def whole_fit() -> None:
            nonlocal bound
            bound = work(of, ITERATIONS)

        return Peer(seconds(whole_fit, device, rounds=1) / ITERATIONS, bound)
    except Exception as error:  # noqa: BLE001 - a peer's troubles are told, not ours to mend
        return Peer(why=f"fails: {type(error).__name__}")
    finally:
        if device.type != "cpu":
            torch.cuda.empty_cache()


# -- tables ----------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """One cell at one dtype; times in seconds."""

    cell: Cell
    dtype: torch.dtype
    iteration: float
    by_torch: float
    by_kernel: float  # NaN where the kernel does not take these sizes
    taken: bool  # whether the rule picks the kernel
    apart: float
    floor: float
    waits: str
    bound: float
    peers: dict[str, Peer]

    @property
    def e_step(self) -> float:
        return self.by_kernel if self.taken else self.by_torch


def takes(of: Problem) -> bool:
    """Whether the kernel can be had at these sizes."""
    k, d = of.means.shape
    f = 1 + d + d * (d + 1) // 2
    return isinstance(of.model().components.form, Products) and fused._suits(k, f, of.x.itemsize)


def measure(cell: Cell, dtype: torch.dtype, device: torch.device, top: Peaks) -> Row:
    of = problem(cell, dtype, device)
    model = of.model()
    with kernel(False):
        plain, by_torch = e_step(model, of.x), seconds(lambda: e_step(model, of.x), device)
    by_kernel, difference = math.nan, math.nan
    if takes(of):
        with kernel(True):
            difference = apart(e_step(model, of.x), plain)
            by_kernel = seconds(lambda: e_step(model, of.x), device)
    taken = fused.serves(of.x, cell.k, cell.f)
    iteration = seconds(lambda: fit(of), device, rounds=3) / ITERATIONS
    peers = {name: peer(work, of) for name, work in PEERS.items()}
    floor = top.floor(cell, dtype)
    return Row(cell, dtype, iteration, by_torch, by_kernel, taken, difference, floor, waits(of), fit(of), peers)


def milliseconds(value: float) -> str:
    return "" if math.isnan(value) else f"{1e3 * value:.3g}"


def against(row: Row, name: str) -> str:
    """A peer's time over ours, and how far its log-likelihood is from ours."""
    it = row.peers[name]
    if it.why:
        return it.why
    equal = "" if math.isnan(it.bound) else f" ({abs(it.bound / row.bound - 1):.0e})"
    return f"{it.time / row.iteration:.1f}{equal}"


def table(rows: list[Row]) -> str:
    lines = [
        f"| n x d, k | dtype | iteration, ms | {' | '.join(f'{name} / ours' for name in PEERS)} | {E_STEP} |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|---|",
    ]
    for row in rows:
        cells = [
            str(row.cell),
            str(row.dtype).removeprefix("torch."),
            milliseconds(row.iteration),
            *(against(row, name) for name in PEERS),
            milliseconds(row.by_torch),
            milliseconds(row.by_kernel),
            "" if math.isnan(row.apart) else f"{row.apart:.0e}",
            "fused" if row.taken else "torch",
            milliseconds(row.floor),
            f"{row.floor / row.e_step:.0%}",
            row.waits,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def means(rows: list[Row]) -> str:
    """Geometric means of the ratios to scikit-learn, dtype by dtype, over the cells in which it ran."""
    said = []
    for dtype in DTYPES:
        ratios = [row.peers["sklearn"].time / row.iteration for row in rows if row.dtype == dtype]
        ran = [ratio for ratio in ratios if not math.isnan(ratio)]
        name = str(dtype).removeprefix("torch.")
        mean = f"{statistics.geometric_mean(ran):.1f} over {len(ran)} cells" if ran else "did not run"
        said.append(f"scikit-learn's time over ours in {name}, geometric mean: {mean}.")
    return "\n".join(said)


def machine(device: torch.device, top: Peaks) -> str:
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, Triton {version('triton')}"
    versions += f", scikit-learn {version('scikit-learn')}"
    rates = ", ".join(f"{1e-12 * rate:.1f} TFLOP/s in {str(d).removeprefix('torch.')}" for d, rate in top.flops.items())
    measured = f"A large copy moved {1e-12 * top.bandwidth:.2f} TB/s; large products ran at {rates}."
    if device.type == "cpu":
        return f"A rehearsal without a GPU: these numbers mean nothing. {versions}.\n{measured}"
    about = torch.cuda.get_device_properties(device)
    generation = GENERATIONS.get(about.major, f"compute capability {about.major}.{about.minor}")
    return f"One GPU ({generation}, {about.total_memory / 2**30:.0f} GiB); {versions}.\n{measured}"


def version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


E_STEP = "E-step, ms: torch | fused | apart | taken | floor, ms | share | waits"
NOTES = f"""\
An iteration is an E-step and a refit, {ITERATIONS} of them from one start with full covariances, as a fit takes them.
Ratios are a peer's time per iteration over ours; in brackets, how far its log-likelihood is from ours, relative.
(torchgmm starts from the means alone and takes its rows from the host; pomegranate keeps no log-likelihood.)
`apart` is the largest relative difference between the fused kernel and the torch calls. The floor is the larger of two
times: every row read once at the speed of the copy, and the two matrix products of n, k and 1 + d + d (d + 1) / 2
numbers at the speed of the large product; exponentials and the refit are not in it. `share` is the floor over the
E-step that the rule takes. `waits` says whether an iteration between two looks made the
host wait for the GPU.
"""


def tune(device: torch.device, cells: tuple[Cell, ...]) -> None:
    """Times of the fused kernel with other tiles."""
    print("| n x d, k | dtype | rows of a tile | warps | programs | E-step, ms |\n|---|---|--:|--:|--:|--:|")
    for cell, dtype in product(cells, DTYPES):
        of = problem(cell, dtype, device)
        if not takes(of):
            continue
        components, usual = of.model().components, fused.tile_for(cell.k, cell.f, dtype.itemsize)
        (natural,) = Packed().natural(Parameters.of(components.mean - components.origin, components.chol))
        pairs = Packed().pairs(cell.d, device)
        for rows, warps, times in product((16, 32, 64, 128), (4, 8), (1, 2, 4, 8)):
            tile, programs = usual._replace(rows=rows, warps=warps), times * fused._multiprocessors(device)
            try:
                taken = seconds(
                    lambda a=(of.x, components.origin, natural, pairs), t=tile, p=programs: fused.fused_e_step(
                        *a, tile=t, programs=p
                    ),
                    device,
                )
            except Exception as error:  # noqa: BLE001 - too large a tile is refused in many ways
                print(f"| {cell} | {dtype} | {rows} | {warps} | {programs} | {type(error).__name__} |")
                continue
            mark = " (as it is)" if (tile, times) == (usual, fused.PROGRAMS) else ""
            print(f"| {cell} | {dtype} | {rows} | {warps} | {programs} | {milliseconds(taken)}{mark} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tune", action="store_true", help="time other tiles")
    parser.add_argument("--rehearse", action="store_true", help="few rows on the CPU; writes nothing")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.rehearse:
        print("There is no GPU that torch can use here, so nothing was measured; --rehearse runs the script on a CPU.")
        return
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # peers talk
    device = torch.device("cpu" if options.rehearse else "cuda")
    cells = tuple(cell._replace(n=500) for cell in CELLS[::2]) if options.rehearse else CELLS
    if options.tune:
        tune(device, cells)
        return
    top = peaks(device, options.rehearse)
    rows = []
    for cell, dtype in product(cells, DTYPES):
        rows.append(measure(cell, dtype, device, top))
        print(table(rows[-1:]).splitlines()[-1], flush=True)
    head = f"# EM on a GPU\n\nMade by `python benchmarks/gpu.py`. {machine(device, top)}"
    text = "\n\n".join([head, table(rows), means(rows), NOTES])
    print(f"\n{text}")
    if not options.rehearse:
        (HERE / "gpu.md").write_text(text)


if __name__ == "__main__":
    main()
