"""What the report says against its own numbers."""

from __future__ import annotations

import numpy as np

from harness.analysis.evidence.speed import NoiseFloor
from harness.analysis.notes import HIGH_FLOOR, floor_note, sampling_notes
from harness.statistics.paired import ratio_of_logs


def noise_floor(floor: float) -> NoiseFloor:
    return NoiseFloor(ratio=ratio_of_logs(np.zeros(5)), share=floor)


def test_a_high_noise_floor_is_told_with_what_helps():
    assert "under 15 % could not have been shown" in floor_note(noise_floor(0.15))
    assert "--budget" in floor_note(noise_floor(0.15))


def test_an_ordinary_noise_floor_is_not_worth_a_line():
    assert floor_note(noise_floor(HIGH_FLOOR)) is None
    assert floor_note(None) is None


def test_a_meter_that_failed_is_told_with_its_error():
    assert sampling_notes(None, None, "the process ended") == ["its energy could not be measured: the process ended"]
    assert sampling_notes(None, None, None) == []
