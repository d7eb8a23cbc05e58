"""Where the profiled steps spent their time, by kernel (CUDA) or operator (CPU)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from harness.records.profile import KernelRow, ProfileRecord
    from harness.records.store import LoadedTrial

TOP_KERNELS = 12
"""Rows that a report shows."""


@dataclass(frozen=True, kw_only=True)
class KernelShare:
    """One kernel or operator of the profiled steps."""

    name: str
    calls_per_step: float
    time_ms_per_step: float
    """Self time: without what it called."""
    share: float
    """Of the self time of all rows, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class ProfileSummary:
    """What the profiled trial says."""

    time_kind: Literal["device", "cpu"]
    """Whose self time is summed up."""
    active_steps: int
    profiled_step_time_ms: float
    """Wall-clock of an active step, profiler overhead included."""
    unprofiled_step_time_ms: float | None
    """Median step of the timing trials; None when there is none."""
    overhead: float | None
    """Profiled ÷ unprofiled step time − 1."""
    total_time_ms_per_step: float
    """Self time of all rows."""
    other_rows: int
    """Rows beyond the top ones."""
    other_share: float
    kernels: tuple[KernelShare, ...]
    """Longest first."""
    trace_file: str
    """Relative to the run directory."""


def summarise_profile(
    trial: LoadedTrial, profile: ProfileRecord, *, unprofiled_step_time_ms: float | None, top: int = TOP_KERNELS
) -> ProfileSummary | None:
    """Return the longest rows of a trial with their share; None if the session recorded no step or no time at all."""
    if profile.active_steps < 1:
        return None
    on_device = any(row.self_device_time_s for row in profile.kernels)
    rows = device_rows(profile.kernels) if on_device else list(profile.kernels)
    times_s = [(row, (row.self_device_time_s or 0.0) if on_device else row.self_cpu_time_s) for row in rows]
    total_s = sum(time_s for _, time_s in times_s)
    if total_s <= 0:
        return None
    times_s.sort(key=lambda item: (-item[1], item[0].name))
    profiled_ms = profile.active_time_s / profile.active_steps * 1000.0
    shown = [
        KernelShare(
            name=row.name,
            calls_per_step=row.calls / profile.active_steps,
            time_ms_per_step=time_s / profile.active_steps * 1000.0,
            share=time_s / total_s,
        )
        for row, time_s in times_s[:top]
    ]
    rest = [time_s for _, time_s in times_s[top:] if time_s > 0]
    return ProfileSummary(
        time_kind="device" if on_device else "cpu",
        active_steps=profile.active_steps,
        profiled_step_time_ms=profiled_ms,
        unprofiled_step_time_ms=unprofiled_step_time_ms,
        overhead=profiled_ms / unprofiled_step_time_ms - 1.0 if unprofiled_step_time_ms else None,
        total_time_ms_per_step=total_s / profile.active_steps * 1000.0,
        other_rows=len(rest),
        other_share=sum(rest) / total_s,
        kernels=tuple(row for row in shown if row.time_ms_per_step > 0),
        trace_file=f"trials/{trial.record.contender}/{trial.directory.name}/{profile.trace_file}",
    )


def device_rows(rows: tuple[KernelRow, ...]) -> list[KernelRow]:
    """Return the rows that ran on the device, each second counted once.

    The profiler's sums give a kernel's time twice: to the kernel (which has no CPU time) and to the operator that
    launched it. An annotation (`ProfilerStep*`) also has a span on the device, beside a row of its name with CPU time.
    """
    on_host = {row.name for row in rows if row.self_cpu_time_s > 0}
    kernels = [row for row in rows if row.self_cpu_time_s <= 0 and row.self_device_time_s and row.name not in on_host]
    return kernels or [row for row in rows if row.self_device_time_s]
