"""A worker: `python -m harness.experiment.worker DIRECTORY SPAWN_TIME` does what it is told until its input ends.

Its specification is `spec.json` in that directory. Commands come as JSON lines on standard input and are answered by
JSON lines on what was standard output; what libraries print goes to standard error, and that to the log. Imports of
weight come late, so that they can be timed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.experiment.commands import decode
from harness.experiment.early import defer_meta_kernels, retain_primary_context, without_collector
from harness.records.spec import TrialSpec
from harness.records.store import SPEC_FILE, read_record


class Parent:
    """The process that started this one: from now on standard output is its alone, and what others print is not."""

    def __init__(self) -> None:
        self._output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(self, message: dict[str, Any]) -> None:
        """Tell it something."""
        print(json.dumps(message), file=self._output, flush=True)

    def report(self, phase: str, done: int, total: int) -> None:
        """Tell it how far a command is."""
        self.send({"event": "progress", "phase": phase, "done": done, "total": total})

    def ask(self, message: dict[str, Any]) -> Any:
        """Ask it something in the middle of a command; it answers in a line of JSON."""
        self.send(message)
        return json.loads(sys.stdin.readline())


def main(arguments: list[str]) -> int:
    """Serve commands until the input ends."""
    directory, spawned_at_s = Path(arguments[0]), float(arguments[1])
    process_start_s = time.time() - spawned_at_s
    parent = Parent()
    spec = read_record(directory / SPEC_FILE, TrialSpec)
    parent.report("imports", 0, 1)
    imports_start_s = time.perf_counter()
    if spec.cuda_beside_imports and spec.config.device != "cpu":
        threading.Thread(target=retain_primary_context, name="cuda-start", daemon=True).start()
    if spec.without_meta_kernels:
        defer_meta_kernels()
    with without_collector():
        from harness.experiment.session import Session
        from harness.experiment.trial import TrialClock

    clock = TrialClock(spawned_at_s, lambda: parent.ask({"event": "pause"}))
    clock.phases.add("process_start", process_start_s)
    clock.phases.add("imports", time.perf_counter() - imports_start_s)
    session = Session(spec, clock, parent.report, parent.ask)
    for line in sys.stdin:
        try:
            answer = session.handle(decode(line))
            parent.send({"event": "reply", "result": None if answer is None else dataclasses.asdict(answer)})
        except Exception as error:
            # A strategy may raise anything; its trial fails, the run goes on, and the log keeps the traceback.
            traceback.print_exc()
            in_short = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            parent.send({"event": "failed", "reason": str(error) if isinstance(error, HarnessError) else in_short})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
