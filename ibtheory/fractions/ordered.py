"""Standard normal order statistics, from the largest down, by scrambled Sobol points."""

import numpy as np
from scipy.special import betaincinv, ndtri_exp

_KEPT = 25  # order statistics of many classes that are drawn; the rest stand at their conditional mean field
FEW = 50  # up to so many classes all are drawn
_REST, _GRADING = 32, 4  # nodes of the rest, denser below the last one drawn


def draw(classes, points, replicates, *, below_largest=False, seed=0):
    """Yields (heights, counts) for each of ``replicates`` independent sets of ``points`` Sobol points.

    heights : (points, columns) array, decreasing: the C - 1 rivals of a class, or with ``below_largest`` the classes
        below the largest of C
    counts : (columns,) array, how many classes a column stands for: 1 where order statistics are drawn
    """
    from scipy.stats import qmc

    rivals = classes - 1
    kept = rivals if classes <= FEW else _KEPT
    for generator in np.random.default_rng(seed).spawn(replicates):
        u = np.clip(qmc.Sobol(kept, seed=generator).random(points), 1e-300, 1 - 2.0**-53)
        steps = np.log(u) / np.arange(rivals, rivals - kept, -1)
        if below_largest:
            steps[:, 0] = np.log(betaincinv(rivals, 2, u[:, 0]))
        yield _with_rest(np.cumsum(steps, axis=1), rivals)


def typical(classes):
    """The heights at the middle of every conditional law, (1, columns), and their counts."""
    rivals = classes - 1
    kept = rivals if classes <= FEW else _KEPT
    return _with_rest(np.cumsum(np.log(0.5) / np.arange(rivals, rivals - kept, -1))[None], rivals)


def _with_rest(levels, rivals):
    """(heights, counts) of log Phi(heights); classes not drawn are iid below the last one that is."""
    rest = rivals - levels.shape[1]
    if not rest:
        return ndtri_exp(levels), np.ones(rivals)
    nodes, weights = np.polynomial.legendre.leggauss(_REST)
    v = 0.5 * (1 + nodes)
    heights = ndtri_exp(np.hstack([levels, levels[:, -1:] + np.log1p(-(v**_GRADING))]))
    counts = rest * 0.5 * weights * _GRADING * v ** (_GRADING - 1)
    return heights, np.concatenate([np.ones(levels.shape[1]), counts])
