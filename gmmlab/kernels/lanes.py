"""One number of each of sixteen sequences, as one value of compiled code. Importing this file imports numba.

Loops over so few numbers, with what they add to kept in memory, cost more than their arithmetic. These values lie in a
core's registers, as many as one takes: two of AVX-512 for sixteen float64, one for float32.
"""

from __future__ import annotations

from typing import no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = 16
_FAST = ("contract", "reassoc", "nsz")


class Lanes(types.Type):
    """The type of such a value, of float64 or float32."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(f"Lanes({dtype})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: object, kind: Lanes) -> None:
        number = ir.FloatType() if kind.dtype == types.float32 else ir.DoubleType()
        super().__init__(manager, kind, ir.VectorType(number, LANES))


@no_type_check
def _place(context, builder, kind, array, at):
    """Where the lanes lie that begin at an index, and how they are aligned: as single numbers are."""
    data = cgutils.create_struct_proxy(kind)(context, builder, value=array).data
    lanes = context.get_value_type(Lanes(kind.dtype)).as_pointer()
    return builder.bitcast(builder.gep(data, [at]), lanes), kind.dtype.bitwidth // 8


@no_type_check
def _spread(builder, number, lanes):
    undefined = ir.Constant(lanes, ir.Undefined)
    one = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), None))


@intrinsic
@no_type_check
def load(typing, array, at):
    """The numbers of a flat array from an index on."""

    def build(context, builder, signature, given):
        place, align = _place(context, builder, signature.args[0], *given)
        return builder.load(place, align=align)

    return Lanes(array.dtype)(array, types.uint64), build


@intrinsic
@no_type_check
def store(typing, array, at, value):
    """Put them there."""

    def build(context, builder, signature, given):
        place, align = _place(context, builder, signature.args[0], *given[:2])
        builder.store(given[2], place, align=align)
        return context.get_dummy_value()

    return types.void(array, types.uint64, value), build


@intrinsic
@no_type_check
def spread(typing, number):
    """The same number for all."""

    def build(context, builder, signature, given):
        return _spread(builder, given[0], context.get_value_type(signature.return_type))

    return Lanes(number)(number), build


@intrinsic
@no_type_check
def onto(typing, total, number, value):
    """total + number * value."""

    def build(context, builder, _, given):
        scaled = builder.fmul(_spread(builder, given[1], given[2].type), given[2], flags=_FAST)
        return builder.fadd(given[0], scaled, flags=_FAST)

    return total(total, number, value), build


@no_type_check
def _of_two(name):
    @intrinsic
    @no_type_check
    def operate(typing, left, right):
        return left(left, right), lambda context, builder, _, given: getattr(builder, name)(*given, flags=_FAST)

    return operate


add, times, over = (_of_two(name) for name in ("fadd", "fmul", "fdiv"))
