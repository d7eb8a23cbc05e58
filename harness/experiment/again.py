"""Jobs that are measured again: those during which the machine ran at another speed than in the rest of the run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.experiment.bench import COMPILE_CACHES, Bench
from harness.experiment.plan import PlannedSession, PlannedTrial
from harness.measurement.usual_speed import find_usual_speed, readings_of, unusual_speed
from harness.records.files import write_json
from harness.records.store import TRIAL_FILE, read_record, trial_is_finished
from harness.records.trial import TrialRecord


def repeat_unusual_jobs(bench: Bench, trials: Sequence[PlannedTrial], directory: Path) -> None:
    """Measure each such job once more, at the end of the run: only then is it known what was usual."""
    for trial in find_unusual_jobs(trials, directory):
        file = directory / trial.folder / TRIAL_FILE
        first = read_record(file, TrialRecord)
        if first.compile_cache == "cold":
            shutil.rmtree(directory / COMPILE_CACHES / trial.contender, ignore_errors=True)
        # Without its record it is a trial that was not run yet: if this is interrupted, it is run when the run goes on.
        file.unlink()
        bench.close_baseline()
        bench.run(PlannedSession(contender=trial.contender, seed=trial.seed, trials=(trial,)))
        write_json(file, replace(read_record(file, TrialRecord), superseded=first))


def find_unusual_jobs(trials: Sequence[PlannedTrial], directory: Path) -> list[PlannedTrial]:
    """Return the jobs that ended well at another speed, and were not measured again before."""
    folders = [(trial, directory / trial.folder) for trial in trials]
    done = [(trial, folder) for trial, folder in folders if trial_is_finished(folder)]
    records = [(trial, read_record(folder / TRIAL_FILE, TrialRecord)) for trial, folder in done]
    usual = find_usual_speed(readings_of(record for _, record in records))
    return [
        trial
        for trial, record in records
        if record.kind == "job" and record.superseded is None and unusual_speed(record.speedometer, usual) is not None
    ]
