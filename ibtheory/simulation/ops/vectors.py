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


def _products(width):
    """Add the numbers of ``rows`` rows to ``sums`` and their products with another array to ``products``."""

    @intrinsic
    def add(typingctx, g, z, first, rows, stride, sums, products, column):
        def codegen(context, builder, signature, arguments):
            _, _, first, rows, stride, _, _, column = arguments
            g, z, sums, products = ((signature.args[i], arguments[i]) for i in (0, 1, 5, 6))
            b = _Builder(context, builder, width)
            element = context.get_value_type(g[0].dtype)
            zero = ir.Constant(ir.VectorType(element, width), [0.0] * width)
            total, product = (cgutils.alloca_once_value(builder, zero) for _ in range(2))
            with cgutils.for_range(builder, rows) as loop:
                place = builder.add(first, builder.mul(loop.index, stride))
                value = b.load(g, place)
                builder.store(builder.fadd(builder.load(total), value), total)
                builder.store(b.fma(value, b.load(z, place), builder.load(product)), product)
            for partial, array in ((total, sums), (product, products)):
                before, value = b.load(array, column), builder.load(partial)
                value = b.wide(value) if before.type != value.type else value
                b.store(builder.fadd(before, value), array, column)
            return context.get_dummy_value()

        return types.void(g, z, first, rows, stride, sums, products, column), codegen

    return add


def _projection(width):
    """g <- factor (g - mean - z along) for ``width`` columns of ``rows`` rows."""

    @intrinsic
    def project(typingctx, g, z, rows, stride, factor, mean, along, column):
        def codegen(context, builder, signature, arguments):
            _, _, rows, stride, _, _, _, column = arguments
            g, z, *columns = ((signature.args[i], arguments[i]) for i in (0, 1, 4, 5, 6))
            b = _Builder(context, builder, width)
            f, m, a = (b.load(array, column) for array in columns)
            with cgutils.for_range(builder, rows) as loop:
                place = builder.add(column, builder.mul(loop.index, stride))
                value = builder.fsub(b.load(g, place), b.fma(b.load(z, place), a, m))
                b.store(builder.fmul(f, value), g, place)
            return context.get_dummy_value()

        return types.void(g, z, rows, stride, factor, mean, along, column), codegen

    return project


def _sums(group):
    """Sums over ``group`` rows of ``size`` neighbors, side by side so that none waits for the other."""

    @intrinsic
    def sums(typingctx, x, first, size, centred, totals, squares, index):
        def codegen(context, builder, signature, arguments):
            x, totals, squares = ((signature.args[i], arguments[i]) for i in (0, 4, 5))
            _, first, size, centred, _, _, index = arguments
            rows = [_Row(context, builder, x, first, size, number, centred=centred) for number in range(group)]
            _sum_rows(builder, rows, size, (totals, squares), index)
            return context.get_dummy_value()

        return types.void(x, first, size, centred, totals, squares, index), codegen

    return sums


def _row_products(group):
    """Sums over ``group`` rows of ``size`` neighbors of the numbers, and of their products with another array."""

    @intrinsic
    def sums(typingctx, g, z, first, size, totals, products, index):
        def codegen(context, builder, signature, arguments):
            g, z, totals, products = ((signature.args[i], arguments[i]) for i in (0, 1, 4, 5))
            _, _, first, size, _, _, index = arguments
            rows = [_Row(context, builder, g, first, size, number, other=z) for number in range(group)]
            _sum_rows(builder, rows, size, (totals, products), index)
            return context.get_dummy_value()

        return types.void(g, z, first, size, totals, products, index), codegen

    return sums


def _sum_rows(builder, rows, size, outputs, index):
    """Let all rows take in their numbers, and store their two sums, float64, from ``index`` on."""
    eight, rest = builder.sdiv(size, _integer(8)), builder.srem(size, _integer(8))
    starts = {8: _integer(0), 4: builder.mul(eight, _integer(8))}
    starts[1] = builder.add(starts[4], builder.mul(builder.sdiv(rest, _integer(4)), _integer(4)))
    counts = {8: eight, 4: builder.sdiv(rest, _integer(4)), 1: builder.srem(rest, _integer(4))}
    for width, start in starts.items():
        with cgutils.for_range(builder, counts[width]) as loop:
            offset = builder.add(start, builder.mul(loop.index, _integer(width)))
            for row in rows:
                row.absorb(width, offset)
    for number, row in enumerate(rows):
        place = builder.add(index, _integer(number))
        for which, output in enumerate(outputs):
            row.store(which, output, place)


class _Row:
    """Accumulators of one row, in blocks of 8, 4 and 1: of differences from its pivot, and of their products.

    The pivot is the first number if ``centred``, else 0; the products are squares, or products with ``other``.
    """

    def __init__(self, context, builder, array, first, size, number, *, centred=None, other=None):
        self.builder, self.array, self.other = builder, array, other
        self.blocks = {width: _Builder(context, builder, width) for width in (8, 4, 1)}
        self.first = builder.add(first, builder.mul(size, _integer(number)))
        pivot = ir.Constant(context.get_value_type(array[0].dtype), 0.0)
        if centred is not None:
            number = builder.extract_element(self.blocks[1].load(array, self.first), ir.Constant(ir.IntType(32), 0))
            pivot = builder.select(centred, number, pivot)
        self.pivots = {width: block.spread(pivot) for width, block in self.blocks.items()}
        self.places = {
            width: [cgutils.alloca_once_value(builder, ir.Constant(p.type, [0.0] * width)) for _ in range(2)]
            for width, p in self.pivots.items()
        }

    def absorb(self, width, offset):
        block, builder = self.blocks[width], self.builder
        place = builder.add(self.first, offset)
        d = builder.fsub(block.load(self.array, place), self.pivots[width])
        factor = d if self.other is None else block.load(self.other, place)
        total, product = self.places[width]
        builder.store(builder.fadd(builder.load(total), d), total)
        builder.store(block.fma(d, factor, builder.load(product)), product)

    def store(self, which, array, place):
        """Store one of the two sums, in float64."""
        one = self.blocks[1]
        one.store(one.spread(one.wide_scalar(self.total(which))), array, place)

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
_products_16, _products_4, _products_1 = (_products(width) for width in (16, 4, 1))
_projection_16, _projection_4, _projection_1 = (_projection(width) for width in (16, 4, 1))
_sums_group, _sums_one = _sums(4), _sums(1)
_row_products_group, _row_products_one = _row_products(4), _row_products(1)


@_jit.inner
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


@_jit.inner
def row_products(g, z, size, totals, products):
    """Sums of ``g`` and of g z in rows of ``size`` neighbors, one per element of ``totals`` and ``products``."""
    row = np.int64(0)
    while row + 4 <= totals.size:
        _row_products_group(g, z, row * size, size, totals, products, row)
        row += 4
    while row < totals.size:
        _row_products_one(g, z, row * size, size, totals, products, row)
        row += 1


@_jit.inner
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


@_jit.inner
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


@_jit.inner
def add_columns(g, z, first, rows, columns, sums, products):
    """Add ``rows`` rows of ``g`` from ``first`` on to ``sums``, and their products with ``z`` to ``products``."""
    j = np.int64(0)
    while j + 16 <= columns:
        _products_16(g, z, first + j, rows, columns, sums, products, j)
        j += 16
    while j + 4 <= columns:
        _products_4(g, z, first + j, rows, columns, sums, products, j)
        j += 4
    while j < columns:
        _products_1(g, z, first + j, rows, columns, sums, products, j)
        j += 1


@_jit.inner
def project_columns(g, z, rows, columns, factor, mean, along):
    """g <- factor (g - mean - z along), column by column."""
    j = np.int64(0)
    while j + 16 <= columns:
        _projection_16(g, z, rows, columns, factor, mean, along, j)
        j += 16
    while j + 4 <= columns:
        _projection_4(g, z, rows, columns, factor, mean, along, j)
        j += 4
    while j < columns:
        _projection_1(g, z, rows, columns, factor, mean, along, j)
        j += 1
