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
        actions = [
            ProfilerAction.RECORD_AND_SAVE,  # a loop that never says where a step ends has no other than the first
            *[ProfilerAction.NONE] * config.wait_steps,
            *[ProfilerAction.WARMUP] * config.warmup_steps,
            *[ProfilerAction.RECORD] * (config.active_steps - 1),
            ProfilerAction.RECORD_AND_SAVE,
        ]
        self.profiler = make_profiler(
            config,
            with_cuda=torch.cuda.is_available(),
            schedule=lambda step: actions[step] if step < len(actions) else ProfilerAction.NONE,
            on_trace_ready=self._save,
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

    def _save(self, profiler: profile) -> None:
        """Write the trace that has just ended. Errors wait for `finish`: here they would hide the loop's own."""
        whole_steps = self._steps - self._first_active
        try:
            if self._saved is not None and whole_steps <= 0:
                return
            self._trace.parent.mkdir(parents=True, exist_ok=True)
            profiler.export_chrome_trace(str(self._trace))
            if self._saved is None:
                self._saved = "block" if self._steps == 0 else "first step"
                return
            self._saved = "steps"
            if whole_steps < self._config.active_steps:
                # The last step was cut off: without its annotation only whole steps count.
                with gzip.open(self._trace, "rt", encoding="utf-8") as file:
                    data = json.load(file)
                cut = f"ProfilerStep#{self._steps}"
                data["traceEvents"] = [event for event in data["traceEvents"] if event.get("name") != cut]
                with gzip.open(self._trace, "wt", encoding="utf-8") as file:
                    json.dump(data, file)
        except Exception as error:
            self._failure = error


def _now_s() -> float:
    wait_for_device()
    return time.perf_counter()
