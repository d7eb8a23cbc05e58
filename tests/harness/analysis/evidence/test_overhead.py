"""What the harness costs: per step of the baseline, and the most in any contender's jobs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.analysis.evidence.overhead import measure_overhead
from harness.records.checks import AuditCost, AuditsRecord
from harness.records.machine import SpeedometerReading
from harness.records.store import load_run


@pytest.fixture
def jobs(make_run):
    return [trial.record for trial in load_run(make_run()).trials if trial.record.kind == "job"]


def training_s(job):
    return sum(epoch.train_time_s for epoch in job.epochs)


def by_part(rows):
    return {row.part.split(" ")[0]: row for row in rows}


def with_costs(job):
    cost = AuditCost(steps=job.work.updates, memory_gib=0.1, snapshots_s=0.2, questions_s=0.05, saving_s=0.05)
    return replace(
        job,
        recording_s=0.004 * training_s(job),
        speedometer=tuple(SpeedometerReading(when_s=float(i), matmul_gflops=1.0, took_s=0.05) for i in range(3)),
        audits=AuditsRecord(audits=(), drawn=(), cost=cost),
    )


def test_each_part_is_told_per_step_and_as_a_share_of_it(jobs):
    done = [with_costs(job) for job in jobs if job.status == "done"]
    rows = by_part(measure_overhead(done))
    baseline = [job for job in done if job.contender == "baseline"]
    updates, mean_s = baseline[0].work.updates, sum(map(training_s, baseline)) / len(baseline)
    assert rows["sampler"].share == pytest.approx(0.0042)
    assert rows["recorder"].share == pytest.approx(0.004)
    assert rows["recorder"].step_ms == pytest.approx(4.0 * mean_s / updates)
    assert rows["audits"].step_ms == pytest.approx(300.0 / updates)
    assert rows["speedometer"].step_ms == pytest.approx(150.0 / updates)
    assert {name: row.inside for name, row in rows.items()} == {
        "sampler": True,
        "recorder": True,
        "audits": False,
        "speedometer": False,
    }
    assert rows["audits"].worst == "amp_bf16", "the fastest steps bear the largest share of a constant cost"
    assert rows["audits"].worst_share > rows["audits"].share


def test_what_an_older_run_did_not_measure_has_no_row(jobs):
    assert list(by_part(measure_overhead(jobs))) == ["sampler"]
    assert measure_overhead([replace(job, sampling=None) for job in jobs]) == ()
