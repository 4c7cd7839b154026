"""Which hot loops run in vector instructions: their machine code, read once.

    python validation/bench/vectorization.py [--json FILE]

Every kernel is compiled alone for float32. "packed" counts floating-point instructions on several numbers at once
(ymm or xmm registers), "fused" those among them that multiply and add, "scalar" those on one number; remainders of
loops are scalar, so the packed ones need only be there. x86-64 alone.
"""

import argparse
import re
from pathlib import Path

from numba import boolean, float32, float64, int64, uint32
from timing import write

from ibtheory import _jit
from ibtheory.simulation import random
from ibtheory.simulation.ops import norms, pointwise, updates, vectors

_F, _D, _U = float32[::1], float64[::1], uint32[::1]
KERNELS = {
    pointwise.copy: (_F, _F),
    pointwise.add: (_F, _F),
    pointwise.slopes: (_F, float32, float32),
    pointwise.slopes_back: (_F, _F, float32, float32),
    pointwise.tanh: (_F,),
    pointwise.tanh_back: (_F, _F),
    pointwise.erf: (_F,),
    pointwise.erf_back: (_F, _F),
    pointwise.gelu: (_F,),
    pointwise.gelu_back: (_F, _F),
    pointwise.sigmoid: (_F,),
    pointwise.sigmoid_back: (_F, _F),
    pointwise.silu: (_F,),
    pointwise.silu_back: (_F, _F),
    pointwise.softplus: (_F,),
    pointwise.softplus_back: (_F, _F),
    pointwise.mish: (_F,),
    pointwise.mish_back: (_F, _F),
    pointwise.affine: (_F, float32, float32),
    norms._apply: (_F, float32, float32, float32),
    norms._project: (_F, _F, float32, float32, float32),
    vectors.row_sums: (_F, int64, boolean, _D, _D),
    vectors.row_products: (_F, _F, int64, _D, _D),
    vectors.merge_moments: (_F, int64, int64, _D, _D, int64),
    vectors.affine_columns: (_F, int64, int64, int64, _F, _F, float32),
    vectors.add_columns: (_F, _F, int64, int64, int64, _D, _D),
    updates.sgd: (_F, _F, _F, float64, _D),
    updates.adam: (_F, _F, _F, _F, float64, _D, int64, boolean),
    random._box_muller: (_U, _U, _F, _F, float32),
    random._uniform: (_U, _F, float32),
}
_ARITHMETIC = re.compile(r"^\s*v(fn?m(?:add|sub)\d+|add|sub|mul|div|sqrt|max|min)(p|s)[sd]\s.*$", re.MULTILINE)
_MOVED = re.compile(r"^\s*vmovu?a?ps\s.*%ymm", re.MULTILINE)


def counts(kernel, signature):
    """Floating-point instructions of a kernel."""
    dispatcher = _jit.uncached(kernel.py_func)
    dispatcher.compile(signature)
    (code,) = dispatcher.inspect_asm().values()
    found = _ARITHMETIC.findall(code)
    return {
        "packed": sum(kind == "p" for _, kind in found),
        "fused": sum(kind == "p" and name.startswith("f") for name, kind in found),
        "scalar": sum(kind == "s" for _, kind in found),
        "moves of eight": len(_MOVED.findall(code)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for kernel, signature in KERNELS.items():
        name = f"{kernel.py_func.__module__.removeprefix('ibtheory.simulation.')}.{kernel.py_func.__name__}"
        rows.append({"kernel": name, **counts(kernel, signature)})
        text = ", ".join(f"{count} {what}" for what, count in list(rows[-1].items())[1:])
        vectorized = rows[-1]["packed"] or rows[-1]["moves of eight"]
        print(f"{name:28} {'vectorized' if vectorized else 'SCALAR':10}  {text}")
    write(options.json, rows=rows)


if __name__ == "__main__":
    main()
