"""Immutable values made of tensors: the type of every model, statistic and gate.

A subclass of `Record` is a frozen dataclass that torch's pytree functions see through. Its fields are of three
kinds, and the difference matters:

    plain         a tensor (or a record) with the component axis k first: summed, taken and joined along k
    shared()      a tensor that all components have in common, such as the origin of moments: never summed
    static(...)   not a tensor, such as a covariance structure: never touched

A plain field may be None in all values, such as the prior of components that have none.

Records compare by identity: `==` on tensors has no single truth value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, dataclass_transform

import torch
from torch import Tensor
from torch.utils import _pytree as pytree  # private in torch 2.13; this is the only file that imports it

R = TypeVar("R", bound="Record")  # not Self: beartype cannot check that method by method


def shared(**options: Any) -> Any:
    """Declare a field as a tensor that belongs to all components together; `default=None` may be given."""
    return dataclasses.field(metadata={"kind": "shared"}, **options)


def static(**options: Any) -> Any:
    """Declare a field that holds no tensor; `default=` may be given."""
    return dataclasses.field(metadata={"kind": "static"}, **options)


def is_plain(field: dataclasses.Field[Any]) -> bool:
    """Whether a field is summed, taken and joined along k."""
    return _kind(field) == "plain"


def _kind(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("kind", "plain"))


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(shared, static))
class Record:
    """Base of all tensor values: `class Moments(Record): w: Tensor; ...` is a frozen dataclass."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclasses.dataclass(frozen=True, eq=False)(cls)
        # The stock dataclass registration resets non-tensor fields to their defaults under vmap: carry them as context.
        pytree.register_pytree_node(cls, _flatten, partial(_unflatten, cls))

    def replace(self: R, **changes: Any) -> R:
        """The same value with some fields changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def map(self: R, function: Callable[[Tensor], Tensor]) -> R:
        """The same value with `function` applied to every tensor in it."""
        return pytree.tree_map_only(Tensor, function, self)

    def to(self: R, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> R:
        """The same value on another device, its floating tensors in another dtype."""
        return self.map(lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None))

    def take(self: R, index: Tensor) -> R:
        """The components `index`, in that order; shared and static fields are kept."""
        return _along_k(self.__class__, [self], lambda tensors: tensors[0][index])


def cat(values: Sequence[R]) -> R:
    """One record with the components of all `values`, whose shared and static fields must be the same."""
    return _along_k(values[0].__class__, values, lambda tensors: torch.cat(list(tensors)))


def _along_k(cls: type[R], values: Sequence[Record], join: Callable[[Sequence[Tensor]], Tensor]) -> R:
    def combine(field: dataclasses.Field[Any]) -> Any:
        parts = [getattr(value, field.name) for value in values]
        if not is_plain(field):
            _check_common(field, parts)
            return parts[0]
        if all(part is None for part in parts):
            return None
        return _along_k(type(parts[0]), parts, join) if isinstance(parts[0], Record) else join(parts)

    return cls(**{field.name: combine(field) for field in dataclasses.fields(cls)})  # type: ignore[arg-type]


def _check_common(field: dataclasses.Field[Any], parts: Sequence[Any]) -> None:
    """What components have in common must be the same in all parts: silently taking the first would change numbers."""
    for part in parts[1:]:
        same = torch.equal(part, parts[0]) if isinstance(part, Tensor) else part == parts[0]
        if not same:
            raise ValueError(
                f"The parts differ in {field.name!r}, which their components would share: bring them together."
            )


def _flatten(value: Any) -> tuple[list[Any], tuple[tuple[str, ...], tuple[tuple[str, Any], ...]]]:
    held = [(f.name, getattr(value, f.name), _kind(f)) for f in dataclasses.fields(value)]
    context = tuple((name, part) for name, part, kind in held if kind == "static" or part is None)
    leaves = [(name, part) for name, part, kind in held if kind != "static" and part is not None]
    return [part for _, part in leaves], (tuple(name for name, _ in leaves), context)


def _unflatten(cls: type[Any], leaves: Any, context: Any) -> Any:
    names, rest = context
    value = object.__new__(cls)  # leaves may be placeholders here: no checks of __init__
    for name, part in [*zip(names, leaves, strict=True), *rest]:
        object.__setattr__(value, name, part)
    return value
