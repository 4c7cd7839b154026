"""A user's activation inside the machine: a Python function called at its address.

The address is a number at run time, so that the machine stays cached on disk; ctypes takes the GIL for the call.
"""

import ctypes

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ibtheory import _jit

_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


@intrinsic
def _call(typingctx, address, source, target, size):
    def codegen(context, builder, signature, arguments):
        integer = ir.IntType(64)
        function = ir.FunctionType(ir.VoidType(), [integer] * 3)
        builder.call(builder.inttoptr(arguments[0], function.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


@_jit.inner
def call(address, x, y):
    """Let the function at ``address`` map the flat array ``x`` to ``y`` of the same size."""
    _call(address, x.ctypes.data, y.ctypes.data, x.size)


class Callback:
    """The C side of an activation or of its derivative; keep it alive while its ``address`` is in use.

    An exception of the function is kept in ``failures`` and NaN is returned to the machine, which stops there.
    """

    def __init__(self, record, dtype, *, derivative=False):
        self.record, self.dtype, self.failures = record, np.dtype(dtype), []
        self.values = record.derivative if derivative else record.function
        self._function = _SIGNATURE(self._run)
        self.address = ctypes.cast(self._function, ctypes.c_void_p).value

    def _run(self, source, target, size):
        x, y = (self._array(pointer, size) for pointer in (source, target))
        try:
            with np.errstate(all="ignore"):
                values = np.asarray(self.values(x.copy()))
            if values.shape != x.shape:
                raise ValueError(f"it returned the shape {values.shape} for an input of shape {x.shape}")
            if not np.all(np.isfinite(values)):
                raise ValueError("it returned NaN or infinity for finite values")
            y[:] = values
        except Exception as error:
            self.failures.append(error)
            y[:] = np.nan

    def _array(self, pointer, size):
        buffer = (ctypes.c_char * (size * self.dtype.itemsize)).from_address(pointer)
        return np.frombuffer(buffer, self.dtype)
