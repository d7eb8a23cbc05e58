"""The parts of a call: commands with a time limit each, interrupted at it, killed if that does not end them."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

GRACE_S = 10.0
"""For an interrupted part to end by itself: pytest prints its failures, a run ends its workers."""

LEAST_S = 10.0
"""A part that would have less is not started."""

TICK_S = 1.0
"""How often is looked whether there is something new to keep."""

LAST_LINES = 40
"""Of a part's log, on the terminal."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One command of a call."""

    name: str
    what: str
    command: tuple[str, ...]
    expected_s: float
    """Estimated for an H100, not measured."""
    limit_s: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a part ended."""

    part: Part
    result: str
    took_s: float

    @property
    def failed(self) -> bool:
        """Whether it did anything but end well."""
        return self.result != "exit status 0"


def run_part(
    part: Part,
    folder: Path,
    env: dict[str, str],
    *,
    left_s: float,
    on_tick: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run one part for as long as it may and as is left, its output to a log and the end of it to the terminal."""
    if left_s < LEAST_S:
        return Outcome(part=part, result="not started: no time was left", took_s=0.0)
    print(f"== {part.name}: {part.what}", flush=True)
    start_s = time.monotonic()
    path = folder / f"{part.name}.log"
    with path.open("w", encoding="utf-8") as log:
        log.write(" ".join(part.command) + "\n")
        log.flush()
        process = subprocess.Popen(part.command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)
        result = wait(process, limit_s=min(part.limit_s, left_s), on_tick=on_tick)
    print("\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]), flush=True)
    return Outcome(part=part, result=result, took_s=time.monotonic() - start_s)


def wait(process: subprocess.Popen[bytes], *, limit_s: float, on_tick: Callable[[], None] = lambda: None) -> str:
    """Return how the process ended; at its limit, or if this process is told to end, it is interrupted."""
    deadline_s = time.monotonic() + limit_s
    why = f"at its limit of {limit_s:.0f} s"
    try:
        while (left_s := deadline_s - time.monotonic()) > 0:
            try:
                return f"exit status {process.wait(min(TICK_S, left_s))}"
            except subprocess.TimeoutExpired:
                on_tick()
    except KeyboardInterrupt:
        end(process)
        raise
    return f"{end(process)} {why}"


def end(process: subprocess.Popen[bytes]) -> str:
    """Interrupt the process, and kill it if that does not end it; return which of them ended it."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return f"killed {GRACE_S:g} s after being interrupted"
    return "interrupted"


def hear_interrupts() -> None:
    """Have this process and the parts heed an interrupt, and take a termination for one.

    What a shell starts in the background ignores interrupts, and so would its children.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
