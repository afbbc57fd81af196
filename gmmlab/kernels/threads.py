"""Threads of libraries that stand in each other's way."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


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
