"""Jobs that are measured again: those during which the machine was busy, or ran at another speed than else."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.experiment.plan import PlannedSession, PlannedTrial
from harness.measurement.usual_speed import find_usual_speed, readings_of, unusual_speed
from harness.records.files import write_json
from harness.records.store import COMPILE_CACHES, TRIAL_FILE, read_record, trial_is_finished
from harness.records.trial import TrialRecord

if TYPE_CHECKING:
    from harness.experiment.bench import Bench


def repeat_unusual_jobs(bench: Bench, folders: Sequence[str], directory: Path) -> None:
    """Measure each such job of these trials once more, at the end of the run: only then is it known what was usual.

    What a repeated job read has a say in that, so it is asked again after each.
    """
    while unusual := find_unusual_jobs(folders, directory):
        first = unusual[0]
        trial = PlannedTrial(contender=first.contender, kind="job", seed=first.seed)
        if first.compile_cache == "cold":
            shutil.rmtree(directory / COMPILE_CACHES / trial.contender, ignore_errors=True)
        # Without its record it is a trial that was not run yet: if this is interrupted, it is run when the run goes on.
        file = directory / trial.folder / TRIAL_FILE
        file.unlink()
        bench.close_baseline()
        bench.run(PlannedSession(contender=trial.contender, seed=trial.seed, trials=(trial,)))
        write_json(file, replace(read_record(file, TrialRecord), superseded=first))


def find_unusual_jobs(folders: Sequence[str], directory: Path) -> list[TrialRecord]:
    """Return the jobs that ended well but were disturbed, and were not measured again before."""
    finished = (directory / folder for folder in folders if trial_is_finished(directory / folder))
    records = [read_record(folder / TRIAL_FILE, TrialRecord) for folder in finished]
    usual = find_usual_speed(readings_of(records))
    jobs = [one for one in records if one.kind == "job" and one.status == "done" and one.superseded is None]
    return [job for job in jobs if job.contamination or unusual_speed(job.speedometer, usual) is not None]
