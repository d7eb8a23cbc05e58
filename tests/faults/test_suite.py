"""The short form of the faults suite, and the suite's own judgement of verdicts."""

from __future__ import annotations

import importlib
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from harness.analysis.verdict.reason import Reason


@pytest.fixture(scope="module")
def suite():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        yield importlib.import_module("suite")
    for name in ("suite", "expected"):
        del sys.modules[name]


@pytest.fixture
def expected(suite):
    return sys.modules["expected"]


@pytest.mark.usefixtures("needs_bundled")
@pytest.mark.timeout(600)
def test_cheats_and_crashes_get_the_verdicts_they_must(suite, expected, tmp_path):
    groups = {group.name: group for group in suite.GROUPS}
    alone = tuple(fault for name in ("jobs", "late") for fault in groups[name].faults if fault.name in expected.SHORT)
    both = tuple(
        fault for fault in groups["cheats"].faults if fault.name in expected.SHORT - {one.name for one in alone}
    )
    assert {fault.name for fault in (*alone, *both)} == expected.SHORT
    outcomes = suite.run_faults(groups["cheats"], both, 0, tmp_path / "cheats")
    outcomes += suite.run_faults(groups["late"], alone, 0, tmp_path / "late")
    wrong = [(item.fault.name, item.verdict, item.reasons) for item in outcomes if not item.right]
    assert wrong == []


def outcome(suite, fault, verdict, *reasons, **more):
    said = tuple(Reason(rule=rule, text=text, numbers={}) for rule, text in reasons)
    return suite.Outcome(fault=fault, verdict=verdict, reasons=said, **more)


def test_a_right_verdict_for_another_reason_is_wrong(suite, expected):
    fault = expected.fault("x", "REJECTED", reason="updates")
    assert outcome(suite, fault, "REJECTED", ("unequal_work", "7 of 14 updates")).right
    assert not outcome(suite, fault, "REJECTED", ("unequal_work", "other text")).right
    assert not outcome(suite, fault, "ACCEPTED", ("unequal_work", "7 of 14 updates")).right
    audited = expected.audited("x", expected.at_any)
    assert outcome(suite, audited, "REJECTED", ("wrong_clock", "slow"), ("audit", "step 9")).right
    assert not outcome(suite, audited, "REJECTED", ("wrong_clock", "slow")).right


JOB = {"windows": 50, "batch_size": 4, "epochs": 4, "audits_per_epoch": 3}
"""13 steps in each epoch, the last one on two windows."""


@pytest.mark.parametrize(
    ("touches", "share"),
    [("every_50th", 1.0), ("from_ninth", 0.5), ("in_second_epoch", 0.1), ("at_any", 0.1), ("at_a_smaller_last", 1.0)],
)
def test_chance_of_being_missed_is_that_of_drawing_steps(touches, share, expected):
    job = expected.Job(**JOB)
    fault = expected.audited("x", getattr(expected, touches), share=share)
    rng, missed, runs = np.random.default_rng(0), 0, 20_000
    for _ in range(runs):
        found = False
        for epoch in range(1, 5):
            steps = [step for step in range(13 * epoch - 12, 13 * epoch + 1) if fault.touches(step, epoch, job)]
            touched = steps[: int(share * len(steps) + 1e-9)]
            drawn = rng.choice(np.arange(13 * epoch - 12, 13 * epoch + 1), size=3, replace=False)
            found = found or bool(set(touched) & set(drawn.tolist()))
        missed += not found
    assert fault.missed(job) == pytest.approx(missed / runs, abs=0.012)


def test_what_audits_may_miss_may_be_called_anything_but_inert_or_failed(expected):
    job = expected.Job(**JOB)
    rare = expected.audited("x", expected.every_50th).in_job(job)
    assert rare.is_left_to_chance
    assert {"REJECTED", "ACCEPTED", "NO_GAIN", "NOT_MEASURED"} <= rare.right
    assert not {"INERT", "FAILED"} & rare.right - {"INERT"}
    late = expected.audited("x", expected.from_ninth).in_job(job)
    assert (late.right, late.is_left_to_chance) == (frozenset({"REJECTED"}), False)


def test_without_audits_everything_is_missed_and_with_all_steps_nothing(expected):
    late = expected.audited("x", expected.every_50th)
    assert late.missed(expected.Job(**JOB | {"audits_per_epoch": 0})) == 1.0
    assert late.missed(expected.Job(**JOB | {"audits_per_epoch": 99})) == 0.0
    assert expected.fault("x", "REJECTED").missed(expected.Job(**JOB)) == 0.0


def test_even_batches_leave_nothing_over(expected):
    even = expected.Job(**JOB | {"windows": 48})
    assert expected.audited("x", expected.at_a_smaller_last).missed(even) == 1.0


def test_every_fault_has_one_place_and_is_registered(suite, expected):
    from harness import registry

    registry.load_all(tuple(suite.PLUGINS))
    for group in suite.GROUPS:
        names = [group.contender(fault) for fault in group.faults]
        assert len(set(names)) == len(names)
        for name in names:
            registry.resolve(name)
    alone = [fault.name for group in suite.GROUPS if group.name in {"jobs", "late"} for fault in group.faults]
    assert len(set(alone)) == len(alone)


def test_form_touches_the_steps_that_are_counted(suite, expected):
    # The table's own words for a trigger must be the plugin's.
    from harness import registry

    registry.load_all(tuple(suite.PLUGINS))
    checked = 0
    for fault in (*expected.CHEATS, *expected.LATE):
        trigger = getattr(registry.get(fault.name.split("+")[-1]), "trigger", None)
        if trigger is None or fault.touches is None or not trigger.foreseeable or fault.share not in (0.5, 1.0):
            continue
        for step, epoch in itertools.product(range(1, 60), range(1, 5)):
            assert fault.touches(step, epoch, expected.Job(**JOB)) == trigger.holds(step, epoch), fault.name
        checked += 1
    assert checked > 10


def test_table_prints_chances_and_what_was_wrong(suite, expected):
    job = expected.Job(**JOB)
    rare, late = (expected.audited(name, getattr(expected, name)) for name in ("every_50th", "from_ninth"))
    rows = [
        outcome(suite, rare.in_job(job), "ACCEPTED", ("faster", "fast"), missed=rare.missed(job)),
        outcome(suite, late.in_job(job), "ACCEPTED", ("faster", "2.0×"), missed=late.missed(job)),
        outcome(suite, expected.fault("x", "INERT"), "INERT"),
    ]
    console = Console(width=200, record=True)
    suite.print_table({0: rows}, console)
    text = console.export_text()
    assert "76.9%" in text
    assert "REJECTED if drawn" in text
    assert "never" in text
    assert "seed 0, from_ninth: ACCEPTED: faster: 2.0×" in text
    assert "seed 0, every_50th" not in text
