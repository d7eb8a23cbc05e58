"""`torch.profiler` sessions: a schedule, a trace that opens elsewhere, and the sums by operator."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from harness.config import ProfileConfig
from harness.errors import ConfigError
from harness.records.profile import KernelRow, ProfileRecord

TRACE_FOLDER = "trace"


def check_schedule(config: ProfileConfig, available_steps: int) -> None:
    """ConfigError if the schedule needs more steps than the training has: no trace would ever be written."""
    if config.enabled and config.total_steps > available_steps:
        raise ConfigError(
            f"the profiler's schedule needs {config.total_steps} steps (wait {config.wait_steps}, warm-up "
            f"{config.warmup_steps}, active {config.active_steps}), the training has {available_steps}",
            remedy="use more training questions or --max-steps, or switch it off with --no-profile",
        )


@dataclass(kw_only=True)
class ProfileSession:
    """A running session; call `step` after each training step."""

    config: ProfileConfig
    profiler: profile
    metadata: dict[str, str]
    steps_done: int = 0
    active_start_s: float | None = None
    active_time_s: float | None = None
    new_memory: tuple[int, float] | None = None
    """Of the active steps: page faults, and processor time in the system."""
    _usage_before: tuple[int, float] = (0, 0.0)

    def step(self) -> None:
        """Tell the profiler that a step has ended, and time the active ones."""
        self.steps_done += 1
        first_active = self.config.wait_steps + self.config.warmup_steps
        if self.steps_done == self.config.total_steps and self.active_start_s is not None:
            wait_for_device()
            self.active_time_s = time.perf_counter() - self.active_start_s
            faults, system_s = read_new_memory()
            self.new_memory = (faults - self._usage_before[0], system_s - self._usage_before[1])
        if self.steps_done == first_active:
            wait_for_device()  # what still runs when the step's mark opens would be booked on it
        self.profiler.step()
        if self.steps_done == first_active:
            self.begin_active()

    def begin_active(self) -> None:
        """Note the start of the first active step. Metadata is taken only by a trace that is being recorded."""
        for key, value in self.metadata.items():
            self.profiler.add_metadata(key, value)
        self._usage_before = read_new_memory()
        self.active_start_s = time.perf_counter()


def read_new_memory() -> tuple[int, float]:
    """Return how many pages the system has handed to this process, and its processor time in the system.

    A page that is new to a process is cleared when it is first touched, and on a virtual machine the host may have to
    find it first: 1.3 to 11 µs each. Temporary tensors of more than 32 MiB are new memory each time (glibc gives such
    blocks back at once), smaller ones while a process is young.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt, usage.ru_stime


def wait_for_device() -> None:
    """Wait until all is done that was launched; without CUDA there is nothing to wait for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def make_profiler(config: ProfileConfig, *, with_cuda: bool, **options: Any) -> profile:
    """Return a profiler of host and device that follows `options`, among them its schedule."""
    return profile(
        activities=[ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if with_cuda else []),
        record_shapes=config.record_shapes,
        with_stack=config.with_stack,
        acc_events=True,  # a new cycle throws the events away otherwise that key_averages() needs, and warns of it
        **options,
    )


@contextmanager
def profile_session(config: ProfileConfig, device: torch.device, metadata: dict[str, str]) -> Iterator[ProfileSession]:
    """Profile the steps inside; `metadata` lands in the trace's top level."""
    steps = schedule(wait=config.wait_steps, warmup=config.warmup_steps, active=config.active_steps, repeat=1)
    session = make_profiler(config, with_cuda=device.type == "cuda", schedule=steps)
    wait_for_device()
    with session as profiler:
        running = ProfileSession(config=config, profiler=profiler, metadata=metadata)
        if config.wait_steps + config.warmup_steps == 0:
            running.begin_active()
        yield running


def save_profile(session: ProfileSession, directory: Path, contender: str) -> ProfileRecord:
    """Write the trace as `trace/<contender>.pt.trace.json.gz` and return the sums by operator.

    Raises ConfigError if the schedule never finished.
    """
    if session.active_time_s is None:
        check_schedule(session.config, session.steps_done)
        raise ConfigError("the profiler's schedule did not finish", remedy="run more steps")
    path = directory / TRACE_FOLDER / f"{contender}.pt.trace.json.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    session.profiler.export_chrome_trace(str(path))
    on_cuda = torch.cuda.is_available()
    rows = [
        KernelRow(
            name=event.key,
            calls=event.count,
            self_device_time_s=event.self_device_time_total / 1e6 if on_cuda else None,
            self_cpu_time_s=event.self_cpu_time_total / 1e6,
        )
        for event in session.profiler.key_averages()
    ]
    return ProfileRecord(
        active_steps=session.config.active_steps,
        trace_file=str(path.relative_to(directory)),
        active_time_s=session.active_time_s,
        page_faults=None if session.new_memory is None else session.new_memory[0],
        system_time_s=None if session.new_memory is None else session.new_memory[1],
        kernels=tuple(sorted(rows, key=lambda row: (row.self_device_time_s or 0.0, row.self_cpu_time_s), reverse=True)),
    )
