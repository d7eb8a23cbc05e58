"""Which readings of the speedometer are of another speed than the run's usual one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.measurement.usual_speed import (
    describe_unusual,
    find_usual_speed,
    readings_of,
    speed_share,
    unusual_speed,
)
from harness.records.checks import BlockRecord, SpeedRecord
from harness.records.machine import SpeedometerReading
from harness.records.trial import TrialRecord

GFLOPS, GB_PER_S = 180.0, 22.0


def reading(speed: float = 1.0, memory: float | None = None) -> SpeedometerReading:
    """Of a machine at this share of its speed."""
    return SpeedometerReading(
        when_s=0.0, matmul_gflops=GFLOPS * speed, memory_gb_per_s=GB_PER_S * (speed if memory is None else memory)
    )


def scattered(rng: np.random.Generator, count: int, *, by: float, speed: float = 1.0) -> list[SpeedometerReading]:
    return [reading(speed * math.exp(by * rng.normal()), speed * math.exp(by * rng.normal())) for _ in range(count)]


def test_a_job_at_half_of_the_usual_speed_is_told_with_its_share():
    usual = find_usual_speed([reading()] * 20 + [reading(0.54)] * 3)
    assert unusual_speed([reading(0.54)] * 3, usual) == pytest.approx(0.54)
    assert unusual_speed([reading()] * 3, usual) is None
    assert describe_unusual(0.54) == "the machine ran at 54% of its usual speed"


def test_a_slow_memory_alone_is_another_speed_but_not_where_all_rates_are_asked_for():
    usual = find_usual_speed([reading()] * 20)
    assert unusual_speed([reading(1.0, 0.6)] * 3, usual) == pytest.approx(0.6)
    assert unusual_speed([reading(1.0, 0.6)], usual, in_all=True) is None
    assert unusual_speed([reading(0.5, 0.6)], usual, in_all=True) == pytest.approx(0.5)
    assert unusual_speed([reading(0.5, 0.6)], {}, in_all=True) is None


def test_a_machine_that_was_slow_until_the_job_is_called_faster_in_it():
    usual = find_usual_speed([reading(0.5)] * 20 + [reading()] * 3)
    assert unusual_speed([reading()] * 3, usual) == pytest.approx(2.0)


def test_one_slow_reading_of_three_is_a_third_of_a_job_at_another_speed():
    usual = find_usual_speed([reading()] * 20)
    assert unusual_speed([reading(), reading(0.5), reading()], usual) == pytest.approx(0.5 ** (1 / 3))
    assert unusual_speed([reading(), reading(0.9), reading()], usual) is None


def test_nothing_is_usual_after_a_few_readings_and_nothing_unusual_without_any():
    assert find_usual_speed([reading()] * 4) == {}
    assert unusual_speed([reading(0.1)], {}) is None
    assert speed_share([reading(0.1)], {}) is None
    usual = find_usual_speed([reading()] * 5)
    assert unusual_speed([], usual) is None
    assert speed_share([reading(0.9)], usual) == pytest.approx(0.9)


def test_what_was_not_read_is_no_rate():
    usual = find_usual_speed([SpeedometerReading(when_s=0.0, sm_clock_mhz=1980.0)] * 8)
    assert list(usual) == ["sm_clock_mhz"]
    assert unusual_speed([SpeedometerReading(when_s=0.0, sm_clock_mhz=1200.0)], usual) == pytest.approx(1200 / 1980)
    assert unusual_speed([reading()], usual) is None


@pytest.mark.parametrize("scatter", [0.01, 0.04, 0.1])
def test_a_calm_run_leaves_no_job_out_however_its_readings_scatter(scatter):
    """Ten jobs of four readings and sixty blocks in each of 150 runs: one of 1,800 blocks by chance, at most."""
    rng = np.random.default_rng(1)
    jobs = blocks = 0
    for _ in range(150):
        of_jobs = [scattered(rng, 4, by=scatter) for _ in range(10)]
        of_blocks = scattered(rng, 60, by=scatter)
        usual = find_usual_speed([*of_blocks, *(one for job in of_jobs for one in job)])
        jobs += sum(unusual_speed(job, usual) is not None for job in of_jobs)
        blocks += sum(unusual_speed([one], usual) is not None for one in of_blocks)
    assert jobs == 0
    expected = 150 * 60 / 1800
    assert blocks <= expected + 3 * math.sqrt(expected)


@pytest.mark.parametrize(("scatter", "rate"), [(0.02, 0.0), (0.05, 0.0018), (0.1, 0.017)])
def test_a_calm_block_is_seldom_spoilt_by_the_last_fifteen_readings_alone(scatter, rate):
    rng = np.random.default_rng(3)
    found = blocks = 0
    for _ in range(60):
        read = scattered(rng, 60, by=scatter)
        for number in range(15, 60):
            blocks += 1
            found += unusual_speed([read[number]], find_usual_speed(read[number - 15 : number])) is not None
    assert found <= rate * blocks + 3 * math.sqrt(rate * blocks)


def test_a_machine_that_is_slow_for_a_third_of_the_run_is_found_in_every_job_there():
    rng = np.random.default_rng(2)
    missed = false = 0
    for _ in range(150):
        slow = [scattered(rng, 4, by=0.03, speed=0.54) for _ in range(3)]
        calm = [scattered(rng, 4, by=0.03) for _ in range(7)]
        usual = find_usual_speed([one for job in [*slow, *calm] for one in job])
        missed += sum(unusual_speed(job, usual) is None for job in slow)
        false += sum(unusual_speed(job, usual) is not None for job in calm)
    assert (missed, false) == (0, 0)


def test_readings_of_a_run_are_those_of_jobs_of_blocks_and_of_what_was_measured_again():
    block = BlockRecord(
        kind="training", number=1, attempt=1, first="baseline", windows=8, baseline_s=(1.0, 1.0),
        contender_s=(1.0, 1.0), speedometer=reading(0.9),
    )  # fmt: skip
    job = {"contender": "baseline", "seed": 0, "status": "done"}
    first = TrialRecord(kind="job", speedometer=(reading(0.5),), **job)
    records = [
        TrialRecord(kind="job", speedometer=(reading(), reading()), superseded=first, **job),
        TrialRecord(kind="speed", speed=SpeedRecord(blocks=(block,), stopped="", settle_s=0.0), **job),
        TrialRecord(kind="profile", **job),
    ]
    rates = [one.matmul_gflops / GFLOPS for one in readings_of(records)]
    assert rates == pytest.approx([1.0, 1.0, 0.5, 0.9])
