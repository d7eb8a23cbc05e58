"""What a worker does before it imports PyTorch, so that a job of seconds is not mostly imports."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder
from importlib.metadata import version
from types import ModuleType
from typing import Any

META_KERNELS = "torch._meta_registrations"
"""PyTorch's kernels that compute shapes alone, for compilers and the "meta" device. Importing PyTorch imports them, and
with them its reference implementations: a fifth of the time. Training on real tensors never calls them."""

COMPILER = "torch._dynamo"

TRIED = ("2.11.", "2.12.", "2.13.")
"""Versions of PyTorch that import them as the last of their own parts, and use nothing of the module's."""

DRIVER = "libcuda.so.1"
SUCCESS = 0
"""CUDA_SUCCESS of cuda.h."""


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


def retain_primary_context(load_driver: Callable[[str], Any] = ctypes.CDLL) -> bool:
    """Make the primary context of the first visible device; return whether that went well.

    The driver needs some tenths of a second for it, and no Python: ctypes gives the interpreter lock back while it
    works, so call this in a thread. It is the context that PyTorch takes; it lives as long as the process. Whatever
    fails here fails again, and is reported, when PyTorch asks.
    """
    try:
        driver = load_driver(DRIVER)
    except OSError:
        return False  # no driver: there is nothing to begin
    device, context = ctypes.c_int(), ctypes.c_void_p()
    if driver.cuInit(0) != SUCCESS or driver.cuDeviceGet(ctypes.byref(device), 0) != SUCCESS:
        return False
    return bool(driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device) == SUCCESS)
