"""Jobs on a machine that ran at another speed: none of their times counts, all scores do, and the report says it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.analysis.evidence.machine import summarise_machine, usual_speed_of, was_undisturbed
from harness.records.files import write_json
from harness.records.machine import SpeedometerReading
from harness.records.store import TRIAL_FILE, read_record
from harness.records.trial import TrialRecord


def readings(start_s: float, speed: float = 1.0) -> tuple[SpeedometerReading, ...]:
    return tuple(
        SpeedometerReading(
            when_s=1_700_000_000.0 + start_s + 10 * i,
            matmul_gflops=180.0 * speed * (1.0 + 0.01 * (i - 1)),
            memory_gb_per_s=22.0 * speed,
            took_s=0.05,
        )
        for i in range(3)
    )


def set_speed(directory, name, seed, speed, *, first=None):
    """Write a job's readings; `first`: speed of the machine when the same job was measured first."""
    file = directory / "trials" / name / str(seed) / TRIAL_FILE
    record = read_record(file, TrialRecord)
    start_s = 100.0 * seed + 40.0 * len(name)
    superseded = None if first is None else replace(record, speedometer=readings(start_s - 30.0, first))
    write_json(file, replace(record, speedometer=readings(start_s, speed), superseded=superseded))


@pytest.fixture
def run_at(make_run, analysed):
    """Return a function that analyses a run with these speeds of the machine by contender and seed; 1 else.

    `stretched`: the job whose times are three times what they were.
    """

    def analyse(speeds, *, first=None, stretched=None):
        directory = make_run()
        for name in ("baseline", "amp_bf16", "fused_adamw+sdpa"):
            for seed in (0, 1):
                key = (name, seed)
                set_speed(directory, name, seed, speeds.get(key, 1.0), first=(first or {}).get(key))
        if stretched is not None:
            stretch(directory.joinpath("trials", *map(str, stretched), TRIAL_FILE))
        return analysed(directory)

    return analyse


def stretch(file):
    record = read_record(file, TrialRecord)
    phases_s = {name: 3.0 * time_s for name, time_s in record.phases_s.items()}
    write_json(file, replace(record, phases_s=phases_s, job_time_s=3.0 * record.job_time_s))


def contender(analysis, name):
    return next(one for one in analysis.contenders if one.name == name)


def test_a_job_on_a_slow_machine_is_left_out_of_times_but_not_of_scores(run_at):
    calm, slow = run_at({}), run_at({("amp_bf16", 1): 0.54})
    before, after = contender(calm, "amp_bf16"), contender(slow, "amp_bf16")
    assert after.scores == before.scores
    assert after.evidence.quality == before.evidence.quality
    assert after.evidence.throughput.steps == before.evidence.throughput.steps // 2
    assert after.epochs[0].scores == before.epochs[0].scores
    assert after.job_time_s != before.job_time_s
    assert [(j.seed, j.counts) for j in slow.machine.jobs if j.contender == "amp_bf16"] == [(0, True), (1, False)]
    assert (
        "The machine ran at 54% of its usual speed during its job with seed 1: its scores count, its times don't"
        in (after.notes)
    )
    assert not [note for note in before.notes if "usual speed" in note]


def test_no_speedup_rests_on_the_times_of_a_job_that_is_left_out(run_at):
    left_out = ("baseline", 1)
    plain, long = (contender(run_at({left_out: 0.54}, stretched=one), "amp_bf16") for one in (None, left_out))
    assert plain.evidence.expected
    assert long.evidence.expected == plain.evidence.expected
    assert long.evidence.job == plain.evidence.job


def test_no_time_is_printed_of_a_contender_whose_every_job_ran_on_a_slow_machine(run_at):
    analysis = run_at({("amp_bf16", 0): 0.5, ("amp_bf16", 1): 0.5})
    amp = contender(analysis, "amp_bf16")
    assert amp.job_time_s is None
    assert amp.train_time_s is None
    assert amp.evidence.job is None
    assert amp.verdict == "NOT_MEASURED"
    assert amp.reasons[0].text.startswith("the machine was busy, or ran at another speed, in every job of it")
    assert amp.evidence.throughput is None
    assert amp.phases_s == {}
    assert amp.evidence.quality is not None
    assert contender(analysis, "fused_adamw+sdpa").evidence.job is not None


def test_without_a_baseline_job_at_the_usual_speed_the_headline_says_so(run_at):
    analysis = run_at({("baseline", 0): 0.5, ("baseline", 1): 0.5})
    assert (
        "The machine was busy, or ran at another speed, in every baseline job, so no job is held against it"
        in analysis.warnings
    )
    assert all(one.evidence.job is None for one in analysis.contenders if one.evidence is not None)


def test_a_job_that_was_measured_again_counts_and_is_said(run_at):
    analysis = run_at({}, first={("amp_bf16", 1): 0.54})
    amp = contender(analysis, "amp_bf16")
    (again,) = (j for j in analysis.machine.jobs if (j.contender, j.seed) == ("amp_bf16", 1))
    assert (again.counts, again.share, again.first_share) == (
        True,
        pytest.approx(1.0, abs=0.02),
        pytest.approx(0.54, abs=0.001),
    )
    assert (
        "Its job with seed 1 was measured again: the first time the machine ran at 54% of its usual speed" in amp.notes
    )
    twice = run_at({("amp_bf16", 1): 0.6}, first={("amp_bf16", 1): 0.54})
    said = "The machine ran at 60% of its usual speed during its job with seed 1, also when it was measured again"
    assert any(note.startswith(said) for note in contender(twice, "amp_bf16").notes)


def test_the_trend_is_in_order_of_time_and_in_shares_of_the_usual_speed(run_at):
    machine = run_at({("fused_adamw+sdpa", 1): 0.5}).machine
    times_s = [point.at_s for point in machine.points]
    assert times_s == sorted(times_s)
    assert times_s[0] == 0.0
    assert len(machine.points) == 18
    slow = [point for point in machine.points if point.shares["memory_gb_per_s"] < 0.8]
    assert {point.during for point in slow} == {"fused_adamw+sdpa"}
    assert machine.threshold["memory_gb_per_s"] == pytest.approx(0.85)
    assert machine.took_s == pytest.approx(18 * 0.05)


def test_a_run_without_a_speedometer_is_judged_as_before(make_run, analysed):
    analysis = analysed(make_run())
    assert analysis.machine is None
    assert summarise_machine([]) is None
    job = TrialRecord(contender="baseline", kind="job", seed=0, status="done")
    assert was_undisturbed(job, usual_speed_of([job]))
