"""A worker: `python -m harness.experiment.worker TRIAL_DIRECTORY SPAWN_TIME` runs one trial and ends.

Its input is `spec.json` in that directory, its output `trial.json` and the files beside it. Standard output carries
progress as JSON lines, standard error goes to the trial's log. Imports of weight come late, so that they can be timed.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path

from harness.errors import HarnessError
from harness.records import TrialRecord
from harness.storage import TRIAL_FILE, read_spec, write_json


def report_progress(phase: str, done: int, total: int) -> None:
    """Tell the parent process how far the trial is."""
    print(json.dumps({"phase": phase, "done": done, "total": total}), flush=True)


def main(arguments: list[str]) -> int:
    """Run the trial; return 0 if its record was written, whatever it says."""
    directory, spawned_at_s = Path(arguments[0]), float(arguments[1])
    process_start_s = time.time() - spawned_at_s
    spec = read_spec(directory)
    try:
        report_progress("imports", 0, 1)
        imports_start_s = time.perf_counter()
        from harness.experiment.trial import TrialClock, run_trial

        clock = TrialClock(spawned_at_s)
        clock.phases.add("process_start", process_start_s)
        clock.phases.add("imports", time.perf_counter() - imports_start_s)
        record = run_trial(spec, clock, report_progress)
    except HarnessError as error:
        traceback.print_exc()
        record = _failed(spec.contender, spec.kind, spec.seed, str(error))
    except Exception as error:
        # A strategy may raise anything; the trial fails, the run goes on, and the log keeps the traceback.
        traceback.print_exc()
        first_line = (str(error).splitlines() or [""])[0]
        record = _failed(spec.contender, spec.kind, spec.seed, f"{type(error).__name__}: {first_line}")
    write_json(directory / TRIAL_FILE, record)
    return 0


def _failed(contender: str, kind: str, seed: int, reason: str) -> TrialRecord:
    return TrialRecord(
        contender=contender, kind="job" if kind == "job" else "profile", seed=seed, status="failed", reason=reason
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
