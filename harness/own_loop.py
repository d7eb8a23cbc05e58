"""`harness.profile`: some steps of anybody's PyTorch loop under the profiler, their ledger, and what it says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from harness import registry
from harness.analysis.advice.advice import ADVICE_FILE, Advice, write_advice
from harness.analysis.advice.diagnosis import find
from harness.analysis.advice.facts import Facts
from harness.analysis.advice.findings import Finding
from harness.analysis.advice.gathering import fast_dtypes, held_memory_gib, memory_gib
from harness.analysis.trace.ledger import build_ledger
from harness.analysis.trace.model import Ledger
from harness.analysis.trace.observed import observe
from harness.cli.advice_console import print_advice
from harness.config import ProfileConfig
from harness.errors import ConfigError
from harness.measurement.environment import choose_device, describe_environment
from harness.measurement.loop_recorder import LoopRecorder
from harness.measurement.memory import read_allocator_retries, read_peaks
from harness.measurement.profiling import TRACE_FOLDER

TRACE_FILE = f"{TRACE_FOLDER}/loop.pt.trace.json.gz"

SUBJECT = "loop"
"""What the advice is about, where others name a strategy or stack."""

SCOPE = "shares and bounds are of the loop's steps: start-up and evaluation were not seen"

CAVEATS = {
    "block": "the loop never called step(): the whole block counts as one step, with all that is done only once",
    "first step": "the loop ended before the steps to record: this is its first step, with all that is done only once",
}
"""By what the trace holds."""


class LoopProfile:
    """A loop that is being profiled. Ledger and findings are there when its block has ended."""

    def __init__(self, directory: Path, recorder: LoopRecorder) -> None:
        self._directory = directory
        self._recorder = recorder
        self._retries = read_allocator_retries()
        self.advice: Advice | None = None

    def step(self) -> None:
        """Say that a step of the loop has ended."""
        self._recorder.step()

    @property
    def ledger(self) -> Ledger | None:
        """Where a step's time goes; None before the block's end."""
        return None if self.advice is None else self.advice.ledger

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What holds the loop back, largest share first."""
        return () if self.advice is None else self.advice.findings

    def finish(self) -> Advice:
        """Build the ledger from the trace and write it; RecordError if the trace can't be read."""
        seen, unprofiled_step_ms = self._recorder.finish(), self._recorder.unprofiled_step_ms
        trace = self._directory / TRACE_FILE
        ledger = build_ledger(trace, unprofiled_step_ms=unprofiled_step_ms, windows_per_step=None)
        retries = None if self._retries is None else (read_allocator_retries() or 0) - self._retries
        facts = facts_of_loop(trace, ledger, retries)
        self.advice = Advice(
            subject=SUBJECT,
            phases_s=facts.phases_s,
            ledger=ledger,
            findings=tuple(finding for finding, _ in find(facts)),
            trace_file=TRACE_FILE,
            notes=(SCOPE, *([CAVEATS[seen]] if seen in CAVEATS else [])),
        )
        write_advice(self._directory, self.advice)
        return self.advice


def facts_of_loop(trace: Path, ledger: Ledger, allocator_retries: int | None) -> Facts:
    """Return what can be known of a foreign loop: its job is one step, its settings are what the operators show."""
    device = choose_device("auto" if ledger.time_kind == "device" else "cpu")
    environment = describe_environment(device)
    peaks = read_peaks(device)
    registry.load_all()  # What it imports must not count in the peaks.
    settings = observe(trace)
    step_ms = ledger.profiled_step_ms if ledger.unprofiled_step_ms is None else ledger.unprofiled_step_ms
    if (
        settings.forward_dtype == "float32"
        and device.type == "cuda"
        and torch.backends.cuda.matmul.fp32_precision == "tf32"
    ):
        settings = replace(settings, forward_dtype="tf32")
    return Facts(
        phases_s={"training": step_ms / 1000.0},
        ledger=ledger,
        settings=settings,
        device="cuda" if device.type == "cuda" else "cpu",
        fast_dtypes=fast_dtypes(environment, None),
        peak_memory_gib=held_memory_gib(peaks),
        memory_gib=memory_gib(environment),
        allocator_retries=allocator_retries,
        catalogue=registry.catalogue(),
    )


@contextlib.contextmanager
def profile_loop(directory: Path, config: ProfileConfig, *, show: bool) -> Iterator[LoopProfile]:
    """Profile the loop inside; see `harness.profile`."""
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory} is a file", remedy="give another directory")
    others = sorted({path.name for path in directory.glob("*")} - {ADVICE_FILE, TRACE_FOLDER})
    if others:
        raise ConfigError(
            f"{directory} holds something else than the profile of a loop ({others[0]})",
            remedy="give another directory",
        )
    recorder = LoopRecorder(config, directory / TRACE_FILE)
    loop = LoopProfile(directory, recorder)
    try:
        with recorder.record():
            yield loop
    except BaseException:
        # The loop's own error is the one to be seen; what was recorded before it is kept if it can be.
        with contextlib.suppress(Exception):
            loop.finish()
        raise
    advice = loop.finish()
    if show:
        print_advice(advice, directory, Console())
