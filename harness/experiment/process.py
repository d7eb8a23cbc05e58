"""One trial in a process of its own: started, watched, ended when it takes too long."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import harness
from harness.config import BUNDLED_MODEL, RunConfig
from harness.data.hub import offline_environment
from harness.errors import RecordError
from harness.records import TrialRecord, TrialSpec
from harness.storage import LOG_FILE, SPEC_FILE, TRIAL_FILE, read_record, write_json
from harness.training.model import uses_known_sizes

OnProgress = Callable[[str, int, int], None]
"""(phase, done, total)."""


def run_in_process(spec: TrialSpec, on_progress: OnProgress) -> TrialRecord:
    """Run the trial to its end and return its record; a crash or a time-out becomes a failed record.

    Interrupting the parent ends the worker too.
    """
    directory = Path(spec.directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / TRIAL_FILE).unlink(missing_ok=True)
    write_json(directory / SPEC_FILE, spec)
    with (directory / LOG_FILE).open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.experiment.worker", str(directory), repr(time.time())],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=worker_environment(spec),
            start_new_session=True,
        )
        timer = threading.Timer(spec.config.trial_timeout_s, _end, [process])
        timer.start()
        try:
            _forward_progress(process, on_progress, log)
            returncode = process.wait()
        finally:
            timed_out = timer.finished.is_set() and process.poll() is not None
            timer.cancel()
            _end(process)
    return _read_outcome(spec, directory, returncode, timed_out=timed_out)


def worker_environment(spec: TrialSpec) -> dict[str, str]:
    """Return the worker's environment: the caller's, offline if the hub can't be reached, with caches of the run."""
    root = str(Path(harness.__file__).resolve().parent.parent)
    search_path = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        **(offline_environment() if needs_hub(spec.config) else {"HF_HUB_OFFLINE": "1"}),
        "PYTHONPATH": root if not search_path else os.pathsep.join([root, search_path]),
        "TORCHINDUCTOR_CACHE_DIR": spec.compile_cache_directory,
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


def needs_hub(config: RunConfig) -> bool:
    """Whether model or data may have to come from the hub; everything else never waits for it."""
    model = config.model
    is_local = model.source == BUNDLED_MODEL or Path(model.source).is_dir() or uses_known_sizes(model)
    return config.data.source == "hub" or not is_local


def _forward_progress(process: subprocess.Popen[str], on_progress: OnProgress, log: TextIO) -> None:
    """Hand our own JSON lines on; what libraries print goes to the log."""
    for line in process.stdout or ():
        try:
            event = json.loads(line)
            on_progress(event["phase"], event["done"], event["total"])
        except (ValueError, KeyError, TypeError):
            log.write(line)
            log.flush()


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read_outcome(spec: TrialSpec, directory: Path, returncode: int, *, timed_out: bool) -> TrialRecord:
    try:
        return read_record(directory / TRIAL_FILE, TrialRecord)
    except RecordError:
        pass
    reason = (
        f"ended after the time limit of {spec.config.trial_timeout_s:g} s"
        if timed_out
        else f"the process ended with {_describe_exit(returncode)}; see {LOG_FILE}"
    )
    record = TrialRecord(contender=spec.contender, kind=spec.kind, seed=spec.seed, status="failed", reason=reason)
    write_json(directory / TRIAL_FILE, record)
    return record


def _describe_exit(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    name = signal.Signals(-returncode).name if -returncode in {s.value for s in signal.Signals} else str(-returncode)
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"signal {name}{hint}"
