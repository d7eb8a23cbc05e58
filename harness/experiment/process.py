"""A worker process, as the parent sees it: started, asked, watched, ended when it takes too long."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from harness.config import BUNDLED_DISTILBERT, BUNDLED_MODEL
from harness.data.hub import hub_reachable
from harness.errors import HarnessError
from harness.experiment.commands import Answer, Command
from harness.experiment.listener import Report
from harness.experiment.plan import resolve_contender, start_up_of, variables_of
from harness.records.files import write_json
from harness.records.spec import TrialSpec
from harness.records.store import LOG_FILE, SPEC_FILE
from harness.training.model import known_sizes

SIGNALS = {number.value: number.name for number in signal.Signals}


class WorkerError(Exception):
    """A worker answered with an error, died or took too long; the text says which."""

    def __init__(self, reason: str, worker: Worker | None = None) -> None:
        super().__init__(reason)
        self.worker = worker
        """Whose error it is."""


class Desk(Protocol):
    """Answers a worker that asks about its steps while it does a command."""

    def warmed_up(self, warm_up_s: float) -> None:
        """Take note of how long it took until the first step could begin."""

    def step_over(self) -> str | None:
        """Return where the step that is over shall be written; None: nowhere."""

    def step_kept(self, problem: str | None) -> None:
        """Take note that it was written, or why it was not."""


class Worker:
    """One worker process. `ask` gives it a command and waits; leaving the context ends it, whatever it does."""

    def __init__(self, spec: TrialSpec, on_progress: Report) -> None:
        start_up = start_up_of(resolve_contender(spec.config, spec.contender))
        spec = replace(
            spec,
            cuda_beside_imports=start_up.cuda_beside_imports,
            without_meta_kernels=start_up.without_meta_kernels,
        )
        directory = Path(spec.directory)
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / SPEC_FILE, spec)
        self.contender = spec.contender
        self.on_progress = on_progress
        self.on_pause: Callable[[], object] = lambda: None
        """What is done while a job pauses; none of it is in the job's time."""
        self._timeout_s = spec.config.trial_timeout_s
        self._log = (directory / LOG_FILE).open("a", encoding="utf-8")
        self.started_s = time.time()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.experiment.worker", str(directory), repr(self.started_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=worker_environment(spec),
            start_new_session=True,
        )
        self._messages: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, name="worker-output", daemon=True).start()

    @property
    def pid(self) -> int:
        """Of the process, for its processor time."""
        return self._process.pid

    def ask(self, command: Command[Answer], desk: Desk | None = None) -> Answer:
        """Have the worker do `command` and return its answer; WorkerError if there is none within the time limit.

        `desk` answers the worker's own questions meanwhile, in time that is not the worker's; without it no step is
        wanted.
        """
        deadline_s = time.monotonic() + self._timeout_s
        self._send(command.encode())
        while True:
            try:
                line = self._messages.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                self.close()
                raise WorkerError(f"ended after the time limit of {self._timeout_s:g} s", self) from None
            if line is None:
                raise WorkerError(self._describe_end(), self)
            match json.loads(line):
                case {"event": "progress", "phase": phase, "done": done, "total": total}:
                    self.on_progress(phase, done, total)
                case {"event": "pause"}:
                    self.on_pause()
                    self._send(json.dumps(None))
                case {"event": "warmed_up", "seconds": warm_up_s}:
                    if desk is not None:
                        desk.warmed_up(warm_up_s)
                    self._send(json.dumps(None))
                case {"event": "step_over"}:
                    self._send(json.dumps(None if desk is None else desk.step_over()))
                case {"event": "step_kept", "problem": problem} if desk is not None:
                    start_s = time.monotonic()
                    desk.step_kept(problem)
                    deadline_s += time.monotonic() - start_s
                    self._send(json.dumps(None))
                case {"event": "failed", "reason": reason}:
                    raise WorkerError(reason, self)
                case {"event": "reply", "result": result}:
                    try:
                        return command.read_answer(result)
                    except HarnessError as error:
                        raise WorkerError(f"answered {type(command).__name__} with nonsense: {error}", self) from None

    def _send(self, line: str) -> None:
        if self._process.stdin is None:
            raise WorkerError("the process has no input", self)
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # it has ended, or was closed
            raise WorkerError(self._describe_end(), self) from None

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                # With all that it started.
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # of what it did not read any more
                self._process.stdin.close()
        # The other pipe is closed by the thread that reads it: when whatever the process started is gone too.
        self._log.close()

    def __enter__(self) -> Worker:
        """Return the worker itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, also when the parent is interrupted."""
        self.close()

    def _listen(self) -> None:
        """Hand lines on from a thread of its own, so that waiting for one can end after a time."""
        with self._process.stdout or contextlib.nullcontext(()) as output:
            for line in output:
                self._messages.put(line)
        self._messages.put(None)

    def _describe_end(self) -> str:
        status = self._process.wait()
        how = f"exit status {status}" if status >= 0 else f"signal {SIGNALS.get(-status, -status)}"
        hint = " (out of memory?)" if status == -signal.SIGKILL else ""
        return f"the process ended with {how}{hint}; see {LOG_FILE}"


def worker_environment(spec: TrialSpec) -> dict[str, str]:
    """Return the worker's environment: the caller's, offline if the hub can't be reached, with caches of the run.

    What the contender's strategies need set before the process starts comes last.
    """
    config, source = spec.config, spec.config.model.source
    # Everything but what may have to come from the hub never waits for it.
    is_here = source in (BUNDLED_MODEL, BUNDLED_DISTILBERT) or Path(source).is_dir() or known_sizes(config.model)
    needs_hub = config.data.source == "hub" or not is_here
    return {
        **os.environ,
        # Set before the libraries are imported, it makes them read the local cache at once; they retry for a minute.
        **({} if needs_hub and hub_reachable() else {"HF_HUB_OFFLINE": "1"}),
        "PYTHONPATH": import_path(),
        "TORCHINDUCTOR_CACHE_DIR": spec.compile_cache_directory,
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        **variables_of(config, spec.contender),
    }


def import_path() -> str:
    """Return a PYTHONPATH with which any directory's process finds this program."""
    root = str(Path(__file__).resolve().parents[2])
    search_path = os.environ.get("PYTHONPATH")
    return root if not search_path else os.pathsep.join([root, search_path])
