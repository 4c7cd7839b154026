"""Passes down the columns of a few rows, written in vector instructions.

They touch several arrays at once. The loop vectorizer guards such loops by overlap tests, which cost more than the
pass itself on short rows, and gives up when there are many; here a block of columns stays in registers.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ibtheory import _jit

_BYTES = {ir.FloatType(): 4, ir.DoubleType(): 8}


class _Builder:
    """LLVM code on blocks of ``width`` neighboring numbers of flat arrays."""

    def __init__(self, context, builder, width):
        self.context, self.builder, self.width = context, builder, width

    def _place(self, array, index):
        kind, value = array
        element = self.context.get_value_type(kind.dtype)
        data = self.context.make_array(kind)(self.context, self.builder, value).data
        vector = ir.VectorType(element, self.width).as_pointer()
        return self.builder.bitcast(self.builder.gep(data, [index]), vector), _BYTES[element]

    def load(self, array, index):
        place, align = self._place(array, index)
        return self.builder.load(place, align=align)

    def store(self, value, array, index):
        place, align = self._place(array, index)
        self.builder.store(value, place, align=align)

    def fma(self, a, b, c):
        """a b + c with one rounding."""
        kind = a.type
        name = f"llvm.fma.v{self.width}f{8 * _BYTES[kind.element]}"
        function = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return self.builder.call(function, (a, b, c))

    def halves(self, vector):
        """Lower and upper half of the lanes."""
        half = vector.type.count // 2
        kind = ir.VectorType(ir.IntType(32), half)
        masks = (ir.Constant(kind, [start + lane for lane in range(half)]) for start in (0, half))
        return [self.builder.shuffle_vector(vector, vector, mask) for mask in masks]

    def sum(self, vector):
        """Sum of the lanes, by halves."""
        while vector.type.count > 1:
            vector = self.builder.fadd(*self.halves(vector))
        return self.builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    def wide(self, value):
        """In float64."""
        kind = ir.VectorType(ir.DoubleType(), self.width)
        return value if value.type == kind else self.builder.fpext(value, kind)

    def wide_scalar(self, value):
        return value if value.type == ir.DoubleType() else self.builder.fpext(value, ir.DoubleType())

    def spread(self, scalar):
        """A vector of copies of a scalar."""
        empty = ir.Constant(ir.VectorType(scalar.type, self.width), ir.Undefined)
        one = self.builder.insert_element(empty, scalar, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return self.builder.shuffle_vector(one, empty, zeros)


def _moments(width):
    """Merge ``width`` columns of ``rows`` rows into their running mean and centred squares (see ops.moments)."""

    @intrinsic
    def merge(typingctx, x, first, rows, stride, mean, squares, column, numbers):
        def codegen(context, builder, signature, arguments):
            _, first, rows, stride, _, _, column, _ = arguments
            x, mean, squares = ((signature.args[i], arguments[i]) for i in (0, 4, 5))
            inverse, weight, cross = (builder.extract_value(arguments[7], i) for i in range(3))
            b = _Builder(context, builder, width)
            pivot = b.load(x, first)
            zero = ir.Constant(pivot.type, [0.0] * width)
            total, square = (cgutils.alloca_once_value(builder, zero) for _ in range(2))
            one = ir.Constant(rows.type, 1)
            with cgutils.for_range(builder, builder.sub(rows, one)) as loop:
                row = builder.mul(builder.add(loop.index, one), stride)
                d = builder.fsub(b.load(x, builder.add(first, row)), pivot)
                builder.store(builder.fadd(builder.load(total), d), total)
                builder.store(b.fma(d, d, builder.load(square)), square)
            s, q = b.wide(builder.load(total)), b.wide(builder.load(square))
            shift = builder.fmul(s, b.spread(inverse))
            inner = builder.fsub(q, builder.fmul(s, shift))
            none = ir.Constant(inner.type, [0.0] * width)
            inner = builder.select(builder.fcmp_ordered("<", inner, none), none, inner)
            before = b.load(mean, column)
            delta = builder.fsub(builder.fadd(b.wide(pivot), shift), before)
            b.store(b.fma(delta, b.spread(weight), before), mean, column)
            between = b.fma(builder.fmul(delta, delta), b.spread(cross), inner)
            b.store(builder.fadd(b.load(squares, column), between), squares, column)
            return context.get_dummy_value()

        return types.void(x, first, rows, stride, mean, squares, column, numbers), codegen

    return merge


def _affine(width):
    """x <- (x + offset) * factor + shift for ``width`` columns of ``rows`` rows."""

    @intrinsic
    def apply(typingctx, x, first, rows, stride, offset, factor, column, shift):
        def codegen(context, builder, signature, arguments):
            _, first, rows, stride, _, _, column, shift = arguments
            x, offset, factor = ((signature.args[i], arguments[i]) for i in (0, 4, 5))
            b = _Builder(context, builder, width)
            o, f, s = b.load(offset, column), b.load(factor, column), b.spread(shift)
            with cgutils.for_range(builder, rows) as loop:
                place = builder.add(first, builder.mul(loop.index, stride))
                b.store(b.fma(builder.fadd(b.load(x, place), o), f, s), x, place)
            return context.get_dummy_value()

        return types.void(x, first, rows, stride, offset, factor, column, shift), codegen

    return apply


def _sums(group):
    """Sums over ``group`` rows of ``size`` neighbors, side by side so that none waits for the other."""

    @intrinsic
    def sums(typingctx, x, first, size, centred, totals, squares, index):
        def codegen(context, builder, signature, arguments):
            array = signature.args[0], arguments[0]
            _, first, size, centred, _, _, index = arguments
            blocks = {width: _Builder(context, builder, width) for width in (8, 4, 1)}
            rows = [_Row(builder, blocks, array, first, size, centred, number) for number in range(group)]
            eight, rest = builder.sdiv(size, _integer(8)), builder.srem(size, _integer(8))
            starts = {8: _integer(0), 4: builder.mul(eight, _integer(8))}
            starts[1] = builder.add(starts[4], builder.mul(builder.sdiv(rest, _integer(4)), _integer(4)))
            counts = {8: eight, 4: builder.sdiv(rest, _integer(4)), 1: builder.srem(rest, _integer(4))}
            for width in blocks:
                with cgutils.for_range(builder, counts[width]) as loop:
                    offset = builder.add(starts[width], builder.mul(loop.index, _integer(width)))
                    for row in rows:
                        row.absorb(width, offset)
            for number, row in enumerate(rows):
                place = builder.add(index, _integer(number))
                for which, argument in enumerate((4, 5)):
                    vector = blocks[1].spread(blocks[1].wide_scalar(row.total(which)))
                    blocks[1].store(vector, (signature.args[argument], arguments[argument]), place)
            return context.get_dummy_value()

        return types.void(x, first, size, centred, totals, squares, index), codegen

    return sums


class _Row:
    """Accumulators of one row: (sum, sum of squares) of differences from its pivot, in blocks of 8, 4 and 1."""

    def __init__(self, builder, blocks, array, first, size, centred, number):
        self.builder, self.blocks, self.array = builder, blocks, array
        self.first = builder.add(first, builder.mul(size, _integer(number)))
        pivot = builder.extract_element(blocks[1].load(array, self.first), ir.Constant(ir.IntType(32), 0))
        pivot = builder.select(centred, pivot, ir.Constant(pivot.type, 0.0))
        self.pivots = {width: block.spread(pivot) for width, block in blocks.items()}
        self.places = {
            width: [cgutils.alloca_once_value(builder, ir.Constant(p.type, [0.0] * width)) for _ in range(2)]
            for width, p in self.pivots.items()
        }

    def absorb(self, width, offset):
        block, builder = self.blocks[width], self.builder
        d = builder.fsub(block.load(self.array, builder.add(self.first, offset)), self.pivots[width])
        total, square = self.places[width]
        builder.store(builder.fadd(builder.load(total), d), total)
        builder.store(block.fma(d, d, builder.load(square)), square)

    def total(self, which):
        """Sum of all lanes, in a fixed tree."""
        eight, four, one = (self.builder.load(self.places[width][which]) for width in (8, 4, 1))
        halves = self.builder.fadd(*self.blocks[8].halves(eight))
        four = self.builder.fadd(halves, four)
        return self.builder.fadd(
            self.blocks[4].sum(four), self.builder.extract_element(one, ir.Constant(ir.IntType(32), 0))
        )


def _integer(number):
    return ir.Constant(ir.IntType(64), number)


_moments_16, _moments_4, _moments_1 = (_moments(width) for width in (16, 4, 1))
_affine_16, _affine_4, _affine_1 = (_affine(width) for width in (16, 4, 1))
_sums_group, _sums_one = _sums(4), _sums(1)


@_jit.inner()
def row_sums(x, size, centred, totals, squares):
    """Sums of rows of ``size`` neighbors, one per element of ``totals`` and ``squares`` (float64).

    Of the differences from the first number of the row (``centred``) or of the numbers, and of their squares.
    """
    row = np.int64(0)
    while row + 4 <= totals.size:
        _sums_group(x, row * size, size, centred, totals, squares, row)
        row += 4
    while row < totals.size:
        _sums_one(x, row * size, size, centred, totals, squares, row)
        row += 1


@_jit.inner()
def merge_moments(x, rows, columns, mean, squares, before):
    """Add ``rows`` rows of the flat array ``x`` to mean and centred squares (float64) of ``before`` earlier rows."""
    numbers = (1.0 / rows, rows / (before + rows), before * rows / (before + rows))
    j = np.int64(0)
    while j + 16 <= columns:
        _moments_16(x, j, rows, columns, mean, squares, j, numbers)
        j += 16
    while j + 4 <= columns:
        _moments_4(x, j, rows, columns, mean, squares, j, numbers)
        j += 4
    while j < columns:
        _moments_1(x, j, rows, columns, mean, squares, j, numbers)
        j += 1


@_jit.inner()
def affine_columns(x, first, rows, columns, offset, factor, shift):
    """x <- (x + offset) * factor + shift, column by column, in ``rows`` rows of the flat array from ``first`` on."""
    j = np.int64(0)
    while j + 16 <= columns:
        _affine_16(x, first + j, rows, columns, offset, factor, j, shift)
        j += 16
    while j + 4 <= columns:
        _affine_4(x, first + j, rows, columns, offset, factor, j, shift)
        j += 4
    while j < columns:
        _affine_1(x, first + j, rows, columns, offset, factor, j, shift)
        j += 1
