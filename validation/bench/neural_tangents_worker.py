"""The peer of theory_kernel.py, for the environment of requirements-neural-tangents.txt.

The first call of a kind compiles and is the caller's to leave out.
"""

from functools import cache

import jax
import numpy as np
from neural_tangents import stax
from worker import serve

jax.config.update("jax_enable_x64", True)


@cache
def kernel_of(depth):
    """The NNGP kernel of a bias-free ReLU network with He weights, ``depth`` hidden layers and a readout."""
    dense = stax.Dense(1, W_std=np.sqrt(2.0), b_std=None)
    _, _, kernel = stax.serial(*[dense, stax.Relu()] * depth, dense)
    return jax.jit(lambda x: kernel(x, None, "nngp"))


def prepare(inputs, output, depth):
    """The kernel of the samples in one file, into another."""
    x, kernel = jax.numpy.asarray(np.load(inputs)), kernel_of(depth)

    def run():
        result = kernel(x).block_until_ready()
        return lambda: np.save(output, np.asarray(result))

    return run


if __name__ == "__main__":
    serve(prepare)
