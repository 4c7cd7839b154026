"""The NumPy loop that one would write: the peer of forward.py without any framework."""

import numpy as np
from cases import CASES
from worker import serve


def normalize(h, axis):
    h = h - h.mean(axis=axis, keepdims=True)
    return h / np.sqrt((h * h).mean(axis=axis, keepdims=True))


def prepare(case, count):
    """Forward passes of ``count`` random networks, the predictions counted."""
    case = CASES[case]
    rng = np.random.Generator(np.random.SFC64(0))
    x = rng.standard_normal((case.samples, case.features), np.float32)
    axis = 1 if case.norm == "layer" else 0

    def act(h):
        return np.maximum(h, 0) if case.activation == "relu" else np.tanh(h)

    def run():
        for _ in range(count):
            h = x
            for layer, (fan_in, units) in enumerate(case.shapes):
                w = rng.standard_normal((fan_in, units), np.float32)
                w *= np.float32(np.sqrt(2 / fan_in))
                h = h @ w
                if layer < case.depth:
                    h = act(normalize(h, axis)) if case.placement == "before" else normalize(act(h), axis)
            np.bincount(h.argmax(axis=1), minlength=case.classes)

    return run


if __name__ == "__main__":
    serve(prepare)
