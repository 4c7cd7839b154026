"""The matrix product: BLAS at its address, on pieces of flat arrays.

``np.dot`` in compiled code is the same routine behind a second of compilation and checks of shapes; here rows may
also be longer than what is used of them.
"""

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  must be loaded for its addresses
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import get_cython_function_address, intrinsic

from ibtheory import _jit


def gemm_address(dtype):
    """Address of ?gemm of the BLAS that SciPy brings."""
    name = {"float32": "sgemm", "float64": "dgemm"}[np.dtype(dtype).name]
    return get_cython_function_address("scipy.linalg.cython_blas", name)


@intrinsic
def _gemm(typingctx, address, first, second, sizes, strides, a, b, c):
    """Fortran's c = op(a) op(b) of column-major arrays, ``first`` and ``second`` saying which are transposed.

    Sizes (m, n, k), strides (a, b, c), arrays by their address.
    """
    element = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}[a.dtype]

    def codegen(context, builder, signature, arguments):
        address, first, second, sizes, strides, *arrays = arguments
        integer, letter = ir.IntType(32), ir.IntType(8)

        def by_reference(value):
            return cgutils.alloca_once_value(builder, value)

        def integers(values):
            parts = cgutils.unpack_tuple(builder, values, 3)
            return [by_reference(builder.trunc(part, integer)) for part in parts]

        def data(number):
            kind = signature.args[5 + number]
            return context.make_array(kind)(context, builder, arrays[number]).data

        no, yes = ir.Constant(letter, ord("N")), ir.Constant(letter, ord("T"))
        first, second = (by_reference(builder.select(transposed, yes, no)) for transposed in (first, second))
        m, n, k = integers(sizes)
        lda, ldb, ldc = integers(strides)
        one, zero = by_reference(ir.Constant(element, 1.0)), by_reference(ir.Constant(element, 0.0))
        passed = [first, second, m, n, k, one, data(0), lda, data(1), ldb, zero, data(2), ldc]
        function = ir.FunctionType(ir.VoidType(), [value.type for value in passed])
        builder.call(builder.inttoptr(address, function.as_pointer()), passed)
        return context.get_dummy_value()

    return types.void(address, first, second, sizes, strides, a, b, c), codegen


@_jit.inner
def multiply(address, x, stride, used, weights, transposed, y, samples, units):
    """y (samples, units) = x[:, :used] (rows of ``stride`` numbers) times weights, all flat and in C order.

    ``weights`` are (used, units), or (units, used) if ``transposed``.
    """
    # In C order y = x w; Fortran reads the same memory as y' = w' x'.
    weight_stride = used if transposed else units
    sizes, strides = (units, samples, used), (weight_stride, stride, units)
    _gemm(address, transposed, False, sizes, strides, weights, x, y)


@_jit.inner
def multiply_back(address, gradient, weights, transposed, target, samples, units, fan_in):
    """target (samples, fan_in) = gradient (samples, units) times the transposed weights, in the terms of multiply."""
    sizes, strides = (fan_in, samples, units), (fan_in if transposed else units, units, fan_in)
    _gemm(address, not transposed, False, sizes, strides, weights, gradient, target)


@_jit.inner
def gram(address, x, target, samples, columns):
    """target (samples, samples) = x x^T of ``x`` (samples, columns)."""
    _gemm(address, True, False, (samples, samples, columns), (columns, columns, samples), x, x, target)


@_jit.inner
def weight_gradient(address, x, gradient, transposed, target, samples, units, fan_in):
    """target = x^T (fan_in, samples) times gradient (samples, units), transposed as the weights are."""
    if transposed:
        _gemm(address, False, True, (fan_in, units, samples), (fan_in, units, fan_in), x, gradient, target)
    else:
        _gemm(address, False, True, (units, fan_in, samples), (units, fan_in, units), gradient, x, target)
