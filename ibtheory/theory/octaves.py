"""Gaps of smooth functions at many variances and correlations, from a table per octave of the variance.

gap/(q (1 - c)) is an analytic function of log q and of the angle acos c; over an octave of q and the angles up to a
little more than pi/2 a few Chebyshev polynomials give it to 1e-10. Each table is checked where it was not made, and not
used where it falls short.
"""

import numpy as np
from numpy.polynomial import chebyshev

ENOUGH = 4  # settings in an octave from which a table pays
_SCALES, _ANGLES, _CHECKED = 8, 28, 8
_WIDEST = 1.65  # angle
_HIGHEST = 5  # octave from which on the angles no longer resolve the function
_TOLERANCE = 1e-10
_KEPT = 256  # tables
_tables = {}


def gap(key, exact, q, om):
    """exact(q, om), the gap of one function, hashable ``key``, at variances q (n,) of one octave and om = 1 - c > 0."""
    level = int(np.floor(np.log2(q[0])))
    if q.size < ENOUGH or level >= _HIGHEST or om.max() > 2 * np.sin(_WIDEST / 2) ** 2:
        return exact(q, om)
    if (key, level) not in _tables:
        if len(_tables) >= _KEPT:
            _tables.clear()
        _tables[key, level] = _table(exact, level)
    table = _tables[key, level]
    return exact(q, om) if table is None else q * om * _evaluate(table, level, q, om)


def _table(exact, level):
    """Coefficients (scales, angles) of gap/(q (1 - c)), or None."""
    x, y = (chebyshev.chebpts1(count) for count in (_SCALES, _ANGLES))
    values = np.stack([_ratio(exact, _scale(level, x), om) for om in _gap(y)], axis=1)  # one angle, one grid of nodes
    left, right = (np.linalg.inv(chebyshev.chebvander(z, z.size - 1)) for z in (x, y))
    table = left @ values @ right.T
    place = np.random.default_rng(0).uniform(-1, 1, (2, _CHECKED))
    q, om = _scale(level, place[0]), _gap(place[1])
    true = _ratio(exact, q, om)
    good = np.all(np.abs(_evaluate(table, level, q, om) - true) <= _TOLERANCE * np.abs(true).max())
    return table if good else None


def _scale(level, x):
    return np.exp2(level + (x + 1) / 2)


def _gap(y):
    """1 - c at the angle _WIDEST (y + 1)/2."""
    return 2 * np.sin(_WIDEST * (y + 1) / 4) ** 2


def _ratio(exact, q, om):
    om = np.broadcast_to(om, q.shape)
    return exact(q, om) / (q * om)


def _evaluate(table, level, q, om):
    x, y = 2 * (np.log2(q) - level) - 1, 4 / _WIDEST * np.arcsin(np.sqrt(om / 2)) - 1
    scales, angles = chebyshev.chebvander(x, _SCALES - 1), chebyshev.chebvander(y, _ANGLES - 1)
    return np.einsum("na,ab,nb->n", scales, table, angles, optimize=True)
