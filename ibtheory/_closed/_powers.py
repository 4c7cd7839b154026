"""Powers of the rectifier and what has two slopes: the arc-cosine kernels (Cho and Saul 2009)."""

from math import factorial, gamma, pi

import numpy as np

from ibtheory._closed._record import ClosedForms, angle, root_gap


def sine_minus_angle_cosine(theta):
    """sin(t) - t cos(t), accurate for small t (t^3/3 to leading order), for t in [0, pi]."""
    theta = np.asarray(theta, float)
    square = theta * theta
    series = np.zeros_like(square)
    for k in range(9, 0, -1):  # sum over k of (-1)^(k+1) 2k t^(2k+1) / (2k+1)!
        series = 2 * k * (-1) ** (k + 1) / factorial(2 * k + 1) + square * series
    return np.where(theta < 1.0, series * square * theta, np.sin(theta) - theta * np.cos(theta))


def two_slopes(negative, positive):
    """phi(x) = negative x below 0 and positive x above: relu (0, 1), abs (-1, 1), linear (1, 1).

    With phi(x) = a x + b |x|; arc-cosine kernel of order 1 (Cho and Saul 2009, eq. 6).
    """
    a, b = (positive + negative) / 2, (positive - negative) / 2

    def dual(q1, q2, c, om):
        # E|u||v| = (2/pi) sqrt(q1 q2) (sin t + (pi/2 - t) cos t)
        absolute = c + (2 / np.pi) * sine_minus_angle_cosine(angle(om))
        return np.sqrt(q1 * q2) * (a * a * c + b * b * absolute)

    def derivative_dual(q1, q2, c, om):
        return a * a + b * b * (1 - 2 * angle(om) / np.pi)

    def gap(q1, q2, om):
        folded = om - (2 / np.pi) * sine_minus_angle_cosine(angle(om))  # 1 - E|u||v| at unit variance
        return np.sqrt(q1 * q2) * (a * a * om + b * b * folded) + (a * a + b * b) * root_gap(q1, q2)

    def centred(q1, q2, c):
        arc = np.arcsin(np.clip(c, -1, 1))
        fold = c * arc - c * c / (1 + np.sqrt(np.clip((1 - c) * (1 + c), 0, None)))
        return np.sqrt(q1 * q2) * (a * a * c + b * b * (2 / np.pi) * fold)

    return ClosedForms(
        mean=lambda q: b * np.sqrt(2 * q / np.pi),
        second=lambda q: (a * a + b * b) * q,
        dual=dual,
        derivative_dual=derivative_dual,
        gap=gap,
        centred=centred,
    )


def _polynomials(n):
    """Polynomials (P, B) of c, ascending, with J_n = sin(t) P(c) + (pi - t) B(c).

    B(c) = E u^n v^n for unit variances. From dJ_n/dc = n^2 J_(n-1):
    (1 - c^2) P' - c P = n^2 (1 - c^2) P_(n-1) - B, solved from the highest power down.
    """
    P, B = np.zeros(1), np.ones(1)
    for k in range(1, n + 1):
        B = np.zeros(k + 1)
        for power in range(k % 2, k + 1, 2):
            pairs = (k - power) // 2
            B[power] = (factorial(k) / (2**pairs * factorial(pairs))) ** 2 / factorial(power)
        right = -np.pad(B, (0, 1))
        right[: P.size] += k * k * P
        right[2 : P.size + 2] -= k * k * P
        P = np.zeros(k + 2)
        for j in range(k, 0, -1):
            P[j - 1] = ((j + 1) * P[j + 1] - right[j]) / j
        P = P[:k]
    return P, B


def arc_cosine(n):
    """phi(x) = max(x, 0)^n, n >= 1: E phi phi = (q1 q2)^(n/2) J_n(t)/(2 pi), t = acos c (Cho and Saul 2009, eq. 4)."""
    polynomials = {k: _polynomials(k) for k in (n - 1, n)}
    even = gamma(n + 0.5) * 2**n / np.sqrt(pi)  # (2n - 1)!! = E z^(2n)

    def J(k, c, om):
        P, B = polynomials[k]
        sine = np.sqrt(np.clip(om * (1 + c), 0, None))
        return sine * np.polyval(P[::-1], c) + (np.pi - angle(om)) * np.polyval(B[::-1], c)

    def radial(q1, q2):
        low, high = np.minimum(q1, q2), np.maximum(q1, q2)
        safe = np.where(low > 0, low, 1.0)
        ratio = np.where(low > 0, np.expm1(0.5 * n * np.log1p((high - low) / safe)), 1.0)
        return even / 4 * np.square(np.where(low > 0, low, high) ** (n / 2) * ratio)

    return ClosedForms(
        mean=lambda q: (2 * q) ** (n / 2) * gamma((n + 1) / 2) / (2 * np.sqrt(pi)),
        second=lambda q: even / 2 * q**n,
        dual=lambda q1, q2, c, om: (q1 * q2) ** (n / 2) * J(n, c, om) / (2 * np.pi),
        derivative_dual=lambda q1, q2, c, om: n * n * (q1 * q2) ** ((n - 1) / 2) * J(n - 1, c, om) / (2 * np.pi),
        radial=radial,
    )


def _threshold(low, high):
    """phi = low below 0, high above, 0 at 0 (no variance): (low + high)/2 + (high - low)/2 sign(x)."""
    m, b = (low + high) / 2, (high - low) / 2

    def dual(q1, q2, c, om):
        return np.where((q1 > 0) & (q2 > 0), m * m + b * b * (1 - 2 * angle(om) / np.pi), 0.0)

    def derivative_dual(q1, q2, c, om):
        """4 b^2 times the density of (u, v) at the origin."""
        determinant = q1 * q2 * om * (1 + c)
        with np.errstate(divide="ignore"):
            return 4 * b * b / (2 * np.pi * np.sqrt(determinant))

    def second(q):
        return np.where(q > 0, m * m + b * b, 0.0)

    def gap(q1, q2, om):
        return np.where((q1 > 0) & (q2 > 0), 2 * b * b * angle(om) / np.pi, 0.5 * (second(q1) + second(q2)))

    def centred(q1, q2, c):
        return np.where((q1 > 0) & (q2 > 0), 2 * b * b / np.pi * np.arcsin(np.clip(c, -1, 1)), 0.0)

    return ClosedForms(
        mean=lambda q: np.where(q > 0, m, 0.0),
        second=second,
        dual=dual,
        derivative_dual=derivative_dual,
        gap=gap,
        centred=centred,
    )


sign = _threshold(-1.0, 1.0)
step = _threshold(0.0, 1.0)
