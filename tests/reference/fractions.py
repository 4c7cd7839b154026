"""Class fractions in plain loops and mpmath; nothing here imports ibtheory."""

import math

import mpmath as mp
import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


def both_below(h, k, angle):
    """Phi_2(h, k; cos angle) by Plackett's integral over the correlation: 40 nodes of Gauss-Legendre."""
    end = math.pi / 2 - angle  # arcsin of the correlation
    theta = 0.5 * end * (1 + _NODES)
    heights = np.exp(-(h * h + k * k - 2 * h * k * np.sin(theta)) / (2 * np.cos(theta) ** 2))
    total = float(_WEIGHTS @ heights)
    return _below(h) * _below(k) + 0.5 * end * total / (2 * math.pi)


def _below(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _density(x):
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _grid(correlation, step=0.25, reach=8.0):
    """(u, v, weight) of a lattice for a bivariate normal."""
    other = math.sqrt(1 - correlation**2)
    count = int(reach / step)
    for i in range(-count, count + 1):
        for j in range(-count, count + 1):
            x, y = i * step, j * step
            yield x, correlation * x + other * y, step * step * _density(x) * _density(y)


def agreement(correlation, classes):
    """S_C = C E[Phi_2(U, V)^(C-1)] on a lattice; good to 1e-11 for |correlation| up to 0.9 and C up to 10."""
    angle = math.acos(correlation)
    total = 0.0
    for u, v, weight in _grid(correlation):
        total += weight * both_below(u, v, angle) ** (classes - 1)
    return classes * total


def disagreement(angle, classes, step=0.3):
    """1 - S_C(cos angle) for a small angle in 25 digits; the step is good to 3e-14, relatively."""
    with mp.workdps(25):
        angle, step = mp.mpf(angle), mp.mpf(step)
        plus, minus, ratio = mp.cos(angle / 2), mp.sin(angle / 2), mp.tan(angle / 2)
        points = [(i + mp.mpf("0.5")) * step for i in range(-int(9 / step), int(9 / step))]
        total = mp.mpf(0)
        for s in points:
            for d in points:
                moments = [mp.ncdf(d), d * mp.ncdf(d) + mp.npdf(d)]
                for n in range(2, 6):
                    moments.append(d * moments[-1] + (n - 1) * moments[-2])
                missed = ratio * moments[1] + (s**2 - 1) * ratio**3 / 6 * moments[3]
                missed += (s**4 - 6 * s**2 + 3) * ratio**5 / 120 * moments[5]
                first = mp.ncdf(plus * s + minus * d)
                lost = first ** (classes - 1) - (first - 2 * mp.npdf(s) * missed) ** (classes - 1)
                total += step**2 * mp.npdf(s) * mp.npdf(d) * lost
        return float(classes * total)


def agreement_simulated(correlation, classes, pairs, generator):
    """Share of pairs of correlated score vectors with the same argmax."""
    same = 0
    for _ in range(pairs):
        first = generator.standard_normal(classes)
        second = correlation * first + math.sqrt(1 - correlation**2) * generator.standard_normal(classes)
        same += int(first.argmax() == second.argmax())
    return same / pairs


def ordered_mean(rank, gamma, classes):
    """E f_(rank) by the double sum of its definition."""
    correlation = math.sqrt(gamma / (1 + gamma))
    angle = math.acos(correlation)
    total = 0.0
    for u, v, weight in _grid(correlation):
        both = both_below(u, v, angle)
        total += weight * (_below(v) - both) ** (rank - 1) * both ** (classes - rank)
    return classes * math.comb(classes - 1, rank - 1) * total


def fractions(means):
    """f_k = int phi(t - m_k) prod_{j != k} Phi(t - m_j) dt, one class after the other, in 16 digits."""
    with mp.workdps(16):
        top = max(means)
        edges = [top + x for x in (-9, -3, 0, 3, 9)]
        result = []
        for k in range(len(means)):

            def integrand(t, k=k):
                value = mp.npdf(t - means[k])
                for j, mean in enumerate(means):
                    if j != k:
                        value *= mp.ncdf(t - mean)
                return value

            result.append(float(mp.quad(integrand, edges)))
        return result


def binary_mean(function, gamma):
    """E function(f_0) with f_0 = Phi(sqrt(gamma) Z), in 16 digits; the function may have a kink at f_0 = 1/2."""
    with mp.workdps(16):
        root = mp.sqrt(gamma)
        edges = sorted(
            {0, *(x for y in (0.5, 1, 2, 3, 5) for x in (-y, y)), *(x / root for x in (-8, -4, -2, -1, 1, 2, 4, 8))}
        )
        edges = [x for x in edges if abs(x) < 9]
        return float(mp.quad(lambda z: mp.npdf(z) * function(mp.ncdf(root * z)), [-9, *edges, 9]))


def larger_count(samples, gamma):
    """E max(n, N - n)/N, n binomial, term by term."""

    def largest(f):
        total = mp.mpf(0)
        for n in range(samples + 1):
            total += mp.binomial(samples, n) * f**n * (1 - f) ** (samples - n) * max(n, samples - n)
        return total / samples

    return binary_mean(largest, gamma)


def log_jacobian(means):
    """log of the determinant of df/dm across the means' average, its weights by the trapezoid in plain loops."""
    count, step = len(means), 0.1
    matrix = np.zeros((count, count))
    for t in np.arange(min(means) - 9, max(means) + 9, step):
        for i in range(count):
            for j in range(i):
                weight = step * _density(t - means[i]) * _density(t - means[j])
                for k in range(count):
                    if k not in (i, j):
                        weight *= _below(t - means[k])
                for a, b, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
                    matrix[a, b] += sign * weight
    eigenvalues = np.linalg.eigvalsh(matrix)
    return float(np.sum(np.log(eigenvalues[1:])))


def vertex_slope(distance, gamma, classes, change=0.01):
    """d log p/d log e of the joint density where one mean lies ``distance`` above the others, which have the share e.

    By symmetry the Jacobian has two eigenvalues: of the winner against the losers, and of the losers among themselves.
    """
    with mp.workdps(40):
        logs = []
        for d in (mp.mpf(distance) - change, mp.mpf(distance) + change):

            def weight(t, d, shift):
                return (
                    mp.npdf(t - d) * mp.npdf(t) * mp.ncdf(t) ** (classes - 2)
                    if shift
                    else (mp.npdf(t) ** 2 * mp.ncdf(t) ** max(classes - 3, 0) * mp.ncdf(t - d))
                )

            edges = [-12, 0, d / 2, d, d + 12]
            winner = mp.quad(lambda t, d=d: weight(t, d, True), edges)
            loser = mp.quad(lambda t, d=d: weight(t, d, False), edges) if classes > 2 else 0
            share = mp.quad(lambda t, d=d: mp.npdf(t) * mp.ncdf(t) ** (classes - 2) * mp.ncdf(t - d), edges)
            among = (classes - 1) * loser + winner
            log_jacobian = mp.log(classes * winner) + (classes - 2) * mp.log(among)
            log_density = -(d**2) * (classes - 1) / classes / (2 * gamma) - log_jacobian
            logs.append((mp.log(share), log_density))
        (e0, p0), (e1, p1) = logs
        return float((p1 - p0) / (e1 - e0))
