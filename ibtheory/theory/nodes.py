r"""All pairs of a dataset from a few: exact rules at nodes, interpolated, where a network maps every pair by itself.

Without BatchNorm the moments of two samples behind any layer are functions of three numbers: the norms of both and the
angle t between them behind the first dense layer. They are smooth in these: analytic in t up to t = 0 at equal norms,
with singularities no closer to an end of [0, pi] than in proportion to the distance from it, so that panels of t whose
lengths halve towards both ends are resolved by polynomials of fixed degree, and values of order t^2 keep their relative
precision. What the network does to the norms decides how these are followed:

 - radial networks: norms act as factors up to a norm layer that makes all equal (homogeneous activations without
   biases, or a norm before anything else). Moments are polynomials of degree 2 in both norms;
 - analytic activations: Chebyshev polynomials in the logarithms of the norms, analytic in a strip about the real axis;
 - others (kinks beside biases, epsilon or several norms) are not smooth where two samples nearly coincide.

Averages over pairs of polynomials are weights at the nodes: the walk over a handful of stand-ins, whose pairs are the
nodes, gives the averages over the dataset in every layer. The logits are interpolated pair by pair.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ibtheory import _blas
from ibtheory.layers import Activation, BatchNorm, Dense, FeaturePool, GroupNorm, LayerNorm, Residual, RMSNorm, flatten
from ibtheory.theory import sweep
from ibtheory.theory.state import Data, GaussianField, State
from ibtheory.theory.tabulated import barycentric, chebyshev
from ibtheory.theory.walk import Record, last, walk

_ROWS = 64  # of the matrix of pairs at a time
_RADIAL = 3  # norms: polynomials of degree 2
_MOST = 48  # norms of an analytic network; a dataset whose norms spread further is not reduced
_LEAST = 256  # samples from which on nodes can pay
_WORTH = 0.7  # stand-ins per sample up to which the walk over them is cheaper
_DIGITS = 36.0  # -log of the interpolation error
_FINEST, _LAST = 40, 12  # halvings of the panels towards angle 0 and towards pi
_HALVES = np.pi * 0.5 ** np.arange(1, _FINEST + 1)
EDGES = np.concatenate([[0.0], _HALVES[::-1], np.pi - _HALVES[1:_LAST], [np.nextafter(np.pi, 4)]])
_POINTS = np.cos(np.pi * (np.arange(sweep.DEGREES) + 0.5) / sweep.DEGREES)  # where polynomials of a panel are known
_AT_POINTS = np.polynomial.chebyshev.chebvander(_POINTS, sweep.DEGREES - 1)
_TWICE = np.where(np.arange(sweep.DEGREES) > 0, 2.0, 1.0)
_POWERS = np.zeros((sweep.DEGREES, sweep.DEGREES))  # of the Chebyshev polynomials
for _order in range(sweep.DEGREES):
    _POWERS[_order, : _order + 1] = np.polynomial.chebyshev.cheb2poly(np.eye(sweep.DEGREES)[_order, : _order + 1])
_PANELS = len(EDGES) - 1
_NORMS = (LayerNorm, RMSNorm, GroupNorm)


@dataclass(frozen=True)
class Frame:
    """Samples behind a first dense layer, in the coordinates of the nodes.

    Attributes
    ----------
    centred : ndarray (N, features)
        Samples about their mean.
    weight : float
        Weight variance of the layer.
    root : ndarray (N,)
        Root mean squares behind it.
    scales : ndarray (K,)
        Values of ``root`` at the nodes.
    basis : ndarray (N, K)
        Lagrange polynomials of the nodes at the samples.
    radial : bool
    """

    centred: np.ndarray
    weight: float
    root: np.ndarray
    scales: np.ndarray
    basis: np.ndarray
    radial: bool

    def angles(self, visit):
        """(angles (N, N), in the upper triangle; sum of ``visit(angles, start, stop)`` over blocks of its rows)."""
        spread = np.mean(self.centred**2, axis=1)
        table = np.empty((len(self.root), len(self.root)))

        def fill(start, stop):
            np.matmul(self.centred[start:stop], self.centred[start:].T, out=table[start:stop, start:])
            sweep.angles(table, start, stop, self.centred, spread, self.root, 1 / self.root, self.weight)
            return visit(table, start, stop)

        return table, _over_rows(fill, len(table))

    def moments(self, angles, start, stop):
        """Moments of some rows of angles, (panels, K, K, DEGREES)."""
        scales = len(self.scales)
        line = np.zeros((_PANELS, scales, sweep.DEGREES))
        total = np.zeros((_PANELS, scales, scales, sweep.DEGREES))
        sweep.moments(angles, start, stop, EDGES, self.basis, np.empty(sweep.DEGREES), line, total)
        return total

    def interpolate(self, angles, nodes, values, root):
        """Overwrite angles by root_a root_b times the interpolant of ``values`` at the pairs of nodes; return them."""
        basis, polynomials = self.basis.T.copy(), np.zeros((_PANELS, *[len(self.scales)] * 2, sweep.DEGREES))
        polynomials[nodes.used] = _coefficients(nodes.gather(values))
        if self.radial:  # correlations do not depend on norms
            basis, polynomials = np.ones((1, len(root))), np.ascontiguousarray(polynomials[:, :1, :1])

        def fill(start, stop):
            line = np.empty((_PANELS, len(basis), sweep.DEGREES))
            work = np.empty((2, sweep.CHUNK))
            sweep.evaluate(angles, start, stop, EDGES, basis, root, polynomials, work, line)
            sweep.mirror(angles, start, stop)
            return 0

        _over_rows(fill, len(root))
        return angles


def _over_rows(task, count):
    """Sum of ``task(start, stop)`` over blocks of rows, computed on threads and added in order."""
    starts = range(0, count, _ROWS)
    with _blas.one_thread(), ThreadPoolExecutor(_blas.cores()) as pool:
        return sum(pool.map(task, starts, (min(start + _ROWS, count) for start in starts)))


def frame(X, steps):
    """The :class:`Frame` of samples X (N, features) and a network; None where the nodes would not be right."""
    if not isinstance(steps[0].layer, Dense) or not isinstance(steps[-1].layer, Dense):
        return None
    radial = _radial(steps[1:])
    if not radial and not _analytic(steps[1:]):
        return None
    weight, bias = steps[0].layer.variances(steps[0].fan_in)
    root = np.sqrt(weight * np.mean(X**2, axis=1) + bias)
    if not root.min() > 0:
        return None
    coordinate = root if radial else np.log(root)
    low, half = coordinate.min(), np.ptp(coordinate) / 2
    count = _RADIAL if radial else _count(half)
    if count > _MOST:
        return None
    points, place = chebyshev(count if half > 0 else 1), (coordinate - low) / (half or 1.0)
    scales = low + half * (1 + points)
    basis = barycentric(points, place - 1) if half > 0 else np.ones((len(X), 1))
    scales = scales if radial else np.exp(scales)
    return Frame(X - X.mean(axis=0), weight, root, scales, basis, radial)


def _count(half):
    """Chebyshev nodes for a function analytic in the strip |Im| < pi/3 on an interval of this half-length."""
    return int(np.ceil(_DIGITS / np.arcsinh(np.pi / 3 / max(half, 1e-3))))


def _radial(steps):
    """Whether norms of samples act as factors, up to a layer that makes them equal."""
    for step in steps:
        layer = step.layer
        if isinstance(layer, _NORMS):
            return layer.epsilon == 0 and _pairwise(steps) and _continuous(steps)
        if not _homogeneous(layer, step.branch):
            return False
    return True


def _homogeneous(layer, branch):
    """Whether a layer multiplies its output by any factor of its input."""
    if isinstance(layer, Residual):
        return all(_homogeneous(step.layer, step.branch) for step in branch)
    if isinstance(layer, Dense):
        return layer.bias_variance == 0
    if isinstance(layer, Activation):
        return layer.function.slopes is not None
    return isinstance(layer, FeaturePool) or (isinstance(layer, BatchNorm) and layer.fresh and layer.shift == 0)


def _pairwise(steps):
    """Whether no layer looks at more than two samples."""
    return all(step.layer.fresh for step in flatten(steps) if isinstance(step.layer, BatchNorm))


def _continuous(steps):
    """Whether no activation jumps: behind a jump small angles grow like their roots."""
    return not any(np.any(step.layer.function.jumps) for step in flatten(steps) if isinstance(step.layer, Activation))


def _analytic(steps):
    """Whether nothing has a kink."""
    layers = [step.layer for step in flatten(steps)]
    kinked = any(isinstance(layer, Activation) and layer.function.kinks for layer in layers)
    return _pairwise(steps) and not kinked and not any(isinstance(layer, FeaturePool) for layer in layers)


@dataclass(frozen=True)
class Nodes:
    """Stand-ins whose pairs are the nodes: each scale times ``slots`` samples, at every angle of the used panels.

    Attributes
    ----------
    used : ndarray (P,)
        Panels that hold angles.
    scales : ndarray (K,)
    slots : int
    """

    used: np.ndarray
    scales: np.ndarray
    slots: int

    @classmethod
    def of(cls, used, scales):
        needed = len(used) * sweep.DEGREES
        return cls(used, scales, int(np.ceil((1 + np.sqrt(1 + 8 * needed)) / 2)))

    def pay(self, X):
        """Whether the walk over the stand-ins is cheaper than over the samples X."""
        return self.slots * len(self.scales) <= _WORTH * len(X)

    def spread(self, values):
        """(K slots, K slots) from values at the nodes, (P, K, K, DEGREES)."""
        scales = len(self.scales)
        size = len(self.used) * sweep.DEGREES
        first, second = (index[:size] for index in np.triu_indices(self.slots, 1))
        blocks = np.zeros((scales, self.slots, scales, self.slots))
        values = np.broadcast_to(values, (len(self.used), scales, scales, sweep.DEGREES))
        values = values.transpose(0, 3, 1, 2).reshape(size, scales, scales)
        blocks[:, first, :, second] = blocks[:, second, :, first] = values
        return blocks.reshape(scales * self.slots, -1)

    def gather(self, matrix):
        """The inverse of :meth:`spread`."""
        scales = len(self.scales)
        size = len(self.used) * sweep.DEGREES
        first, second = (index[:size] for index in np.triu_indices(self.slots, 1))
        values = matrix.reshape(scales, self.slots, scales, self.slots)[:, first, :, second]
        return values.reshape(len(self.used), sweep.DEGREES, scales, scales).transpose(0, 2, 3, 1)

    def state(self, weights, pairs):
        """The stand-ins behind the dense layer, with weights of the scales (K,) and of the nodes (P, K, K, DEGREES)."""
        low, high = EDGES[self.used], EDGES[self.used + 1]
        t = self.spread(((low + high)[:, None] / 2 + (high - low)[:, None] / 2 * _POINTS)[:, None, None, :])
        root = np.repeat(self.scales, self.slots)
        product = np.outer(root, root)
        cov, gap = product * np.cos(t), product * 2 * np.sin(t / 2) ** 2 + np.square(np.subtract.outer(root, root)) / 2
        data = Data(np.repeat(weights, self.slots) / self.slots, self.spread(pairs) / 2, np.inf, concrete=False)
        return State(np.zeros(len(root)), cov, gap, GaussianField(cov, gap), data)


def _node_weights(moments):
    """Weights of the nodes of a panel for averages of polynomials with these moments, (..., DEGREES)."""
    return moments * _TWICE @ _AT_POINTS.T / sweep.DEGREES


def _coefficients(values):
    """Coefficients of powers of x in [-1, 1] on a panel from values at its nodes, (..., DEGREES)."""
    return values @ _AT_POINTS * _TWICE / sweep.DEGREES @ _POWERS


def follow(steps, state, X, rng):
    """The :class:`ibtheory.theory.walk.Record` of samples X with input moments ``state``.

    None where nodes do not do or do not pay.
    """
    here = _worth_a_frame(X, steps)
    if here is None:
        return None
    angles, moments = here.angles(here.moments)
    moments = (moments + moments.transpose(0, 2, 1, 3)) / (len(X) * (len(X) - 1))
    nodes = Nodes.of(np.flatnonzero(moments.any(axis=(1, 2, 3))), here.scales)
    if not nodes.pay(X):
        return None
    start = nodes.state(here.basis.mean(axis=0), _node_weights(moments[nodes.used]))
    tape = [(steps[0].name, start), *walk(steps[1:], start, rng)]
    averages = [state.average(), *(layer.average() for _, layer in tape)]
    root, c, om = _logits(here, nodes, tape[-1][1])
    cov, gap = here.interpolate(angles.copy(), nodes, c, root), here.interpolate(angles, nodes, om, root)
    gap += np.square(np.subtract.outer(root, root)) / 2
    np.fill_diagonal(cov, root**2)
    np.fill_diagonal(gap, 0.0)
    logits = State(np.zeros(len(root)), cov, gap, GaussianField(cov, gap), state.data)
    return Record(np.array(averages), logits, [("input", state), *tape])


def kernel(steps, X):
    """Covariances of the logits for samples X, (N, N); None where nodes do not do or do not pay."""
    here = _worth_a_frame(X, steps)
    if here is None:
        return None

    def mark(angles, start, stop):
        used = np.zeros(_PANELS, bool)
        sweep.mark(angles, start, stop, EDGES, used)
        return used

    angles, used = here.angles(mark)
    nodes = Nodes.of(np.flatnonzero(used), here.scales)
    if not nodes.pay(X):
        return None
    start = nodes.state(np.ones(len(here.scales)), np.zeros(1))
    root, c, _ = _logits(here, nodes, last(walk(steps[1:], start, np.random.default_rng(0))))
    cov = here.interpolate(angles, nodes, c, root)
    np.fill_diagonal(cov, root**2)
    return cov


def _worth_a_frame(X, steps):
    return frame(X, steps) if X is not None and len(X) >= _LEAST else None


def _logits(here, nodes, state):
    """(roots of the mean squares of the logits of the samples (N,), correlations and 1 - c at the nodes)."""
    root = np.sqrt(here.basis @ state.same[:: nodes.slots])
    c, om = state.correlation()
    return root, np.where(om < 0.5, 1 - om, c), om
