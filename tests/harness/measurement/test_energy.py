"""Energy between the moves of a counter that moves every 100 ms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.measurement.energy import find_energy, integrate_w
from harness.measurement.nvml import EnergyReading


def stepping(*, seconds: float, watts: float, phase_s: float = 0.0, power: float | None = None) -> list[EnergyReading]:
    """Readings every 10 ms of a counter that follows the power in steps of 100 ms, after an idle start of 2 ms."""
    times_s = [0.002 + 0.01 * number for number in range(round(seconds / 0.01))]
    return [EnergyReading(50.0 + t, int((t + phase_s) / 0.1) * 0.1 * watts, power or watts) for t in times_s]


@pytest.mark.parametrize("phase_s", [0.0, 0.03, 0.07, 0.099])
def test_energy_is_taken_at_the_counters_edges(phase_s: float) -> None:
    found = find_energy(stepping(seconds=3.2, watts=500.0, phase_s=phase_s))
    assert found is not None
    assert found.energy_j is not None
    assert found.energy_j / found.window_s == pytest.approx(500.0, rel=0.004)
    assert found.integrated_j == pytest.approx(500.0 * found.window_s)
    assert found.error_s == pytest.approx(0.01)
    assert found.window_s >= 2.99


def test_counter_and_integrated_power_are_both_kept() -> None:
    found = find_energy(stepping(seconds=3.2, watts=187.0, power=327.0))
    assert found is not None
    assert found.energy_j is not None
    assert (found.energy_j, found.integrated_j) == (
        pytest.approx(187.0 * found.window_s, rel=0.01),
        pytest.approx(327.0 * found.window_s),
    )


def test_without_a_counter_power_is_integrated_over_all_readings() -> None:
    readings = [EnergyReading(t, None, 100.0 + 100.0 * t) for t in (0.0, 1.0, 3.0)]
    found = find_energy(readings)
    assert found is not None
    assert (found.energy_j, found.integrated_j, found.window_s) == (None, 150.0 + 600.0, 3.0)


def test_power_is_cut_at_the_edges() -> None:
    assert integrate_w([(t, 100.0 * t) for t in (0.0, 1.0, 2.0)], 0.5, 1.5) == pytest.approx(100.0)


@pytest.mark.parametrize(
    "readings",
    [
        [],
        [EnergyReading(0.0, 1.0, 1.0)],
        [EnergyReading(float(t), 7.0, 1.0) for t in range(5)],
        [EnergyReading(float(t), energy_j, 1.0) for t, energy_j in enumerate((900.0, 950.0, 10.0, 60.0))],
        [EnergyReading(float(t), None, None) for t in range(5)],
    ],
    ids=["none", "one", "stands still", "set back", "not reported"],
)
def test_nothing_is_made_up(readings: list[EnergyReading]) -> None:
    assert find_energy(readings) is None


FROM_DRIVER = """
import json, time
from dataclasses import asdict
from harness.measurement.energy import READINGS_EVERY_S, find_energy
from harness.measurement.nvml import open_gpu
from harness.measurement.readings import read_during
gpu = open_gpu("bbbbbbbb-0000-0000-0000-000000000002")
with read_during(gpu.read_energy, first_s=READINGS_EVERY_S, every_s=READINGS_EVERY_S) as readings:
    time.sleep(1.5)
print(json.dumps(asdict(find_energy(readings))))
"""


def test_the_drivers_counter_gives_its_power(run_with_fake_nvml: Callable[..., Any]) -> None:
    found = run_with_fake_nvml(FROM_DRIVER, FAKE_NVML_COUNTER="steps")
    # By whole steps of the fake counter, 30 J each; the window's length is known as exactly as it says.
    assert found["energy_j"] % 30.0 == pytest.approx(0.0, abs=1e-6)
    assert abs(found["energy_j"] / 300.0 - found["window_s"]) <= found["error_s"] + 0.005
    assert found["integrated_j"] == pytest.approx(300.0 * found["window_s"])
