"""The speedometer: what it reads, what it costs, and what is usual for a block."""

from __future__ import annotations

import psutil
import pytest

from harness.measurement import speedometer as module
from harness.measurement.samples import Sample
from harness.measurement.speedometer import LAST_READINGS, Speedometer, copied_bytes, read_clock
from harness.records.machine import SpeedometerReading


def test_a_reading_has_both_rates_and_says_what_it_took():
    reading = Speedometer().read()
    assert reading.matmul_gflops > 0
    assert reading.memory_gb_per_s > 0
    assert reading.sm_clock_mhz is None
    assert 0.01 < reading.took_s < 10.0


def test_half_of_the_rate_is_read_where_the_product_takes_twice_as_long(monkeypatch):
    speedometer = Speedometer()
    shortest_s = module._shortest_s
    speedometer.read()
    once = speedometer.read()
    monkeypatch.setattr(module, "_shortest_s", lambda work: shortest_s(lambda: [work() for _ in range(4)]))
    assert speedometer.read().matmul_gflops < 0.7 * once.matmul_gflops


def test_memory_is_taken_once_and_not_with_each_reading():
    speedometer = Speedometer()
    speedometer.read()
    before = psutil.Process().memory_info().rss
    for _ in range(3):
        speedometer.read()
    assert psutil.Process().memory_info().rss - before < copied_bytes() / 4


@pytest.mark.parametrize(
    ("text", "expected_mib"), [("32768K\n", 64), ("262144K\n", 512), ("2097152K\n", 512), ("nonsense", 64)]
)
def test_the_copy_is_larger_than_the_last_cache_within_bounds(monkeypatch, tmp_path, text, expected_mib):
    file = tmp_path / "size"
    file.write_text(text)
    monkeypatch.setattr(module, "CACHE_SIZE", file)
    assert copied_bytes() == expected_mib * 2**20


def test_a_machine_that_stays_slow_becomes_the_usual_one_for_blocks():
    speedometer = Speedometer()
    for rate in [100.0] * LAST_READINGS + [50.0] * (LAST_READINGS // 2 + 1):
        speedometer._last.append(SpeedometerReading(when_s=0.0, matmul_gflops=rate))
    assert speedometer.usual["matmul_gflops"].median == 50.0


def sample(at_s: float, mhz: float, reasons: int = 0) -> Sample:
    return Sample(timestamp_s=at_s, values={"sm_clock_mhz": mhz, "throttle_reasons": reasons})


def test_on_a_gpu_a_job_is_read_by_its_median_clock_while_it_trained():
    (reading,) = read_clock([sample(1.0, 345.0), sample(2.0, 1980.0), sample(3.0, 1980.0)])
    assert (reading.sm_clock_mhz, reading.when_s, reading.matmul_gflops) == (1980.0, 2.0, None)


def test_a_clock_that_the_jobs_own_draw_holds_down_says_nothing_of_the_machine():
    assert read_clock([sample(1.0, 1500.0, reasons=0x4)]) == ()
    assert read_clock([]) == ()
