"""Moments of a chain of pointwise functions of a Gaussian: activations, norms over features, activations again."""

import numpy as np

from ibtheory import _quadrature, gaussian
from ibtheory.theory.state import Affine, apply_chain, correlation

_ROOTS = 6  # solutions of inner(x) = kink that are kept, per kink of an outer function


def moments(field):
    """(mean, cov, gap) over groups of a chain that begins with an activation, on a GaussianField."""
    same, cross = np.diagonal(field.cov) + np.diagonal(field.gap), field.cov
    c, om = correlation(same, cross, field.gap)
    upper = np.triu_indices(len(same))
    ga, gb = upper
    q1, q2, c, om = same[ga], same[gb], c[upper], om[upper]
    if len(field.chain) == 1:
        phi = field.chain[0]
        mean = gaussian.mean(phi, same)
        cov = gaussian.centred(phi, q1, q2, c=c)
        gap = gaussian.gap(phi, q1, q2, one_minus_c=om)
    else:
        alone = np.arange(len(same))
        mean = _quadrature.expectation(integrand(field, alone, same), same)
        f, g = integrand(field, ga, same), integrand(field, gb, same)
        cov = _quadrature.centred(f, g, q1, q2, c, om)
        gap = _quadrature.pair(f, g, _quadrature.half_square, q1, q2, c, om)
    return mean, _symmetric(cov, upper), _symmetric(gap, upper)


def _symmetric(values, upper):
    size = upper[0].max() + 1
    full = np.empty((size, size))
    full[upper] = values
    full[upper[::-1]] = values
    return full


def integrand(field, groups, same):
    """The chain at each of ``groups`` as an integrand for :mod:`ibtheory._quadrature`."""
    kinks = chain_kinks(field.chain, same)
    records = [link for link in field.chain if not isinstance(link, Affine)]
    kinked = any(record.kinks for record in records)
    # each further analytic function narrows the strip of analyticity
    step = 1.0 if kinked else min(gaussian.step_of(record) for record in records) / len(records)
    return _quadrature.Integrand(
        lambda values, part: apply_chain(field.chain, values, groups[part]),
        kinks[groups] if kinked else np.empty((len(groups), 0)),
        step,
    )


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
