"""Steps of hidden Markov models against hmmlearn and dynamax: 1,000 sequences of length 500, 8 states, 4 dimensions.

python benchmarks/hmm.py             prints the table and writes benchmarks/hmm.md
python benchmarks/hmm.py --quick     100 sequences, and no file

Everyone takes EM steps from the same start with Gaussian states of diagonal covariances (and full ones), in turn in one
run; what counts is the least time of a step. Log-likelihoods after the steps are compared before anything is timed.
hmmlearn is measured both ways it has, in logarithms (its default) and with scaling; dynamax is compiled beforehand, in
float32, which it computes in, and float64. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from timing import machine, minima, on_cores, verdict

HERE = Path(__file__).parent
B, T, S, D = 1000, 500, 8, 4
STEPS = 5
STRUCTURES = ("diag", "full")


class Problem:
    """Sequences, and where everyone begins."""

    def __init__(self, b: int) -> None:
        rng = np.random.default_rng(0)
        stay = 0.9 * np.eye(S) + 0.1 / S
        self.means = 2.0 * rng.normal(size=(S, D))
        states = np.empty((b, T), dtype=int)
        states[:, 0] = rng.integers(S, size=b)
        for t in range(1, T):
            jump = rng.random(b) < 0.1
            states[:, t] = np.where(jump, rng.integers(S, size=b), states[:, t - 1])
        self.x = self.means[states] + rng.normal(size=(b, T, D))
        self.start, self.moves = np.full(S, 1 / S), stay
        self.begin = self.means + 0.5 * rng.normal(size=(S, D))


def ours(problem: Problem, kind: str, dtype: str) -> Callable[[], float]:
    import torch

    from gmmlab.estimators.parameters import COVARIANCES
    from gmmlab.families import Gaussian
    from gmmlab.fit import sequences
    from gmmlab.gates import Markov
    from gmmlab.model import Mixture
    from gmmlab.steps import m_step

    x = torch.from_numpy(problem.x.reshape(-1, D)).to(getattr(torch, dtype))
    structure = COVARIANCES[kind].structure
    gaussian = Gaussian.of(
        torch.from_numpy(problem.begin), torch.eye(D).expand(S, D, D), structure, origin=x.mean(0), ridge=1e-6
    )
    begin = Mixture(gaussian, Markov.of(torch.from_numpy(problem.start), torch.from_numpy(problem.moves)))
    source = sequences(x, [T] * len(problem.x))

    def steps() -> float:
        model = begin
        for _ in range(STEPS):
            stats = source(model)
            model = m_step(model, stats)
        return float(stats.evidence)

    return steps


def hmmlearn(problem: Problem, kind: str, implementation: str) -> Callable[[], float]:
    from hmmlearn.hmm import GaussianHMM

    x, lengths = problem.x.reshape(-1, D), [T] * len(problem.x)

    def steps() -> float:
        model = GaussianHMM(S, kind, init_params="", n_iter=STEPS, tol=-np.inf, implementation=implementation)
        model.n_features, model.min_covar = D, 0.0
        model.covars_prior = model.covars_weight = 0.0
        model.startprob_, model.transmat_, model.means_ = problem.start, problem.moves, problem.begin
        model.covars_ = np.ones((S, D)) if kind == "diag" else np.tile(np.eye(D), (S, 1, 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x, lengths)
        return float(model.monitor_.history[-1])

    return steps


def dynamax(problem: Problem, kind: str, dtype: str) -> Callable[[], float]:
    import jax

    def within() -> float:
        with jax.enable_x64(dtype == "float64"):
            return steps()

    with jax.enable_x64(dtype == "float64"):
        steps = _dynamax(problem, kind, dtype)
    return within


def _dynamax(problem: Problem, kind: str, dtype: str) -> Callable[[], float]:
    import jax
    import jax.numpy as jnp
    from dynamax.hidden_markov_model import DiagonalGaussianHMM, GaussianHMM

    def cast(values: Any) -> Any:
        return jnp.asarray(np.asarray(values).astype(dtype))

    flat = {"transition_matrix_concentration": 1.0, "initial_probs_concentration": 1.0}
    flat |= {"emission_prior_concentration": 1e-12, "emission_prior_scale": 1e-12}
    if kind == "diag":
        model = DiagonalGaussianHMM(S, D, emission_prior_mean_concentration=1e-12, **flat)
        noise = {"emission_scale_diags": cast(np.ones((S, D)))}
    else:
        model = GaussianHMM(S, D, **flat)
        noise = {"emission_covariances": cast(np.tile(np.eye(D), (S, 1, 1)))}
    x = cast(problem.x)
    first, properties = model.initialize(
        jax.random.PRNGKey(0),
        initial_probs=cast(problem.start),
        transition_matrix=cast(problem.moves),
        emission_means=cast(problem.begin),
        **noise,
    )

    @jax.jit
    def step(parameters: Any, state: Any) -> Any:
        stats, logliks = jax.vmap(lambda rows: model.e_step(parameters, rows))(x)
        after, state = model.m_step(parameters, properties, stats, state)
        return after, state, logliks.sum()

    def steps() -> float:
        parameters, state = first, model.initialize_m_step_state(first, properties)
        for _ in range(STEPS):
            parameters, state, loglik = step(parameters, state)
        return float(jax.block_until_ready(loglik))

    return steps


def contestants(problem: Problem, kind: str) -> dict[str, Callable[[], float]]:
    found = {f"gmmlab, {dtype}": ours(problem, kind, dtype) for dtype in ("float64", "float32")}
    if find_spec("hmmlearn"):
        found |= {f"hmmlearn, {way}": hmmlearn(problem, kind, way) for way in ("log", "scaling")}
    if find_spec("dynamax"):
        found |= {f"dynamax, {dtype}": dynamax(problem, kind, dtype) for dtype in ("float64", "float32")}
    return found


def table(b: int, cores: int) -> list[str]:
    import torch

    torch.set_num_threads(cores)
    problem, lines, verdicts = Problem(b), [], []
    for kind in STRUCTURES:
        runs = contestants(problem, kind)
        ends = {name: run() for name, run in runs.items()}  # and everyone is warm
        end = ends["gmmlab, float64"]
        for name, value in ends.items():
            if abs(value / end - 1) > (1e-4 if name.endswith("float32") else 1e-7):
                print(f"{name} is at {value:.8g} after {STEPS} steps, gmmlab at {end:.8g}", file=sys.stderr)
        times = minima(runs, seconds=12.0, rounds=5)
        for name, seconds in times.items():
            rival = times["gmmlab, float32" if name.endswith("float32") else "gmmlab, float64"]
            lines.append(
                f"| {kind} | {cores} | {name} | {seconds / STEPS:.3f} | {seconds / rival:.1f} | {ends[name]:.2f} |"
            )
        own = times["gmmlab, float64"]
        if "hmmlearn, log" in times:
            best = min(times["hmmlearn, log"], times["hmmlearn, scaling"])
            verdicts.append(
                verdict(f"{kind}, hmmlearn (its default, log) over gmmlab", times["hmmlearn, log"] / own, 5)
            )
            verdicts.append(verdict(f"{kind}, hmmlearn (the faster of its two) over gmmlab", best / own, 5))
        if "dynamax, float64" in times:
            verdicts.append(verdict(f"{kind}, dynamax over gmmlab, float64", times["dynamax, float64"] / own, 1))
            single = times["dynamax, float32"] / times["gmmlab, float32"]
            verdicts.append(verdict(f"{kind}, dynamax over gmmlab, float32", single, 1))
    return [*lines, "", *verdicts]


def peers() -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("hmmlearn", "dynamax", "jax") if find_spec(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cores", type=int)
    options = parser.parse_args()
    b = 100 if options.quick else B
    if options.cores:
        print("\n".join(table(b, options.cores)))
        return
    before = machine()
    quick = ["--quick"] if options.quick else []
    rows = on_cores(1, [str(HERE / "hmm.py"), "--cores", "1", *quick])
    text = (
        f"# Hidden Markov models\n\nMade by `python benchmarks/hmm.py`: {b:,} sequences of length {T}, {S} states, {D} "
        "dimensions, one core. Seconds are those\nof one EM step, the least of five runs of "
        f"{STEPS} steps, taken in turn; ratios are to gmmlab in the same precision.\n{before} Peers: {peers()}.\n\n"
        "| covariances | cores | who | seconds a step | ratio | log-likelihood |\n|:--|--:|:--|--:|--:|--:|\n" + rows
    )
    print(text)
    if not options.quick:
        (HERE / "hmm.md").write_text(text)


if __name__ == "__main__":
    main()
