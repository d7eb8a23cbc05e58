"""What is asked of a process, by what the run has shown so far."""

from __future__ import annotations

import math

import pytest

from harness.experiment.goals import (
    evaluation_share,
    goal_of,
    is_finished,
    is_hopeless,
    is_looked_at,
    why_unprofiled,
)
from harness.experiment.plan import PlannedTrial
from harness.experiment.speed import USUAL_EVALUATION_SHARE
from harness.presets import preset
from harness.records.checks import BlockRecord, SpeedRecord
from harness.records.files import write_json
from harness.records.serialise import override
from harness.records.trial import TrialRecord

CONFIG = override(preset("smoke"), {"contenders": ["sdpa"], "speed.restarts": 3, "speed.budget_s": 60.0})


def planned(contender="sdpa", kind="speed", process=1):
    return PlannedTrial(contender=contender, kind=kind, seed=0, process=process)


def write(directory, trial, **fields):
    record = TrialRecord(
        contender=trial.contender, kind=trial.kind, seed=0, process=trial.process, **{"status": "done", **fields}
    )
    write_json(directory / trial.folder / "trial.json", record)


def write_job(directory, contender="baseline", **phases_s):
    write(directory, planned(contender, "job"), phases_s=phases_s)


def timed(ratio, count=12):
    """Blocks of a contender so much faster than the baseline, within 1 %."""
    logs = [math.log(ratio) + 0.01 * (-1) ** number for number in range(count)]
    blocks = [
        BlockRecord(
            kind="training",
            number=number,
            attempt=1,
            first="baseline",
            windows=4,
            baseline_s=(1.0, 1.0),
            contender_s=(math.exp(-log), math.exp(-log)),
        )
        for number, log in enumerate(logs)
    ]
    return SpeedRecord(blocks=tuple(blocks), stopped="", settle_s=0.0)


def test_evaluations_share_is_that_of_the_baselines_job(tmp_path):
    assert evaluation_share(tmp_path) == USUAL_EVALUATION_SHARE
    write_job(tmp_path, training=9.0, evaluation=1.0, imports=5.0)
    assert evaluation_share(tmp_path) == pytest.approx(0.1)


@pytest.mark.parametrize(("evaluation_s", "times"), [(1.0, [True, False, False]), (4.0, [True, True, True])])
def test_where_evaluation_matters_every_process_times_it_and_else_a_contenders_first(tmp_path, evaluation_s, times):
    write_job(tmp_path, training=9.0, evaluation=evaluation_s)
    trials = [planned(), planned(process=2), planned("baseline")]
    assert [goal_of(trial, CONFIG, tmp_path).times_evaluation for trial in trials] == times


def test_a_first_process_gets_the_least_blocks_that_are_asked_for_and_others_what_a_spread_needs(tmp_path):
    assert goal_of(planned(), CONFIG, tmp_path).least_blocks == CONFIG.speed.least_blocks == 5
    assert goal_of(planned("baseline"), CONFIG, tmp_path).least_blocks == 3
    write(tmp_path, planned(), speed=timed(1.0))
    assert goal_of(planned(process=2), CONFIG, tmp_path).least_blocks == 3


def write_restarts(directory):
    for process in (1, 2, 3):
        write(directory, planned("baseline", process=process), speed=timed(1.0))


def test_earlier_processes_count_in_what_is_clear_and_the_baseline_is_never_clear(tmp_path):
    write_restarts(tmp_path)
    blocks = list(timed(1.035).blocks)
    assert goal_of(planned(), CONFIG, tmp_path).decide(blocks) is None
    write(tmp_path, planned(), speed=timed(1.035))
    assert goal_of(planned(process=2), CONFIG, tmp_path).decide(blocks) == "faster"
    assert goal_of(planned("baseline"), CONFIG, tmp_path).decide(list(timed(2.0).blocks)) is None


def test_who_was_clear_and_is_timed_again_goes_on_until_it_is_known_better(tmp_path):
    write_restarts(tmp_path)
    blocks = list(timed(1.08).blocks)
    assert goal_of(planned(), CONFIG, tmp_path).decide(blocks) == "faster"
    write(tmp_path, planned(), speed=timed(1.08))
    assert goal_of(planned(process=2), CONFIG, tmp_path).decide(blocks) is None
    write(tmp_path, planned(), speed=timed(1.5))
    assert goal_of(planned(process=2), CONFIG, tmp_path).decide(list(timed(1.5).blocks)) == "faster"


def test_one_process_of_each_shows_what_runs_and_the_baselines_is_its_last():
    assert [is_looked_at(planned(process=number), CONFIG) for number in (1, 2)] == [True, False]
    assert [is_looked_at(planned("baseline", process=number), CONFIG) for number in (1, 2, 3, 4)] == [
        False,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("ratio", "reason"),
    [(0.9, "its steps are slower"), (1.0, "its steps gain less than 2.0%"), (1.02, None), (1.3, None)],
)
def test_what_brings_nothing_is_not_profiled_unless_everyone_is(tmp_path, ratio, reason):
    assert why_unprofiled("sdpa", CONFIG, tmp_path) is None, "nothing is known of it"
    write(tmp_path, planned(), speed=timed(ratio))
    write(tmp_path, planned("baseline"), speed=timed(ratio))
    found = why_unprofiled("sdpa", CONFIG, tmp_path)
    assert (found is None) if reason is None else (reason in found)
    assert why_unprofiled("baseline", CONFIG, tmp_path) is None
    assert why_unprofiled("sdpa", override(CONFIG, {"profile.everyone": True}), tmp_path) is None


def test_what_warms_up_longer_than_the_baselines_job_is_timed_as_little_as_possible_and_not_profiled(tmp_path):
    assert not is_hopeless("sdpa", tmp_path), "nothing is known of it"
    write_job(tmp_path, warm_up=0.5, training=8.0)
    write_job(tmp_path, "sdpa", warm_up=8.4, training=1.0)
    assert not is_hopeless("sdpa", tmp_path)
    assert not is_hopeless("baseline", tmp_path)
    assert why_unprofiled("sdpa", CONFIG, tmp_path) is None
    write_job(tmp_path, "sdpa", warm_up=8.6, training=1.0)
    assert is_hopeless("sdpa", tmp_path)
    assert "warm-up takes longer" in why_unprofiled("sdpa", CONFIG, tmp_path)
    goal = goal_of(planned(), CONFIG, tmp_path)
    assert (goal.budget_s, goal.times_evaluation) == (0.0, False)


def test_a_profile_that_was_left_out_is_made_when_everyones_is_wanted(tmp_path):
    everyone = override(CONFIG, {"profile.everyone": True})
    trial = planned(kind="profile")
    assert not is_finished(trial, CONFIG, tmp_path)
    write(tmp_path, trial, reason="not profiled: its steps are slower")
    assert is_finished(trial, CONFIG, tmp_path)
    assert not is_finished(trial, everyone, tmp_path)
    write(tmp_path, trial, status="not_applicable", reason="this test wants it so")
    assert is_finished(trial, everyone, tmp_path)
