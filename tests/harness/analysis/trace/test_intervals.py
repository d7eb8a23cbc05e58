"""Dividing overlapping intervals, against a count of single nanoseconds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.trace.intervals import Intervals, Windows, divide

LABELS = 3
INTERVALS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20), st.integers(-1, LABELS - 1)), max_size=6)


def make(rows: list[tuple[int, int, int]]) -> Intervals:
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Intervals(table[:, 0], table[:, 0] + table[:, 1], table[:, 2])


def count(windows: Windows, levels: list[Intervals]) -> np.ndarray:
    """Divide nanosecond by nanosecond."""
    result = np.zeros(LABELS)
    for start, end in zip(*windows, strict=True):
        for instant in range(start, end):
            for level in levels:
                here = (level.start_ns <= instant) & (instant < level.end_ns) & (level.label >= 0)
                if here.any():
                    result += np.bincount(level.label[here], minlength=LABELS) / here.sum()
                    break
    return result


@settings(deadline=None, max_examples=60)
@given(INTERVALS, INTERVALS)
def test_each_instant_goes_to_the_first_level_in_equal_parts(
    first: list[tuple[int, int, int]], second: list[tuple[int, int, int]]
) -> None:
    windows = Windows(np.array([3, 30]), np.array([20, 45]))
    levels = [make(first), make(second)]
    assert divide(windows, levels, LABELS) == pytest.approx(count(windows, levels))


def test_overlapping_work_is_counted_once() -> None:
    windows = Windows(np.array([0]), np.array([10]))
    result = divide(windows, [make([(0, 6, 0), (4, 4, 1)])], LABELS)
    assert result.tolist() == [5.0, 3.0, 0.0]


def test_a_window_is_found_by_time() -> None:
    windows = Windows(np.array([10, 30]), np.array([20, 40]))
    assert windows.find(np.array([5, 10, 19, 20, 35, 40])).tolist() == [-1, 0, 0, -1, 1, -1]
    assert windows.length_ns == 20
