"""Covariances of the kernel of a ReLU network at finite width, by recursion over the pairs of its entries."""

import numpy as np


def relu(depth, width, features, weight=2.0):
    """(q, r, covariances) of the logits' kernel on iid standard Gaussian inputs, to order 1/width.

    The covariances are those of (aa, aa), (aa, bb), (aa, ab), (aa, bc), (ab, ab), (ab, ac), (ab, cd).
    """
    q, r = weight, 0.0
    A, B, C1, C2, D1, D2, D3 = 2 * q**2 / features, 0.0, 0.0, 0.0, q**2 / features, 0.0, 0.0
    for _ in range(depth):
        c, area = r / q, q**2 - r**2
        al, ch = weight / 2, weight * (np.pi - np.arccos(c)) / (2 * np.pi)
        be = weight * np.sqrt(area) / (4 * np.pi * q)
        M, R, V = noise(q, r, weight)
        V = V / width
        A, B, C1, C2, D1, D2, D3 = (
            al**2 * A + V[0],
            al**2 * B + V[1],
            al * (ch * C1 + be * (A + B)) + V[2],
            al * (ch * C2 + 2 * be * B) + V[3],
            ch**2 * D1 + 4 * ch * be * C1 + 2 * be**2 * (A + B) + V[4],
            ch**2 * D2 + 2 * ch * be * (C1 + C2) + be**2 * (A + 3 * B) + V[5],
            ch**2 * D3 + 4 * ch * be * C2 + 4 * be**2 * B + V[6],
        )
        q, r = M, R
    return q, r, (A, B, C1, C2, D1, D2, D3)


def noise(q, r, weight):
    """(E h^2, E h h', covariances) of one neuron h = sqrt(weight) relu(u), u of variance q and covariance r."""
    z = np.linspace(-9, 9, 1201)
    w = np.exp(-(z**2) / 2) * (z[1] - z[0]) / np.sqrt(2 * np.pi)
    e = np.linspace(-9, 9, 6001)
    v = np.exp(-(e**2) / 2) * (e[1] - e[0]) / np.sqrt(2 * np.pi)
    m1, m2, m3, m4 = (
        np.array([v @ np.maximum(np.sqrt(r) * x + np.sqrt(q - r) * e, 0) ** k for x in z]) * weight ** (k / 2)
        for k in (1, 2, 3, 4)
    )
    M, R = w @ m2, w @ m1**2
    V = [
        w @ m4 - M**2,
        w @ m2**2 - M**2,
        w @ (m3 * m1) - M * R,
        w @ (m2 * m1**2) - M * R,
        w @ m2**2 - R**2,
        w @ (m2 * m1**2) - R**2,
        w @ m1**4 - R**2,
    ]
    return M, R, np.array(V)


def centred(A, B, C1, C2, D1, D2, D3):
    """Behind centring over many samples: variance of K_aa, covariance of K_aa and K_bb, variance of K_ab."""
    return A - 4 * C1 + 2 * C2 + 4 * D2 - 3 * D3, B - 2 * C2 + D3, D1 - 2 * D2 + D3
