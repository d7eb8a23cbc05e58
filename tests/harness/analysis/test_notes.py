"""What the report says against its own numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.analysis.evidence.speed import NoiseFloor
from harness.analysis.evidence.trials import Trials
from harness.analysis.notes import HIGH_FLOOR, contender_notes, run_notes
from harness.config import RunConfig
from harness.records.checks import SpeedRecord
from harness.records.store import LoadedRun, LoadedTrial
from harness.records.trial import RunRecord, TrialRecord
from harness.statistics.paired import ratio_of_logs
from harness.tasks.question_answering.task import TASK

RUN = LoadedRun(
    directory=Path("run"),
    run=RunRecord(
        name="run", started="", config=RunConfig(), command="", environment={}, data={}, scoring=TASK.scoring, trials=()
    ),
    trials=[],
    missing=[],
    damaged=[],
)


def noise_floor(floor: float) -> NoiseFloor:
    return NoiseFloor(ratio=ratio_of_logs(np.zeros(5)), share=floor)


def test_a_high_noise_floor_is_told_by_the_name_of_a_step():
    (note,) = run_notes(RUN, noise_floor(0.15))
    assert note.startswith("the noise floor of a step is high: a step speedup under 15.0 % could not have been shown")


def test_an_ordinary_noise_floor_is_not_worth_a_line():
    assert run_notes(RUN, noise_floor(HIGH_FLOOR)) == []
    assert run_notes(RUN, None) == []


def test_a_meter_that_failed_is_told_with_its_error():
    speed = SpeedRecord(blocks=(), stopped="", settle_s=0.0, energy_problem="the process ended")
    record = TrialRecord(contender="x", kind="speed", seed=0, status="done", speed=speed)
    trial = LoadedTrial(directory=Path(), record=record, steps=[], predictions={})
    failed, nothing = (Trials(name="x", everything=trials, done=()) for trials in ([trial], []))
    assert contender_notes(failed, None, [], RUN) == ["its energy could not be measured: the process ended"]
    assert contender_notes(nothing, None, [], RUN) == []
