"""Averages over one Gaussian variable."""

import numpy as np

from ibtheory._quadrature._rules import (
    LARGEST_STEP,
    chunks,
    density,
    distinct,
    edges_between,
    lattice,
    panels,
    scaled_kinks,
)


def expectation(f, q, transform=lambda values, u: values, degree=0):
    """E transform(f(u), u), u ~ N(0, q), for q of shape (n,); ``degree`` of a polynomial factor in the transform."""
    f, q, back = distinct(f, q)

    def function(u, part):
        return transform(f.function(u, part), u)

    return _average(function, q, f, degree)[back]


def variance(f, q, mean):
    """E (f(u) - mean)^2."""
    f, q, back = distinct(f, q)
    middle = np.zeros_like(q)
    middle[back] = mean

    def square(u, part):
        return np.square(f.function(u, part) - middle[part, None])

    return _average(square, q, f)[back]


def _average(function, q, f, degree=0):
    """E function(sqrt(q) x, part), where ``f`` says how fine and how far the rule must go."""
    root, result = np.sqrt(q)[:, None], np.empty(q.size)
    if f.smooth:
        # a polynomial of degree k oscillates on the scale 1/sqrt(k)
        step = f.step / np.sqrt(1 + degree) / max(root.max(initial=0.0), 1e-300)
        x, w = lattice(step, f.reach + np.sqrt(degree))
        for part in chunks(q.size, x.size):
            result[part] = function(root[part] * x, part) @ w
        return result
    for part in chunks(q.size, 40 * (6 + f.kinks.shape[1])):
        x, w = panels(edges_between(f.reach, scaled_kinks(f.kinks[part], root[part])), f.fine)
        result[part] = np.sum(w * density(x) * function(root[part] * x, part), axis=-1)
    return result


def hermite(f, q, count):
    """Normalized Hermite coefficients a_0 .. of z -> f(sqrt(q) z): (n, count)."""
    f, q, back = distinct(f, q)
    root, reach = np.sqrt(q), f.reach + np.sqrt(count)
    coefficients = np.empty((q.size, count))
    # He_k oscillates on the scale 1/sqrt(k)
    spacing = 1 / (max(root.max(), 1e-300) / f.step + 1 / LARGEST_STEP + np.sqrt(count) / (2 * np.pi))
    size = int(2 * reach / spacing) if f.smooth else 20 * int(2 * reach / 2 + f.kinks.shape[1] + 3)
    for part in chunks(q.size, 4 * size):
        if f.smooth:
            x, w = lattice(spacing, reach)
        else:
            x, w = panels(edges_between(reach, scaled_kinks(f.kinks[part], root[part, None]), width=2.0), f.fine)
            w = w * density(x)
        values = w * f.function(root[part, None] * x, part)
        for k, polynomial in enumerate(_polynomials(x, count)):
            coefficients[part, k] = values @ polynomial if f.smooth else np.sum(values * polynomial, axis=-1)
    return coefficients[back]


def _polynomials(z, count):
    """He_k(z)/sqrt(k!) for k below ``count``, by their stable recurrence."""
    previous, current = np.zeros_like(z), np.ones_like(z)
    for k in range(count):
        yield current
        previous, current = current, (z * current - np.sqrt(k) * previous) / np.sqrt(k + 1)
