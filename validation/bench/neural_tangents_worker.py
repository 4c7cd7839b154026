"""The peer of theory_kernel.py, for the environment of requirements-neural-tangents.txt: answers requests line by line.

A request is a JSON object {"inputs": file, "output": file, "depth": int}; the answer is
{"seconds": CPU seconds of this process}. The first call of a kind compiles and is the caller's to leave out.
"""

import json
import sys
import time
from functools import cache

import jax
import numpy as np
from neural_tangents import stax

jax.config.update("jax_enable_x64", True)


@cache
def kernel_of(depth):
    """The NNGP kernel of a bias-free ReLU network with He weights, ``depth`` hidden layers and a readout."""
    dense = stax.Dense(1, W_std=np.sqrt(2.0), b_std=None)
    _, _, kernel = stax.serial(*[dense, stax.Relu()] * depth, dense)
    return jax.jit(lambda x: kernel(x, None, "nngp"))


def main():
    for line in sys.stdin:
        request = json.loads(line)
        x = jax.numpy.asarray(np.load(request["inputs"]))
        kernel = kernel_of(request["depth"])
        start = time.process_time()
        result = kernel(x).block_until_ready()
        seconds = time.process_time() - start
        np.save(request["output"], np.asarray(result))
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
