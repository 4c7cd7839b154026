"""Writes gaussian_values.npz, Gaussian expectations of the catalogue: python -m reference.gaussian_values [names]

Run it in the folder tests; it takes 15 minutes. ``points`` (50, 4): q1, q2, c, 1 - c; one array (50, 6) per
activation: what :func:`reference.gaussian.moments` returns there, rounded to double precision.
"""

import sys
from pathlib import Path

import numpy as np

from reference import gaussian

FILE = Path(__file__).with_name("gaussian_values.npz")


def points(count=50, seed=1):
    """Variances 1e-3 to 10 (five of them to 50), a third of the pairs equal, correlations of all sizes."""
    rng = np.random.default_rng(seed)
    q1, q2 = 10 ** rng.uniform(-3, 1, (2, count))
    q1[-5:], q2[-5:] = 10 ** rng.uniform(1, 1.7, (2, 5))
    kind = np.arange(count) % 3
    q2 = np.where(kind == 0, q1, np.where(kind == 1, q1 * (1 + 10 ** rng.uniform(-8, -1, count)), q2))
    c, om = rng.uniform(-0.99, 0.5, count), np.full(count, np.nan)
    some = rng.permutation(count)
    om[some[:20]] = 10 ** rng.uniform(-12, -0.31, 20)
    c[some[20:35]] = rng.choice([-1, 1], 15) * 10 ** rng.uniform(-12, -0.31, 15)
    exact = np.isnan(om)
    return np.stack([q1, q2, np.where(exact, c, 1 - om), np.where(exact, 1 - c, om)], axis=1)


def main(names):
    """Compute these activations anew, or all."""
    stored = dict(np.load(FILE)) if FILE.exists() else {}
    stored["points"] = points()
    for name in names or (*gaussian.SMOOTH, *gaussian.PIECES):
        rows = []
        for point in stored["points"]:
            rows.append([float(value) for value in gaussian.moments(name, *point.tolist())])
        stored[name] = np.array(rows)
        np.savez_compressed(FILE, **stored)
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
