"""What a worker does before it imports PyTorch, so that a job of seconds is not mostly imports."""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.metadata import version
from types import ModuleType

META_KERNELS = "torch._meta_registrations"
"""PyTorch's kernels that compute shapes alone, for compilers and the "meta" device. Importing PyTorch imports them, and
with them its reference implementations: a fifth of the time. Training on real tensors never calls them."""

COMPILER = "torch._dynamo"

TRIED = ("2.11.", "2.12.", "2.13.")
"""Versions of PyTorch that import them as the last of their own parts, and use nothing of the module's."""


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Import inside without Python's garbage collector, which would look through all that was imported again and again.

    What is there at the end stays until the process ends, so it is taken out of the collector's sight.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def defer_meta_kernels() -> None:
    """Have the import of PyTorch leave its meta kernels out, if it is a version that this was tried with."""
    if META_KERNELS not in sys.modules and version("torch").startswith(TRIED):
        sys.modules[META_KERNELS] = _Deferred(META_KERNELS)
        sys.meta_path.insert(0, _BeforeCompiler())


def register_meta_kernels() -> None:
    """Import them now, if they were left out."""
    if isinstance(sys.modules.get(META_KERNELS), _Deferred):
        del sys.modules[META_KERNELS]
        importlib.import_module(META_KERNELS)


class _Deferred(ModuleType):
    """Stands where the module will be."""


class _BeforeCompiler(MetaPathFinder):
    """Finds nothing; has the meta kernels imported when the compiler is, which calls them."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Leave finding to the others."""
        if fullname == COMPILER:
            sys.meta_path.remove(self)
            register_meta_kernels()
