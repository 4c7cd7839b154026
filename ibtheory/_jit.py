"""The one place for Numba's flags, with their reasons; no bare ``njit`` elsewhere.

All compiled functions release the GIL (networks run on threads) and divide as NumPy does (``error_model="numpy"``:
without it every division carries a test that forbids SIMD).

No fast-math flag is set. With them, a function fresh from the compiler and the same function from the cache gave
results that differ in the last bits, because LLVM meets a callee in several modules and may reorder it differently in
each. Operations are done as written instead: fused multiplications by :func:`ibtheory._math.fma`, sums over rows in
a fixed tree of lanes (``simulation.ops.vectors``).

``_nrt=False`` takes out the reference counting of arrays: all memory belongs to the caller, nothing is allocated. It
saves a fifth of the compilation and, on narrow layers, 6 % of the run.

Numba's cache looks at the file of the door only: after an edit of a file whose functions are called from another one,
remove the ``*.nbi`` files of ``__pycache__``.
"""

from functools import partial

import numba

__all__ = ["door", "inner"]

_common = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}

# What Python calls, cached on disk with all that it calls.
door = partial(numba.njit, cache=True, **_common)

# The others are called by compiled code alone: a way in from Python would be a third of the time of compilation.
inner = partial(numba.njit, no_cpython_wrapper=True, **_common)
