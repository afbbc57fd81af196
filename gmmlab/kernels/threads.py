"""How many threads a computation is worth, and those of libraries that stand in each other's way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import torch

FEW = 1 << 18  # rows times columns times components: a step of a millisecond or two


@contextmanager
def worth(work: float | int) -> Iterator[None]:
    """One thread of torch for a fit with steps of little `work`, rows times columns times components.

    A call on more than some ten thousand numbers opens a parallel region, at whose end GNU's OpenMP spins: where others
    want the cores, it lasts many times as long as what it computes, and where nobody does, more threads save little.
    Sums are then the same to the last bit however many threads there are. Other threads of Python keep theirs.
    """
    threads = torch.get_num_threads()
    if work > FEW or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def one_blas_thread() -> AbstractContextManager[Any]:
    """Within this block numpy's and scipy's linear algebra runs on one thread.

    Where small calls of theirs and of torch's alternate, the threads of each spin while those of the other work: with
    two cores such loops were seen to take a hundred times as long.
    """
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> Any:
    """To look for the libraries takes as long as many calls."""
    import scipy.linalg  # noqa: F401 - whose library is to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
