"""Peak memory of a trial."""

from __future__ import annotations

import resource
import sys

import torch

from harness.measurement.metrics import GIB
from harness.records.trial import MemoryRecord


def read_peaks(device: torch.device) -> MemoryRecord:
    """Return the peaks in GiB; device memory is None without CUDA."""
    on_cuda = device.type == "cuda"
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, KiB on Linux
    return MemoryRecord(
        allocated_gib=torch.cuda.max_memory_allocated(device) / GIB if on_cuda else None,
        reserved_gib=torch.cuda.max_memory_reserved(device) / GIB if on_cuda else None,
        rss_gib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIB,
    )


def read_allocator_retries() -> int | None:
    """Return how often the present device's allocator had to empty its cache and try again; None without CUDA."""
    if not torch.cuda.is_available():
        return None
    return int(torch.cuda.memory_stats().get("num_alloc_retries", 0))
