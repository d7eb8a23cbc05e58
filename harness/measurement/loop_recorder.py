"""A profiler around a loop that may or may not say where its steps end, and may stop at any time."""

from __future__ import annotations

import contextlib
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
from torch.profiler import ProfilerAction, profile

from harness.config import ProfileConfig
from harness.errors import RecordError
from harness.measurement.profiling import make_profiler, wait_for_device

Seen = Literal["block", "first step", "steps"]
"""What a trace holds: all of a loop that never called `step`, only its first step, or the steps that were asked for."""


class LoopRecorder:
    """Runs the profiler, is told of steps, and keeps the best trace there was."""

    def __init__(self, config: ProfileConfig, trace: Path) -> None:
        self._config = config
        self._trace = trace
        self._steps = 0
        self._saved: Seen | None = None
        self._failure: Exception | None = None
        self._unprofiled_start_s = 0.0
        self.unprofiled_step_ms: float | None = None
        """Mean of the steps between the first one and the profiler's warm-up; None if there are none."""
        self._first_active = 1 + config.wait_steps + config.warmup_steps
        """Number of the first active step, from 0."""
        self.profiler = make_profiler(
            config, with_cuda=torch.cuda.is_available(), schedule=self._schedule, on_trace_ready=self._save
        )

    @contextlib.contextmanager
    def record(self) -> Iterator[None]:
        """Profile the loop inside."""
        wait_for_device()  # what still runs when the first step's mark opens would be booked on it
        with self.profiler:
            yield

    def step(self) -> None:
        """Say that a step has ended."""
        self._steps += 1
        wait = self._config.wait_steps
        if wait > 0 and self._steps == 1 + wait:
            self.unprofiled_step_ms = (_now_s() - self._unprofiled_start_s) / wait * 1000.0
        if self._steps == self._first_active:
            wait_for_device()
        self.profiler.step()
        if wait > 0 and self._steps == 1:
            self._unprofiled_start_s = _now_s()

    def finish(self) -> Seen:
        """Return what the trace holds; RecordError if none could be written."""
        if self._saved is None or self._failure is not None:
            why = "nothing was recorded" if self._failure is None else str(self._failure)
            raise RecordError(f"{self._trace} was not written: {why}", remedy="profile more steps") from self._failure
        return self._saved

    def _schedule(self, step: int) -> ProfilerAction:
        """Return what to do in a step, numbered from 0: record the first, then wait, warm up, and the active ones once.

        The first step is recorded because a loop that never says where a step ends has no other.
        """
        last = self._first_active + self._config.active_steps - 1
        if step in (0, last):
            return ProfilerAction.RECORD_AND_SAVE
        if self._first_active <= step < last:
            return ProfilerAction.RECORD
        warms_up = self._first_active - self._config.warmup_steps <= step < self._first_active
        return ProfilerAction.WARMUP if warms_up else ProfilerAction.NONE

    def _save(self, profiler: profile) -> None:
        """Write the trace that has just ended. Errors wait for `finish`: here they would hide the loop's own."""
        try:
            if self._saved is None:
                self._export(profiler)
                self._saved = "block" if self._steps == 0 else "first step"
                return
            whole_steps = self._steps - self._first_active
            if whole_steps > 0:
                self._export(profiler)
                self._saved = "steps"
            if 0 < whole_steps < self._config.active_steps:
                drop_step(self._trace, self._steps)
        except Exception as error:
            self._failure = error

    def _export(self, profiler: profile) -> None:
        self._trace.parent.mkdir(parents=True, exist_ok=True)
        profiler.export_chrome_trace(str(self._trace))


def drop_step(trace: Path, number: int) -> None:
    """Take the annotation of a step that was cut off out of a trace, so that only whole steps count."""
    with gzip.open(trace, "rt", encoding="utf-8") as file:
        data = json.load(file)
    name = f"ProfilerStep#{number}"
    data["traceEvents"] = [event for event in data["traceEvents"] if event.get("name") != name]
    with gzip.open(trace, "wt", encoding="utf-8") as file:
        json.dump(data, file)


def _now_s() -> float:
    wait_for_device()
    return time.perf_counter()
