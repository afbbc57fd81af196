"""What an estimator remembers that is no attribute of it: its model as a value, and where its starts ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch

from gmmlab.axes import Tensor
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.fitting import Fit
from gmmlab.model import Mixture

MOST_BYTES = 1 << 28  # of models that are kept where starts ended
_OF_ALL = ("weights_", "noise_box_")


class MadeOf(NamedTuple):
    """The attributes that a fitted model is made of, and the parameters that it depends on."""

    values: dict[str, Tensor]
    settings: tuple[Any, ...]

    @classmethod
    def of(cls, estimator: Any) -> MadeOf:
        """Those of a fitted estimator."""
        names = [name for name in (*_OF_ALL, *estimator._made_of) if hasattr(estimator, name)]
        return cls({name: sk.as_tensor(getattr(estimator, name)) for name in names}, estimator._settings())

    def same(self, other: MadeOf) -> bool:
        """Whether all values are equal, and of the same type."""
        if self.settings != other.settings or self.values.keys() != other.values.keys():
            return False
        pairs = [(a, other.values[name]) for name, a in self.values.items()]
        return all(a.dtype == b.dtype and a.device == b.device and torch.equal(a, b) for a, b in pairs)

    def copy(self) -> MadeOf:
        """The same values in memory of their own."""
        return self._replace(values={name: value.clone() for name, value in self.values.items()})


# Not an attribute: a fitted estimator does not change when it predicts, and its pickle holds each number once.
_KEPT: WeakKeyDictionary[Any, tuple[MadeOf, Mixture]] = WeakKeyDictionary()
_ENDS: WeakKeyDictionary[Any, list[Fit]] = WeakKeyDictionary()


def mixture_of(estimator: Any) -> Mixture:
    """The model of a fitted estimator: to predict one row must not cost a factorisation.

    It is kept until an attribute changes, in place or not.
    """
    made_of = MadeOf.of(estimator)
    kept = _KEPT.get(estimator)
    if kept is None or not made_of.same(kept[0]):
        kept = _KEPT[estimator] = made_of.copy(), estimator._model(made_of.values)
    return kept[1]


def keep_ends(estimator: Any, fits: Sequence[Fit]) -> None:
    """Where the starts of the last fit ended; for as long as the estimator lives, and in no file.

    Of models so large that they would take more than MOST_BYTES, only the best.
    """
    best_first = sorted(fits, key=lambda fit: -fit.bound)
    if len(best_first) > 1:
        best_first = best_first[: max(1, MOST_BYTES // max(1, _bytes(best_first[0].model)))]
    _ENDS[estimator] = best_first


def ends_of(estimator: Any) -> list[Fit]:
    """Where the starts of the last fit ended, best first. Raises `AttributeError` if that is not known."""
    if estimator not in _ENDS:
        raise AttributeError(
            f"This {type(estimator).__name__} does not know where its starts ended: they are kept after fit(), not in "
            "files and copies. Fit again."
        )
    return _ENDS[estimator]


def _bytes(model: Mixture) -> int:
    sizes: list[int] = []

    def weigh(tensor: Tensor) -> Tensor:
        sizes.append(tensor.nbytes)
        return tensor

    model.map(weigh)
    return sum(sizes)
