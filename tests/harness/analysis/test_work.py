"""Unequal work is told in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.analysis.work import Work, compare_work
from harness.records import TrialRecord, WorkRecord

SAME = WorkRecord(updates=64, updates_applied=64, windows=768, useful_tokens=9000, computed_tokens=12000,
                  order_sha256="a" * 64, learning_rate_sha256="b" * 64)  # fmt: skip


def compare(change: dict[str, Any], effects: tuple[str, ...] = ("SAME_MATH",)) -> Work:
    theirs = replace(SAME, **change)
    trials = [TrialRecord(contender=name, kind="job", seed=0, status="done", work=work)
              for name, work in (("baseline", SAME), ("x", theirs))]  # fmt: skip
    return compare_work([theirs], [(trials[0], trials[1])], effects)


def test_the_same_work_is_equal() -> None:
    work = compare({})
    assert (work.equal, work.differences, work.expected) == (True, (), ())


def test_less_padding_is_no_difference() -> None:
    assert compare({"computed_tokens": 9000}).equal


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"windows": 384}, "trained on 384 windows, the baseline on 768"),
        ({"useful_tokens": 8000}, "trained on 8,000 useful tokens, the baseline on 9,000"),
        ({"updates_applied": 63}, "63 of 64 updates changed the parameters, of the baseline's 64 of 64"),
        ({"order_sha256": "c" * 64}, "saw the windows in another order"),
        ({"learning_rate_sha256": "c" * 64}, "other learning rates"),
        ({"updates": 16, "updates_applied": 16}, "16 updates, the baseline made 64"),
    ],
)
def test_each_difference_is_told(change: dict[str, Any], words: str) -> None:
    work = compare(change)
    assert not work.equal
    assert work.differences == (words,)


def test_a_new_schedule_may_make_other_updates_but_not_fewer_windows() -> None:
    change = {"updates": 16, "updates_applied": 16, "learning_rate_sha256": "c" * 64}
    work = compare(change, ("SAME_MATH", "NEW_SCHEDULE"))
    assert work.equal
    assert work.expected == ("16 updates, the baseline made 64", "other learning rates")
    assert not compare(change | {"windows": 384}, ("NEW_SCHEDULE",)).equal
    assert not compare(change | {"updates_applied": 15}, ("NEW_SCHEDULE",)).equal


def test_without_a_baseline_nothing_is_claimed() -> None:
    work = compare_work([SAME], [], ())
    assert work.equal is None
    assert compare_work([], [], ()) is None
