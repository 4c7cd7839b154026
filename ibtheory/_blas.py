"""BLAS on one thread while networks run on threads of their own.

Numba multiplies with the BLAS of SciPy; every library that is loaded is limited. Entries are counted, because threads
of one process come and go: the first one limits, the last one restores.
"""

import os
import threading
from contextlib import contextmanager

import scipy.linalg  # noqa: F401  loads the library that is to be limited
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_entries = 0
_limiter = None


def cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@contextmanager
def one_thread():
    """Limit every BLAS of this process to one thread within the block."""
    global _entries, _limiter
    with _lock:
        if _entries == 0:
            _limiter = ThreadpoolController().limit(limits=1, user_api="blas")
        _entries += 1
    try:
        yield
    finally:
        with _lock:
            _entries -= 1
            if _entries == 0:
                _limiter.restore_original_limits()
                _limiter = None
