"""Energy per epoch and per useful token."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.analysis.evidence.energy import summarise_energy
from harness.records.checks import EnergyRecord, EnergyUse

BASELINE = EnergyUse(
    energy_j=3600.0,
    integrated_j=3700.0,
    window_s=6.0,
    error_s=0.03,
    segment_s=6.5,
    windows=325,
    useful_tokens=65_000,
)
CONTENDER = EnergyUse(
    energy_j=1200.0,
    integrated_j=1180.0,
    window_s=3.0,
    error_s=0.015,
    segment_s=3.25,
    windows=1300,
    useful_tokens=260_000,
)
RECORD = EnergyRecord(baseline=BASELINE, contender=CONTENDER, epoch_windows=1000, power_source="instant")


def test_energies_are_scaled_to_an_epoch_and_to_a_token() -> None:
    found = summarise_energy(RECORD)
    assert found is not None
    assert (found.baseline.power_w, found.contender.power_w) == (600.0, 400.0)
    assert found.baseline.epoch_j == pytest.approx(600.0 * 6.5 / 325 * 1000)
    assert found.contender.epoch_j == pytest.approx(400.0 * 3.25 / 1300 * 1000)
    assert found.contender.token_j == pytest.approx(400.0 * 3.25 / 260_000)
    assert found.ratio == pytest.approx(12.0)
    assert found.contender.error_share == pytest.approx(0.005)
    assert found.contender.source == "counter"
    assert found.notes == ()


def test_both_are_taken_by_power_if_one_has_no_counter() -> None:
    found = summarise_energy(replace(RECORD, contender=replace(CONTENDER, energy_j=None)))
    assert found is not None
    assert (found.baseline.source, found.contender.source) == ("power", "power")
    assert found.baseline.power_w == pytest.approx(3700.0 / 6.0)


def test_readings_that_disagree_and_foreign_work_are_notes() -> None:
    doubtful = replace(
        RECORD,
        contender=replace(CONTENDER, integrated_j=2000.0),
        contamination=("1 other processes were on the GPU",),
    )
    found = summarise_energy(doubtful)
    assert found is not None
    assert "disagree by 40% of the larger, for it" in found.notes[0]
    assert found.notes[1] == "1 other processes were on the GPU"


@pytest.mark.parametrize(
    "record",
    [
        None,
        replace(RECORD, contender=replace(CONTENDER, energy_j=None, integrated_j=None)),
        replace(RECORD, baseline=replace(BASELINE, useful_tokens=0)),
    ],
)
def test_what_was_not_measured_is_none(record: EnergyRecord | None) -> None:
    assert summarise_energy(record) is None
