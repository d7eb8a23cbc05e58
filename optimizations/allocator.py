"""glibc's memory allocator, told to keep what it has.

What it changes: the process starts with `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` (huge pages for the heap),
`MALLOC_MMAP_MAX_=0` (no mapping of its own for a large tensor), and a trim threshold and a padding so large that memory
goes neither back to the system nor comes in small pieces.
Why it is faster: PyTorch asks malloc for every activation. By default glibc maps each large one anew, so that each step
faults in and zeroes hundreds of MiB of pages in the kernel. Seen with a plain bf16 loop on DistilBERT sizes, two Zen 4
cores: 4.4 to 5.4 windows/s; tcmalloc and jemalloc gained less there, so they are not tried.
As a strategy over the fp32 baseline, two Zen 3 cores: 1.09 times the step rate over four blocks of 0.97 to 1.25, so
not resolved; on two Zen 5 cores 0.99 (0.94 to 1.05). With the bundled model at the quick preset's sizes 34,300 page
faults a step become 2 to 23, and the system's part of its processor time, 0.04 s of 0.52 s or many times that, goes
away. In a stack's first steps its heap is new memory, page by page.
When it is not: on a GPU, where PyTorch has an allocator of its own; where huge pages are switched off, for a part.
What it does to the numbers: nothing. The process keeps its peak memory.
Sources: glibc manual, "Malloc Tunable Parameters" and "Memory Allocation Tunables"; mallopt(3); PyTorch recipes,
"Performance Tuning Guide" (CPU memory allocators).
"""

from __future__ import annotations

import os
import platform

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup

HUGE_PAGES = "glibc.malloc.hugetlb=1"

VARIABLES = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


def is_glibc() -> bool:
    """Whether this is Linux with glibc."""
    return platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"


@register
class Allocator(Strategy):
    """glibc's malloc that keeps its memory."""

    name = "allocator"
    summary = "glibc's malloc keeps memory, in huge pages, instead of mapping it anew in each step"
    effect = Effect.SAME_MATH
    stage = Stage.DATA
    devices = ("cpu",)
    elsewhere = "only tensors on the host come from malloc, PyTorch has an allocator of its own for other devices"

    def process_environment(self) -> dict[str, str]:
        """Malloc reads its settings when a process starts; the caller's other tunables stay."""
        if not is_glibc():
            return {}
        given = os.environ.get("GLIBC_TUNABLES", "").split(":")
        kept = [part for part in given if part and not part.startswith("glibc.malloc.hugetlb=")]
        return {"GLIBC_TUNABLES": ":".join([*kept, HUGE_PAGES]), **VARIABLES}

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """There must be glibc."""
        if not is_glibc():
            return f"these are settings of glibc on Linux, this is {platform.system()} with another C library"
        return super().not_applicable(setup)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Say what the process was started with; nothing can be changed any more."""
        names = ("GLIBC_TUNABLES", *VARIABLES)
        settings = ", ".join(f"{name}={os.environ.get(name, 'unset')}" for name in names)
        return setup.with_knobs({"allocator": f"glibc, {settings}"})
