"""What a profiled trial leaves: the sums by kernel or operator, and where its trace is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KernelRow:
    """One kernel (CUDA) or operator (CPU) of a profiled session."""

    name: str
    calls: int
    self_device_time_s: float | None
    """None without an accelerator."""
    self_cpu_time_s: float


@dataclass(frozen=True, kw_only=True)
class ProfileRecord:
    """What `torch.profiler` saw over its active steps."""

    active_steps: int
    trace_file: str
    """Chrome trace in the trial's directory (`*.pt.trace.json.gz`)."""
    active_time_s: float
    """Wall-clock of the active steps, profiler overhead included."""
    kernels: tuple[KernelRow, ...]
    """Longest first, all of them."""
    page_faults: int | None = None
    """Pages of memory that the system handed out anew in the active steps; None: not measured."""
    system_time_s: float | None = None
    """Processor time that the process spent in the system in the active steps, new memory above all."""
