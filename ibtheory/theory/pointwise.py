"""Moments of a chain of pointwise functions of a Gaussian: activations, norms over features, activations again."""

import numpy as np

from ibtheory import _quadrature, gaussian
from ibtheory.theory import tabulated
from ibtheory.theory.state import Affine, apply_chain, correlation

_COMPILED = 16  # samples from which on a compiled map pays
_ROOTS = 6  # solutions of inner(x) = kink that are kept, per kink of an outer function


def moments(field):
    """(mean, cov, gap) over groups of a chain that begins with an activation, on a GaussianField."""
    same, cross = np.diagonal(field.cov) + np.diagonal(field.gap), field.cov
    slopes = getattr(field.chain[0], "slopes", None) if len(field.chain) == 1 else None
    if slopes is not None and len(same) >= _COMPILED:
        from ibtheory.theory import piecewise  # loads the compiler

        return gaussian.mean(field.chain[0], same), *piecewise.moments(slopes, cross, field.gap, same)
    c, om = correlation(same, cross, field.gap)
    if len(field.chain) == 1:
        return gaussian.mean(field.chain[0], same), *_record_moments(field.chain[0], same, c, om)
    alone = np.arange(len(same))
    mean = _quadrature.expectation(integrand(field, alone, same), same)
    upper = np.triu_indices(len(same))
    f, g = (integrand(field, groups, same) for groups in upper)
    pairs = same[upper[0]], same[upper[1]], c[upper], om[upper]
    cov = _quadrature.centred(f, g, *pairs)
    gap = _quadrature.gap(f, g, *pairs)
    return mean, symmetric(cov, upper), symmetric(gap, upper)


def _record_moments(phi, same, c, om):
    """(cov, gap) of one activation: closed form, table, or quadrature pair by pair."""
    if (phi.closed is None or phi.closed.costly) and tabulated.pays(same):
        found = tabulated.moments(phi, same, c, om)
        if found is not None:
            return found
    upper = np.triu_indices(len(same))
    q1, q2 = same[upper[0]], same[upper[1]]
    cov = gaussian.centred(phi, q1, q2, c=c[upper])
    gap = gaussian.gap(phi, q1, q2, one_minus_c=om[upper])
    return symmetric(cov, upper), symmetric(gap, upper)


def symmetric(values, upper):
    """The symmetric matrix whose upper triangle, at the indices ``upper``, holds ``values``."""
    size = upper[0].max() + 1
    full = np.empty((size, size))
    full[upper] = values
    full[upper[::-1]] = values
    return full


def integrand(field, groups, same, derivative=False):
    """The chain (or its derivative) at each of ``groups`` as an integrand for :mod:`ibtheory._quadrature`."""
    function = _chain_derivative if derivative else apply_chain
    kinks = chain_kinks(field.chain, same)
    records = [link for link in field.chain if not isinstance(link, Affine)]
    kinked = any(record.kinks for record in records)
    # each further analytic function narrows the strip of analyticity
    steps = [gaussian.step_of(record) for record in records] if not kinked else []
    step = min(steps, default=1.0) / max(len(steps), 1)
    return _quadrature.Integrand(
        lambda values, part: function(field.chain, values, groups[part]),
        kinks[groups] if kinked else np.empty((len(groups), 0)),
        step,
        groups,
    )


def _chain_derivative(chain, values, groups):
    slope = np.ones_like(values)
    for index, link in enumerate(chain):
        if isinstance(link, Affine):
            slope = slope * link.scale[groups].reshape(-1, *[1] * (values.ndim - 1))
        else:
            slope = slope * link.derivative(apply_chain(chain[:index], values, groups))
    return slope


def chain_kinks(chain, same):
    """Where a chain is not smooth, per group: (G, k), padded with inf."""
    count = len(same)
    kinks = np.empty((count, 0))
    for index, link in enumerate(chain):
        if isinstance(link, Affine):
            continue
        for kink in link.kinks:
            kinks = np.concatenate([kinks, _solve(chain[:index], kink, same)], axis=1)
    return kinks


def _solve(chain, level, same):
    """Solutions x of chain(x) = level within the reach of the Gaussian, (G, roots) padded with inf, by bisection."""
    groups = np.arange(len(same))
    if not chain:
        return np.full((len(same), 1), level)
    x = np.sqrt(same)[:, None] * np.linspace(-_quadrature.REACH, _quadrature.REACH, 1202)
    sign = np.sign(apply_chain(chain, x, groups) - level)
    row, column = np.nonzero(sign[:, :-1] * sign[:, 1:] < 0)
    low, high, rising = x[row, column], x[row, column + 1], sign[row, column + 1]
    for _ in range(60):
        middle = (low + high) / 2
        beyond = (apply_chain(chain, middle[:, None], row)[:, 0] - level) * rising > 0
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    roots = np.full((len(same), _ROOTS), np.inf)
    order = np.arange(len(row)) - np.searchsorted(row, row)  # rank of a root within its group
    kept = order < _ROOTS
    roots[row[kept], order[kept]] = low[kept]
    return roots
