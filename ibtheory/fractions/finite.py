"""The largest observed share of finitely many samples."""

import math
from functools import lru_cache

import numpy as np
from scipy.special import betainc, ndtr

from ibtheory.fractions import ordered, profile

_REPLICATES, _NETWORKS, _DRAWS = 8, 2**11, 4
_ELEMENTS = 2**16  # class fractions of a replicate: fewer networks of many classes


def two_classes(law, samples):
    """E max(n, N - n)/N for the binary ``law`` (None: always 1/2)."""
    if law is None:
        return float(_larger_count(np.zeros(1), samples)[0])
    step = min(0.05, 0.5 / math.sqrt(samples * min(1.0, law.gamma)))
    return 1 - law.average(lambda x: 1 - _larger_count(x, samples), step)


def _larger_count(score, samples):
    """E max(n, N - n)/N, n binomial with chance Phi(score): both halves are tails of a binomial."""
    least = samples // 2 + 1  # n of at least this wins
    excess = np.zeros(np.shape(score))
    for chance in (ndtr(score), ndtr(-score)):
        wins = betainc(least, samples - least + 1, chance)
        excess += 2 * chance * (betainc(least - 1, samples - least + 1, chance) if least > 1 else 1.0) - wins
    return 0.5 + 0.5 * excess


@lru_cache(maxsize=256)
def many_classes(gamma, classes, samples, mean, seed=0):
    """(E max_k n_k/N, its standard error); ``mean`` is the exact E f_max.

    What is drawn is how much the largest count exceeds the expected one of the class with the largest fraction; what
    the count of that class itself explains of it does not add to the error.
    """
    rows = []
    for generator in np.random.default_rng(seed).spawn(_REPLICATES):
        fractions = _fractions(gamma, classes, generator)
        counts = generator.multinomial(samples, fractions, size=(_DRAWS, len(fractions)))
        expected = samples * fractions[:, 0]
        rows.append(((counts.max(axis=2) - expected).ravel(), (counts[:, :, 0] - expected).ravel()))
    surplus, noise = np.moveaxis(rows, 1, 0) / samples
    estimates = np.mean(surplus - np.vdot(surplus, noise) / np.vdot(noise, noise) * noise, axis=1)
    return float(mean + estimates.mean()), float(estimates.std(ddof=1) / math.sqrt(_REPLICATES))


def _fractions(gamma, classes, generator):
    """Fractions of many networks, the largest first."""
    networks = min(_NETWORKS, max(2**8, _ELEMENTS // classes))
    if gamma == 0:
        return np.full((networks, classes), 1 / classes)
    if classes < ordered.FEW:
        z, _ = next(ordered.draw(classes + 1, networks, 1, seed=generator))
    else:
        z = -np.sort(-generator.standard_normal((networks, classes)), axis=1)
    return profile.fractions_of(math.sqrt(gamma) * z, step=0.3)
