"""Unequal work is told in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.evidence.work import Work, compare_work
from harness.records.store import LoadedTrial
from harness.records.trial import StepRecord, TrialRecord, WorkRecord

SAME = WorkRecord(updates=64, updates_applied=64, windows=768, useful_tokens=9000, computed_tokens=12000,
                  token_id_sum=1000, trained_parameters=500, total_parameters=500, untrained_tensors=(),
                  order_sha256="a" * 64, learning_rate_sha256="b" * 64)  # fmt: skip


def compare(change: dict[str, Any], effects: tuple[str, ...] = ("SAME_MATH",)) -> Work:
    baseline, other = loaded("baseline", SAME), loaded("x", replace(SAME, **change))
    return compare_work([baseline], [other], effects)


def loaded(name: str, work: WorkRecord, steps: list[StepRecord] | None = None) -> LoadedTrial:
    record = TrialRecord(contender=name, kind="job", seed=0, status="done", work=work)
    return LoadedTrial(directory=Path("nowhere"), record=record, steps=steps or [], predictions={})


def step(learning_rate: float = 1e-3, gradient_norm: float = 1.0) -> StepRecord:
    return StepRecord(epoch=1, step=1, time_s=0.1, loss=1.0, learning_rate=learning_rate, gradient_norm=gradient_norm,
                      windows=4, useful_tokens=80, computed_tokens=128, token_id_sum=10, applied=True)  # fmt: skip


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
        ({"token_id_sum": 9}, "trained on other text than the baseline: the sums of the token numbers differ"),
        (
            {"trained_parameters": 10, "untrained_tensors": ("a", "b")},
            "trained 10 of 500 parameters, the baseline 500 of 500 (a and 1 more tensors did not change)",
        ),
        ({"order_sha256": "c" * 64}, "saw the windows in another order"),
        ({"learning_rate_sha256": "c" * 64}, "other learning rates"),
        ({"updates": 16, "updates_applied": 16}, "16 updates, the baseline made 64"),
    ],
)
def test_each_difference_is_told(change: dict[str, Any], words: str) -> None:
    work = compare(change)
    assert not work.equal
    assert work.differences == (words,)


def test_a_new_schedule_may_train_otherwise_and_says_so() -> None:
    change = {"updates": 16, "updates_applied": 16, "learning_rate_sha256": "c" * 64}
    work = compare(change, ("SAME_MATH", "NEW_SCHEDULE"))
    assert work.equal
    assert work.expected == ("16 updates, the baseline made 64", "other learning rates")
    fewer = compare(change | {"windows": 384}, ("NEW_SCHEDULE",))
    assert fewer.equal
    assert "trained on 384 windows, the baseline on 768" in fewer.expected


def test_a_new_schedule_that_freezes_parameters_is_unequal() -> None:
    assert not compare({"trained_parameters": 10}, ("NEW_SCHEDULE",)).equal
    assert compare({"trained_parameters": 10}, ("NEW_MODEL",)).equal


def test_the_first_learning_rate_that_differs_is_told() -> None:
    other = replace(SAME, learning_rate_sha256="c" * 64)
    pair = loaded("baseline", SAME, [step(1e-3)]), loaded("x", other, [step(5e-4)])
    work = compare_work([pair[0]], [pair[1]], ("SAME_MATH",))
    assert work.differences == ("other learning rates: 0.0005 at step 1, the baseline's was 0.001",)


def test_gradients_of_another_size_are_unequal_work() -> None:
    pair = loaded("baseline", SAME, [step()]), loaded("x", SAME, [step(gradient_norm=2.0)])
    work = compare_work([pair[0]], [pair[1]], ("SAME_MATH",))
    assert work.gradient_norm_ratio == 2.0
    assert not work.equal


def test_gradients_of_fewer_parameters_are_smaller_and_announced_by_a_new_model() -> None:
    frozen = replace(SAME, trained_parameters=250, untrained_tensors=("a", "b"))
    pair = loaded("baseline", SAME, [step()]), loaded("x", frozen, [step(gradient_norm=0.5)])
    work = compare_work([pair[0]], [pair[1]], ("NEW_MODEL", "LOWER_PRECISION"))
    assert work.equal
    assert work.expected == (
        "trained 250 of 500 parameters, the baseline 500 of 500 (a and 1 more tensors did not change)",
        "gradient norms were 0.5 times the baseline's (median over the steps)",
    )
    other_order = replace(frozen, order_sha256="c" * 64)
    pair = loaded("baseline", SAME, [step()]), loaded("x", other_order, [step(gradient_norm=0.5)])
    assert compare_work([pair[0]], [pair[1]], ("NEW_MODEL",)).differences == ("saw the windows in another order",)


def test_without_a_baseline_nothing_is_claimed() -> None:
    work = compare_work([], [loaded("x", SAME)], ())
    assert work.equal is None
    assert compare_work([], [], ()) is None
