"""Audited perturbation, judged from raw numbers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from harness.analysis.evidence import perturbation
from harness.analysis.evidence.gather import Evidence
from harness.analysis.evidence.perturbation import loss_beyond_chance
from harness.records.perturbation import PerturbationRecord, TwinRecord
from harness.records.strategy import LOWER_PRECISION, NEW_SCHEDULE, SAME_MATH
from harness.statistics.noninferiority import assess

TENSORS = (*(f"layer.{i}.weight" for i in range(20)), "layer.0.key.bias")
SCATTER = (*[0.1] * 20, 1e-9)


def deviations(steps, share=0.02):
    return tuple((0.1 * share,) * 20 + (1e-5,) for _ in range(steps))


def products(steps, *, share=0.02, common=0.0, seed=0):
    """Of deviations in units of scatter: unrelated ones, and what they have in common."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(steps, 2000))
    vectors = share * vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:, 0] += common
    return tuple(map(tuple, vectors @ vectors.T))


def judge_perturbation(records, *, steps, share=0.05):
    return perturbation.judge_perturbation(records, steps=steps, share=share)


@pytest.fixture
def record():
    return PerturbationRecord(
        tensors=TENSORS,
        steps=(2, 5, 11, 14, 19, 23),
        reference=(0.2,) * 20 + (1e-9,),
        scatter=SCATTER,
        scatter_degrees=12,
        deviations=deviations(6),
        products=products(6),
    )


def others(record, **changes):
    """The record of a contender that draws other random numbers than the reference."""
    twin = TwinRecord(
        deviations=record.deviations, products=record.products, disagreements=(1e-7,) * 6, repeatability=0.0
    )
    far = tuple((0.15,) * 20 + (1e-9,) for _ in range(6))
    return replace(record, deviations=far, twin=replace(twin, **changes))


def test_small_deviations_that_have_little_in_common_hold(record):
    judged = judge_perturbation([record], steps=24)
    assert judged.holds
    assert judged.rounding.typical == pytest.approx(0.02)
    assert judged.rounding.p_mean > 0.05
    assert not judged.by_twin


def test_one_tensor_beyond_the_share_breaks_it_and_is_named(record):
    rows = [list(row) for row in record.deviations]
    for row in rows:
        row[7] = 0.0045
    rows[3][7] = 0.0075
    judged = judge_perturbation([replace(record, deviations=tuple(map(tuple, rows)))], steps=24)
    assert not judged.holds
    assert judged.fault is None
    assert judged.rounding.problem == (
        "the gradient of layer.7.weight deviates by 5.1% of its scatter (allowed: 5%), most at step 14 of those audited"
    )
    assert judge_perturbation([replace(record, deviations=tuple(map(tuple, rows)))], steps=24, share=0.06).holds


@pytest.mark.filterwarnings("error")
def test_a_gradient_that_does_not_scatter_at_all_deviates_by_many_times_its_scatter(record):
    problem = judge_perturbation([replace(record, scatter=(0.0,) * 21)], steps=24).rounding.problem
    assert "deviates by many times its scatter" in problem


@pytest.mark.parametrize("value", [float("nan"), None])
def test_what_is_missing_or_no_number_does_not_hold(record, value):
    rows = (*record.deviations[:-1], (value, *record.deviations[-1][1:]))
    assert not judge_perturbation([replace(record, deviations=rows)], steps=24).holds


def test_one_step_may_round_more_than_the_share_but_no_fault_of_one_hides(record):
    rows = [list(row) for row in record.deviations]
    rows[3][7] = 0.008
    assert judge_perturbation([replace(record, deviations=tuple(map(tuple, rows)))], steps=24).holds
    rows[3][7] = 0.03
    assert not judge_perturbation([replace(record, deviations=tuple(map(tuple, rows)))], steps=24).holds


def test_an_invariant_tensor_counts_beside_the_whole_scatter(record):
    assert judge_perturbation([record], steps=24).rounding.worst == pytest.approx(0.02)
    rows = tuple((*row[:-1], 0.001) for row in record.deviations)
    judged = judge_perturbation([replace(record, deviations=rows)], steps=24)
    assert judged.rounding.worst_tensor == "layer.0.key.bias"


def test_what_deviations_have_in_common_adds_up_over_a_long_job_alone(record):
    biased = replace(record, products=products(6, common=0.02))
    assert judge_perturbation([biased], steps=100).holds
    judged = judge_perturbation([biased], steps=2000)
    assert not judged.holds
    assert "have in common" in judged.rounding.problem
    assert judged.rounding.p_mean == pytest.approx(1 / 32)
    assert judge_perturbation([record], steps=2000).holds


def test_few_audits_say_nothing(record):
    few = replace(record, steps=record.steps[:4], deviations=deviations(4), products=products(4))
    judged = judge_perturbation([few], steps=24)
    assert not judged.holds
    assert judged.rounding.problem == "only 4 of its steps were audited"
    assert judge_perturbation([few, few], steps=24).holds
    assert judge_perturbation([], steps=24) is None


def test_where_dropout_differs_the_twin_counts(record):
    judged = judge_perturbation([others(record)], steps=24)
    assert judged.holds
    assert judged.by_twin
    assert judge_perturbation([replace(others(record), twin=None)], steps=24).rounding.problem is not None
    assert not judge_perturbation([others(record, deviations=deviations(6, 0.2))], steps=24).holds


def test_one_step_that_its_twin_does_not_make_is_a_fault_unless_the_twin_does_not_repeat_itself(record):
    late = (1e-7,) * 5 + (0.3,)
    judged = judge_perturbation([others(record, disagreements=late)], steps=24)
    assert judged.fault.startswith("step 23 is not what its strategies do")
    assert not judged.holds
    assert judge_perturbation([others(record, disagreements=late, repeatability=0.3)], steps=24).fault is None


def differences(loss=0.0):
    return {"f1": assess(loss + np.random.default_rng(0).normal(size=(3, 100)) * 20, margin=1.0, alpha=0.05)}


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"quality": differences(-6.0)}, False),
        ({"quality": None}, False),
        ({"audits": None}, False),
        ({"perturbation": None}, False),
        ({"equivalence": SimpleNamespace(holds=False)}, False),
        ({"effects": (NEW_SCHEDULE,)}, False),
    ],
)
def test_quality_is_the_same_where_rounding_is_small_and_no_score_shows_a_loss(record, changes, same):
    evidence = Evidence(
        effects=(LOWER_PRECISION, SAME_MATH),
        equivalence=SimpleNamespace(holds=True),
        audits=SimpleNamespace(),
        perturbation=judge_perturbation([record], steps=24),
        quality=differences(),
    )
    assert evidence.shown_same
    assert replace(evidence, **changes).shown_same is same


@pytest.mark.parametrize(("loss", "found"), [(0.0, None), (-6.0, "f1")])
def test_a_loss_beyond_chance_is_named_whatever_the_margin(loss, found):
    rng = np.random.default_rng(0)
    scores = {name: assess(rng.normal(size=(3, 100)) * 20, margin=20.0, alpha=0.05) for name in ("em", "f1")}
    scores["f1"] = assess(loss + rng.normal(size=(3, 100)) * 20, margin=20.0, alpha=0.05)
    assert loss_beyond_chance(scores) == found


def test_a_loss_is_claimed_no_oftener_than_stated():
    rng = np.random.default_rng(1)

    def differences():
        """One answer in ten lost and one in ten won."""
        return rng.choice([-100.0, 0.0, 100.0], p=[0.1, 0.8, 0.1], size=(1, 200))

    claims = [
        loss_beyond_chance({name: assess(differences(), margin=1.0, alpha=0.05) for name in ("em", "f1")})
        for _ in range(400)
    ]
    assert np.mean([claim is not None for claim in claims]) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
