"""The machine's speed beside jobs and blocks: read outside their time; jobs at another speed are measured again."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace

import pytest

from harness.analysis.evidence.work import clock_problem
from harness.experiment.again import find_unusual_jobs, repeat_unusual_jobs
from harness.experiment.trial import TrialClock
from harness.measurement.usual_speed import readings_of
from harness.records.files import write_json
from harness.records.store import TRIAL_FILE, read_record
from harness.records.trial import TrialRecord

pytestmark = pytest.mark.usefixtures("needs_bundled")


def jobs_of(run):
    return [trial.record for trial in run.trials if trial.record.kind == "job"]


def test_the_machine_is_read_before_between_and_after_a_jobs_epochs_and_before_each_block(smoke_run):
    for job in jobs_of(smoke_run):
        assert len(job.speedometer) == 1 + len(job.epochs)
        times_s = [reading.when_s for reading in job.speedometer]
        assert times_s == sorted(times_s)
        assert times_s[0] < job.sampling.training_start_s < times_s[1] < job.sampling.training_end_s < times_s[-1]
    for trial in smoke_run.trials:
        if trial.record.speed is not None:
            assert all(block.speedometer is not None for block in trial.record.speed.blocks)


def test_the_pauses_are_no_part_of_the_job_and_the_parents_clock_still_agrees(smoke_run):
    for job in jobs_of(smoke_run):
        between_s = sum(reading.took_s for reading in job.speedometer[1:-1])
        assert job.excluded_s >= between_s > 0
        assert job.phases_s["other"] + sum(v for k, v in job.phases_s.items() if k != "other") == pytest.approx(
            job.job_time_s
        )
        assert clock_problem(job) is None


def test_what_a_pause_takes_is_neither_in_the_job_nor_in_a_phase():
    clock = TrialClock(time.time(), lambda: time.sleep(0.3))
    for _ in range(2):
        with clock.phases.measure("training"):
            time.sleep(0.05)
        clock.pause()
    job_time_s, phases_s = clock.finish()
    assert clock.excluded_s >= 0.6
    assert 0.1 <= job_time_s < 0.4
    assert sum(phases_s.values()) == pytest.approx(job_time_s)
    assert clock.elapsed_s() >= 0.6


def slow_down(directory, folder, share):
    """Leave one reading of a job, at this share of its speed: fewer than half of the run's readings."""
    file = directory / "trials" / folder / TRIAL_FILE
    record = read_record(file, TrialRecord)
    slowed = tuple(
        replace(one, matmul_gflops=one.matmul_gflops * share, memory_gb_per_s=one.memory_gb_per_s * share)
        for one in record.speedometer[:1]
    )
    write_json(file, replace(record, speedometer=slowed))


def calm(directory, run):
    """Give all readings of a run the same speed: the machine that runs the tests may be busy."""
    for trial in run.trials:
        record = trial.record
        same = {"matmul_gflops": 100.0, "memory_gb_per_s": 20.0}
        speed = record.speed
        if speed is not None:
            blocks = (replace(block, speedometer=replace(block.speedometer, **same)) for block in speed.blocks)
            speed = replace(speed, blocks=tuple(blocks))
        readings = tuple(replace(one, **same) for one in record.speedometer)
        quiet = replace(record, contamination=(), speedometer=readings, speed=speed)
        write_json(trial.directory / TRIAL_FILE, quiet)


@pytest.fixture
def calm_base(smoke_base, smoke_run, tmp_path):
    shutil.copytree(smoke_base, tmp_path, dirs_exist_ok=True)
    moved = [replace(trial, directory=tmp_path / trial.directory.relative_to(smoke_base)) for trial in smoke_run.trials]
    calm(tmp_path / "runs/r", replace(smoke_run, trials=moved))
    return tmp_path


def test_only_jobs_at_another_speed_are_measured_again_and_only_once(calm_base, smoke_run):
    directory = calm_base / "runs/r"
    folders = smoke_run.run.trials
    assert find_unusual_jobs(folders, directory) == []
    slow_down(directory, "fused_adamw/0", 0.54)
    assert [(job.contender, job.seed) for job in find_unusual_jobs(folders, directory)] == [("fused_adamw", 0)]
    file = directory / "trials/fused_adamw/0" / TRIAL_FILE
    record = read_record(file, TrialRecord)
    write_json(file, replace(record, superseded=record))
    assert find_unusual_jobs(folders, directory) == []


def test_a_job_beside_other_work_is_measured_again_too(calm_base, smoke_run):
    directory = calm_base / "runs/r"
    file = directory / "trials/fused_adamw/0" / TRIAL_FILE
    write_json(file, replace(read_record(file, TrialRecord), contamination=("other processes used 0.72 of 2 cores",)))
    assert [job.contender for job in find_unusual_jobs(smoke_run.run.trials, directory)] == ["fused_adamw"]


def test_a_contender_that_does_not_apply_is_not_asked_again_because_the_machine_was_busy(calm_base, smoke_run):
    directory = calm_base / "runs/r"
    file = directory / "trials/fused_adamw/0" / TRIAL_FILE
    busy, record = ("other processes used 0.72 of 2 cores",), read_record(file, TrialRecord)
    write_json(file, replace(record, status="not_applicable", reason="no", contamination=busy))
    assert find_unusual_jobs(smoke_run.run.trials, directory) == []


def test_a_job_on_a_slow_machine_is_measured_again_at_the_runs_end_and_its_first_record_kept(calm_base, execute_again):
    directory = calm_base / "runs/r"
    slow_down(directory, "fused_adamw/0", 0.54)
    first = read_record(directory / "trials/fused_adamw/0" / TRIAL_FILE, TrialRecord)
    run, listener = execute_again(repeats=True)
    assert [ended for ended in listener.ended if not ended[2]] == [("fused_adamw/0", "done", False)]
    (again,) = (job for job in jobs_of(run) if job.contender == "fused_adamw")
    assert again.superseded == first
    assert again.job_time_s != first.job_time_s
    assert again.epochs[-1].scores == first.epochs[-1].scores
    assert set(readings_of([again])) == {*again.speedometer, *first.speedometer}


def test_a_job_that_a_repeated_one_makes_unusual_is_measured_again_too(calm_base, smoke_run):
    """Of two jobs at other speeds the run's readings tell only the first; its repeat is what is usual from then on."""
    directory = calm_base / "runs/r"
    repeated = []

    class Bench:
        def close_baseline(self):
            """Nothing lives."""

        def run(self, session):
            (trial,) = session.trials
            repeated.append(trial.contender)
            spare = first if trial.contender == "fused_adamw" else other
            write_json(directory / trial.folder / TRIAL_FILE, spare)
            if len(repeated) == 1:
                slow_down(directory, "baseline/0", 0.5)

    first, other = (
        read_record(directory / "trials" / name / "0" / TRIAL_FILE, TrialRecord) for name in ("fused_adamw", "baseline")
    )
    slow_down(directory, "fused_adamw/0", 0.54)
    repeat_unusual_jobs(Bench(), smoke_run.run.trials, directory)
    assert repeated == ["fused_adamw", "baseline"]
    assert find_unusual_jobs(smoke_run.run.trials, directory) == []


def test_the_samples_know_when_the_job_waited_for_an_audit(smoke_run):
    audited = [job for job in jobs_of(smoke_run) if job.audits is not None and job.audits.audits]
    assert audited
    for job in audited:
        sampling = job.sampling
        assert len(sampling.pauses_s) == len(job.audits.audits)
        ends_s = [sampling.training_start_s, *(at_s for pause_s in sampling.pauses_s for at_s in pause_s)]
        assert ends_s == sorted(ends_s)
        assert ends_s[-1] <= sampling.training_end_s
        waited_s = sum(end_s - begin_s for begin_s, end_s in sampling.pauses_s)
        assert waited_s == pytest.approx(job.audits.cost.saving_s, rel=0.01, abs=0.01)
