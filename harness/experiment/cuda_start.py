"""The CUDA context, made while Python still imports: the driver needs some tenths of a second for it, and no Python."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

DRIVER = "libcuda.so.1"
SUCCESS = 0
"""CUDA_SUCCESS of cuda.h."""


def start_context_beside(load_driver: Callable[[str], Any] = ctypes.CDLL) -> threading.Thread:
    """Make the primary context of the first visible device in a thread, and return that.

    It is the context that PyTorch takes; it lives as long as the process. ctypes gives the interpreter lock back while
    the driver works. Whatever fails here fails again, and is reported, when PyTorch asks.
    """
    thread = threading.Thread(target=retain_primary_context, args=(load_driver,), name="cuda-start", daemon=True)
    thread.start()
    return thread


def retain_primary_context(load_driver: Callable[[str], Any]) -> bool:
    """Retain the primary context of device 0 through the driver's interface; return whether that went well."""
    try:
        driver = load_driver(DRIVER)
    except OSError:
        return False  # no driver: there is nothing to begin
    device, context = ctypes.c_int(), ctypes.c_void_p()
    if driver.cuInit(0) != SUCCESS or driver.cuDeviceGet(ctypes.byref(device), 0) != SUCCESS:
        return False
    return bool(driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device) == SUCCESS)
