"""Named tuples that compiled functions hand on by their address.

Numba takes a tuple apart at every call: one of thirteen arrays becomes ninety arguments, and most of the time of
compilation. A bundle is a named tuple in Python; compiled code sees the address of a structure that lives as long as
the call of the door, and reads its fields by name.
"""

import sys
from collections import namedtuple

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import NativeValue, models, register_model, typeof_impl, unbox

__all__ = ["bundle"]


class _Bundle:
    """The mark of a class that :func:`bundle` made."""

    __slots__ = ()


class _BundleType(types.Type):
    def __init__(self, kind, fields):
        self.kind, self.fields = kind, fields
        super().__init__(f"{kind.__name__}({', '.join(field.name for field in fields)})")


def bundle(name, fields):
    """A class as of ``collections.namedtuple``, of the module that calls."""
    module = sys._getframe(1).f_globals["__name__"]
    return type(name, (_Bundle, namedtuple(name, fields)), {"__slots__": (), "__module__": module})


@typeof_impl.register(_Bundle)
def _typeof(value, context):
    return _BundleType(type(value), tuple(typeof_impl(field, context) for field in value))


@register_model(_BundleType)
class _BundleModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.IntType(8).as_pointer())


@unbox(_BundleType)
def _unbox(kind, value, c):
    fields = [c.unbox(field, c.pyapi.tuple_getitem(value, i)) for i, field in enumerate(kind.fields)]
    structure = cgutils.alloca_once(c.builder, _structure(c.context, kind))
    failed = cgutils.false_bit
    for i, field in enumerate(fields):
        c.builder.store(field.value, cgutils.gep_inbounds(c.builder, structure, 0, i))
        failed = c.builder.or_(failed, field.is_error)
    return NativeValue(c.builder.bitcast(structure, cgutils.voidptr_t), is_error=failed)


@infer_getattr
class _Fields(AttributeTemplate):
    key = _BundleType

    def generic_resolve(self, kind, name):
        if name in kind.kind._fields:
            return kind.fields[kind.kind._fields.index(name)]


@lower_getattr_generic(_BundleType)
def _field(context, builder, kind, value, name):
    structure = builder.bitcast(value, _structure(context, kind).as_pointer())
    return builder.load(cgutils.gep_inbounds(builder, structure, 0, kind.kind._fields.index(name)))


def _structure(context, kind):
    return ir.LiteralStructType([context.get_value_type(field) for field in kind.fields])
