"""Compiled loops of the law of one fraction given the means of its rivals."""

import math

from ibtheory import _jit

_TINY = 1e-290  # f below it is not resolved


@_jit.door
def log_products(gaps, counts, table, step, result):
    """result[i, k] = sum_j counts[j] log Phi(t_k + gaps[i, j]), the t_k being ``step`` apart.

    table : (phases, terms, k) array
        Taylor coefficients of log Phi about t_k + phase step/phases; beyond its end log Phi is 0 to rounding.
    """
    phases, size = table.shape[0], table.shape[2]
    for i in range(gaps.shape[0]):
        for k in range(size):
            result[i, k] = 0.0
        for j in range(gaps.shape[1]):
            gap = gaps[i, j]
            if not gap < step * size:
                continue
            cell = int(gap / step * phases + 0.5)
            x = gap - cell * step / phases
            shift, phase = cell // phases, cell % phases
            for k in range(size - shift):
                n = k + shift
                value = table[phase, 4, n] + x * table[phase, 5, n]
                value = table[phase, 2, n] + x * (table[phase, 3, n] + x * value)
                value = table[phase, 0, n] + x * (table[phase, 1, n] + x * value)
                result[i, k] += counts[j] * value


@_jit.door
def invert(nodes, below, values, targets, work, result):
    """result[i, m] = a with log f(a)/(1 - f(a)) = targets[m], the targets increasing.

    values[:, i, k] are f and its two derivatives at nodes[k] for k < below, those of 1 - f from there on. The inverse
    is the quintic with the right value, slope and curvature at both ends of its interval; beyond the nodes, a line.
    ``work`` (3, nodes) is overwritten.
    """
    last = nodes.shape[0] - 1
    for i in range(values.shape[1]):
        for k in range(last + 1):
            sign = 1.0 if k < below else -1.0
            value = max(values[0, i, k], _TINY)
            spread = value * (1 - value)
            slope = sign * values[1, i, k] / spread
            bend = sign * values[2, i, k] / spread - sign * (1 - 2 * value) * slope * slope
            work[0, k] = sign * (math.log(value) - math.log1p(-value))
            slope = max(slope, _TINY)
            work[1, k] = 1 / slope
            work[2, k] = -bend / (slope * slope * slope)
        k = 0
        for m in range(targets.shape[0]):
            y = targets[m]
            while k < last - 1 and work[0, k + 1] < y:
                k += 1
            if y <= work[0, 0]:
                result[i, m] = nodes[0] + work[1, 0] * (y - work[0, 0])
            elif y >= work[0, last]:
                result[i, m] = nodes[last] + work[1, last] * (y - work[0, last])
            else:
                width = work[0, k + 1] - work[0, k]
                x = (y - work[0, k]) / width
                a, b = width * work[1, k], width * work[1, k + 1]
                c, d = width * width * work[2, k], width * width * work[2, k + 1]
                rise = nodes[k + 1] - nodes[k]
                third = 10 * rise - 6 * a - 4 * b - 1.5 * c + 0.5 * d
                fourth = -15 * rise + 8 * a + 7 * b + 1.5 * c - d
                fifth = 6 * rise - 3 * a - 3 * b - 0.5 * c + 0.5 * d
                result[i, m] = nodes[k] + x * (a + x * (0.5 * c + x * (third + x * (fourth + x * fifth))))
