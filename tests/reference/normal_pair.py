"""E f(u) f(v) of a normal pair in mpmath, by conditional integrals split at kinks; imports nothing of the package."""

import mpmath as mp


def average(f, q1, q2, c, kinks=(), digits=18):
    """E f(u) f(v), variances q1 and q2, correlation c strictly between -1 and 1, f smooth between its kinks."""
    with mp.workdps(digits):
        q1, q2, c = mp.mpf(q1), mp.mpf(q2), mp.mpf(c)
        s = mp.sqrt(1 - c * c)
        reach, root = mp.mpf(9), mp.sqrt(q2)

        def inside(points):
            return sorted({-reach, mp.mpf(0), reach, *(p for p in points if abs(p) < reach)})

        def inner(x):
            cuts = inside([(k / root - c * x) / s for k in kinks])
            return gauss(lambda y: f(root * (c * x + s * y)) * mp.exp(-y * y / 2), cuts)

        cuts = inside([k / mp.sqrt(q1) for k in kinks])
        return gauss(lambda x: f(mp.sqrt(q1) * x) * inner(x) * mp.exp(-x * x / 2), cuts) / (2 * mp.pi)


def gauss(f, cuts):
    """The integral of a smooth f over each of the intervals between the cuts, by 48 nodes."""
    return mp.quad(f, cuts, method="gauss-legendre", maxdegree=4)


def single(f, q, kinks=(), digits=30):
    """E f(u), u of variance q."""
    with mp.workdps(digits):
        cuts = sorted({-mp.inf, *(mp.mpf(k) for k in kinks), mp.mpf(0), mp.inf})
        root = mp.sqrt(mp.mpf(q))
        return mp.quad(lambda x: f(x) * mp.npdf(x / root) / root, cuts)
