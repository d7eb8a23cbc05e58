"""A thread that takes samples while something else runs, and says what that cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypeVar

from harness.measurement.host import HostReader
from harness.measurement.samples import Sample

if TYPE_CHECKING:
    from harness.measurement.nvml import NvmlGpu

T = TypeVar("T")

MOST_SHARE = 0.01
"""Of a processor that readings may take: after a dear one the next waits. A reading of all metrics takes 0.07 ms on
some machines, and took 4 ms on a virtual machine with an H100, 4 % at 0.1 s."""

MOST_ERROR_TEXTS = 10
"""Different texts that are kept; all errors are counted."""


OF_A_SLICE = "it is a slice of a GPU (MIG), of which the driver reports neither utilisation nor power"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where samples come from."""

    read: Callable[[], Sample]
    kind: Literal["nvml", "psutil"] = "psutil"
    reason: str | None = None
    """Why it is not NVML, or what to know about how NVML was found."""
    gpu: NvmlGpu | None = None
    """For its `info` and `power_source`; closed at the sampler's end."""


def next_tick(tick: int, elapsed_s: float, interval_s: float) -> int:
    """Return the number of the tick after `tick` whose time (number × interval) has not passed at `elapsed_s`.

    Ticks that were missed are left out, so that late samples never come in a bunch and the schedule never drifts.
    """
    return max(tick, int(elapsed_s / interval_s)) + 1


class Sampler:
    """Context manager: samples at once, then every `interval_s`, and a last time at the end; good for one use.

    Readings that cost much processor time come at multiples of it (`MOST_SHARE`).

    The source is opened by the sampling thread, so that what is watched does not wait for it (NVML takes 0.1 to 0.2 s).
    An exception in a reading is counted and its text kept; the thread goes on. Times are seconds.
    """

    def __init__(
        self, open_source: Callable[[], Source], *, interval_s: float = 0.1, stop_timeout_s: float = 10.0
    ) -> None:
        if interval_s <= 0:
            raise ValueError(f"interval_s is {interval_s}, must be more than 0")
        self.source = host_source("no source of samples has been opened so far")
        """Known for sure at the end."""
        self.samples: list[Sample] = []
        self.ticks = 0
        self.errors = 0
        self.error_texts: list[str] = []
        self.busy_s = 0.0
        """Processor time of the sampling thread: what it takes from the work beside it, opening the source included."""
        self.elapsed_s = 0.0
        """From the start to the end; 0 before that."""
        self._open_source = open_source
        self._interval_s = interval_s
        self._stop_timeout_s = stop_timeout_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._start_s = 0.0

    @property
    def overhead_share(self) -> float:
        """The thread's processor time over elapsed time; 0 before the end."""
        return self.busy_s / self.elapsed_s if self.elapsed_s > 0 else 0.0

    def __enter__(self) -> Sampler:
        """Start the thread; RuntimeError when the sampler was used before."""
        self._start_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the last sample and close the GPU; a reading that hangs is left behind and counted as an error."""
        self._stop.set()
        self._thread.join(self._stop_timeout_s)
        self.elapsed_s = time.monotonic() - self._start_s
        if self._thread.is_alive():
            self._count_error(f"the last reading did not return within {self._stop_timeout_s:g} s")
        elif self.source.gpu is not None:
            self.source.gpu.close()

    def _run(self) -> None:
        start_s, start_busy_s = self._start_s, time.thread_time()
        opened = self._guard(self._open_source)
        self.source = opened or host_source(f"opening the source failed: {self.error_texts[-1]}")
        tick, stopping = 0, False
        while True:
            before_s = time.thread_time()
            sample = self._guard(self.source.read)
            self.samples += [] if sample is None else [sample]
            self.ticks += 1
            after_s = time.thread_time()
            self.busy_s = after_s - start_busy_s
            if stopping:
                return
            rested_s = time.monotonic() - start_s + (after_s - before_s) / MOST_SHARE
            tick = next_tick(tick, rested_s, self._interval_s)
            stopping = self._stop.wait(max(0.0, start_s + tick * self._interval_s - time.monotonic()))

    def _guard(self, call: Callable[[], T]) -> T | None:
        """Return None after an error: whatever goes wrong here must not end the trial that is being watched."""
        try:
            return call()
        except Exception as error:
            self._count_error(f"{type(error).__name__}: {error}")
            return None

    def _count_error(self, text: str) -> None:
        self.errors += 1
        if text not in self.error_texts and len(self.error_texts) < MOST_ERROR_TEXTS:
            self.error_texts.append(text)


def open_source(*, device_type: str, gpu_uuid: str | None, root_pid: int | None = None) -> Source:
    """Return the GPU for "cuda" when NVML knows it, else the host; `reason` says why.

    `root_pid` (default: this process) is the head of the processes that don't count as others on the GPU.
    """
    if device_type != "cuda":
        return host_source(f"the device is {device_type}")
    from harness.measurement import nvml  # importing pynvml takes 0.1 s, which a run without a GPU need not wait for

    try:
        gpu = nvml.open_gpu(gpu_uuid, root_pid=root_pid)
    except nvml.NvmlUnavailableError as error:
        return host_source(error.message)
    found = [] if gpu_uuid is not None else ["no UUID was given: the first device in NVML's order was taken"]
    found += [OF_A_SLICE] if gpu.info.is_slice else []
    return Source(read=gpu.read, kind="nvml", reason="; ".join(found) or None, gpu=gpu)


def host_source(reason: str) -> Source:
    """Return the host, watched through psutil."""
    return Source(read=HostReader().read, kind="psutil", reason=reason)
