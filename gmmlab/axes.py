"""Array types with named axes, checked in the test run and free of cost elsewhere.

The letters are the axis names used everywhere in gmmlab: n rows, k components, d features, f quadratic
features. Annotations such as `Float[Tensor, "n d"]` are enforced when the tests install jaxtyping's import
hook; a user's process never imports jaxtyping, for which the stand-in below is enough.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Float, Int
else:

    class _Unchecked:
        """`Float[Tensor, "n d"]` without jaxtyping: the array type alone."""

        def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
            return item[0]

    Bool = Float = Int = _Unchecked

__all__ = ["Bool", "Float", "Int", "Tensor"]
