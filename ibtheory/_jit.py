"""The one place for Numba's flags and the way it compiles, with their reasons; no bare ``njit`` elsewhere.

All compiled functions release the GIL (networks run on threads) and divide as NumPy does (``error_model="numpy"``:
without it every division carries a test that forbids SIMD).

No fast-math flag is set: operations are done as written. Fused multiplications are asked for
(:func:`ibtheory._math.fma`), sums over rows run in a fixed tree of lanes (``simulation.ops.vectors``).

``_nrt=False`` takes out the reference counting of arrays: all memory belongs to the caller, nothing is allocated.

Numba optimizes each function with all that it calls and makes it ready to run, on every level of calls anew. Here the
inner functions are only typed and lowered; the door that calls them is optimized as a whole, once.

Numba's cache knows the file of the door only. Here an entry also depends on the text of all files of this package that
the door's file imports, directly or not.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

import numba
from numba.core.caching import FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder

__all__ = ["door", "inner"]

_ROOT = Path(__file__).parent
_IMPORT = re.compile(r"^from (ibtheory[\w.]*) import (\([^)]*\)|[^\n]*)", re.MULTILINE)


@cache
def _imports(file):
    """Files of this package that a file of it imports at its top, where compiled code finds its names."""
    files = set()
    for module, names in _IMPORT.findall(file.read_text()):
        base = _ROOT.joinpath(*module.split(".")[1:])
        for path in (base, *(base / name for name in re.findall(r"\w+", names))):
            files |= {found for found in (path.with_suffix(".py"), path / "__init__.py") if found.is_file()}
    return files


def imported(file):
    """A file of this package and all that it imports from it, directly or not."""
    found, waiting = set(), {Path(file)}
    while waiting:
        found |= waiting
        waiting = set().union(*map(_imports, waiting)) - found
    return found


def sources(file):
    """A digest of a file of this package and of all that it imports from it."""
    texts = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(imported(file))]
    return hashlib.sha256("".join(texts).encode()).hexdigest()


class _Cache(FunctionCache):
    """Entries on disk that are stale once any of the sources has changed."""

    def __init__(self, function):
        super().__init__(function)
        self._cache_file._source_stamp = sources(function.__code__.co_filename)


class _Part(JITCodeLibrary):
    """Code that is linked into that of doors, where it is optimized and emitted; on its own it can't run."""

    def add_llvm_module(self, module):
        module.data_layout = self._codegen._data_layout
        self._final_module.link_in(module)

    def add_linking_library(self, library):
        library._ensure_finalized()
        parts = library._linking_libraries if isinstance(library, _Part) else []
        self._linking_libraries += [part for part in (library, *parts) if part not in self._linking_libraries]

    def finalize(self):
        for function in self._final_module.functions:
            if not function.is_declaration:
                function.linkage = "linkonce_odr"
        self._finalized = True

    def _get_module_for_linking(self):
        if self._shared_module is None:
            self._shared_module = self._final_module.clone()
            for part in self._linking_libraries:
                module = part._final_module if isinstance(part, _Part) else part._get_module_for_linking()
                self._shared_module.link_in(module, preserve=True)
        return self._shared_module

    def get_pointer_to_function(self, name):
        self._ensure_finalized()
        return 0

    @property
    def codegen(self):
        return self

    def set_env(self, name, environment):
        pass


class _Whole(JITCodeLibrary):
    """Code of a door with all its parts, optimized in one go: the first of Numba's two is for reference counts."""

    def _optimize_final_module(self):
        manager, builder = self._codegen._module_pass_manager()
        manager.run(self._final_module, builder)


def _compiler(library):
    class Compiler(CompilerBase):
        def define_pipelines(self):
            self.state.library = library(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
            self.state.library.enable_object_caching()
            return [DefaultPassBuilder.define_nopython_pipeline(self.state)]

    return Compiler


_common = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}

# Compiles what Python calls, for this process alone.
uncached = numba.njit(pipeline_class=_compiler(_Whole), **_common)


def door(function):
    """Compile what Python calls; kept on disk with all that it calls."""
    dispatcher = uncached(function)
    dispatcher._cache = _Cache(function)
    return dispatcher


# The others are called by compiled code alone: they have no way in from Python.
inner = numba.njit(no_cpython_wrapper=True, pipeline_class=_compiler(_Part), **_common)
