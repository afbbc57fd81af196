"""What `verbose=` prints, in scikit-learn's words."""

from __future__ import annotations

from time import perf_counter

from gmmlab.fit import Step


class Reporter:
    """Prints starts, every `interval`-th step, and ends; silent at level 0."""

    def __init__(self, level: int, interval: int) -> None:
        self.level = level
        self.interval = interval
        self._began = self._lapped = perf_counter()

    def start(self, i: int) -> None:
        """A start begins."""
        self._began = self._lapped = perf_counter()
        if self.level >= 1:
            print(f"Initialization {i}")

    def step(self, step: Step) -> None:
        """A step is done."""
        if self.level < 1 or step.i % self.interval:
            return
        now = perf_counter()
        details = f"\t time lapse {now - self._lapped:.5f}s\t ll change {step.info.gain:.5f}" if self.level >= 2 else ""
        self._lapped = now
        print(f"  Iteration {step.i}{details}")

    def end(self, bound: float, converged: bool) -> None:
        """A start has ended."""
        if self.level < 1:
            return
        word = "converged" if converged else "did not converge"
        details = (
            f" time lapse {perf_counter() - self._began:.5f}s\t lower bound {bound:.5f}." if self.level >= 2 else ""
        )
        print(f"Initialization {word}.{details}")
