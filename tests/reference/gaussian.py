"""E phi(u) phi(v) in mpmath, by conditional one-dimensional integrals; imports nothing of the package."""

import mpmath as mp


def _function(name, slopes):
    if slopes is not None:
        low, high = slopes
        return lambda x: high * x if x > 0 else low * x
    return {
        "erf": mp.erf,
        "tanh": mp.tanh,
        "gelu": lambda x: x * mp.ncdf(x),
    }[name]


def moment(name, slopes, q1, q2, c, digits=15):
    """The dual of an activation, by mp.quad over both variables split at the kink 0."""
    with mp.workdps(digits):
        f = _function(name, slopes)
        q1, q2, c = mp.mpf(q1), mp.mpf(q2), mp.mpf(c)
        s = mp.sqrt(1 - c * c)

        def inner(x):
            cut = -c * x / s  # v = 0
            points = sorted({mp.mpf(-8), mp.mpf(8), min(max(cut, mp.mpf(-8)), mp.mpf(8))})
            return mp.quad(lambda y: f(mp.sqrt(q2) * (c * x + s * y)) * mp.npdf(y), points, maxdegree=4)

        points = [-8, 0, 8]
        return float(mp.quad(lambda x: f(mp.sqrt(q1) * x) * inner(x) * mp.npdf(x), points, maxdegree=4))
