"""Bounds of stacks, and predictions held against what was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.analysis.advice.amdahl import removed_share, speedup_bound
from harness.analysis.advice.facts import Facts
from harness.analysis.advice.findings import Finding
from harness.analysis.advice.predictions import predict
from harness.statistics.estimate import Estimate

CELLS = {("training", "matmul"): 60.0, ("training", "optimizer"): 20.0, ("imports", ""): 20.0}
PADDING = {("training", "matmul"): 0.5}
PRECISION = {("training", "matmul"): 0.75}
OPTIMIZER = {("training", "optimizer"): 1.0}


def finding(rule, *strategies):
    return Finding(rule=rule, sentence="", share=0.0, strategies=strategies, job_speedup_bound=1.0)


FOUND = [
    (finding("padding_waste", "unpadded"), PADDING),
    (finding("fp32_products", "amp_bf16"), PRECISION),
    (finding("optimizer", "fused_adamw", "larger_batches"), OPTIMIZER),
    (finding("spare_memory", "larger_batches"), OPTIMIZER),
]


@pytest.fixture
def contender(make_run, analysed):
    """Return a function that makes a measured contender with this job speedup."""
    measured = analysed(make_run(seeds=1)).contenders[1]

    def make(name, estimate=None, low=None, high=None):
        speedup = None if estimate is None else Estimate(estimate=estimate, low=low, high=high, kind="interval")
        return replace(measured, name=name, parts=tuple(name.split("+")), job_speedup=speedup)

    return make


def test_a_bound_is_amdahls(contender):
    prediction = predict(contender("unpadded", 1.3, 1.25, 1.35), FOUND, CELLS)
    assert prediction.rules == ("padding_waste",)
    assert prediction.job_speedup_bound == pytest.approx(100.0 / 70.0)
    assert (prediction.measured, prediction.measured_low, prediction.measured_high) == (1.3, 1.25, 1.35)
    assert not prediction.missed
    assert "at most 1.43× was predicted (padding waste)" in prediction.sentence
    assert "measured 1.30× (1.25 to 1.35), 9% below the bound" in prediction.sentence


def test_a_stack_takes_each_part_of_time_once(contender):
    both = predict(contender("unpadded+amp_bf16"), FOUND, CELLS)
    # half of the products is padding, three quarters of the rest precision: 7.5 s of 60 s stay
    assert both.job_speedup_bound == pytest.approx(100.0 / 47.5)
    once = predict(contender("larger_batches"), FOUND, CELLS)
    assert once.rules == ("optimizer", "spare_memory")
    assert once.job_speedup_bound == pytest.approx(100.0 / 80.0)
    assert predict(contender("fused_adamw+larger_batches"), FOUND, CELLS).job_speedup_bound == once.job_speedup_bound


def test_without_a_finding_no_gain_is_predicted(contender):
    prediction = predict(contender("channels_last", 1.01, 0.99, 1.03), FOUND, CELLS)
    assert (prediction.rules, prediction.job_speedup_bound, prediction.missed) == ((), 1.0, False)
    assert "no gain was predicted" in prediction.sentence


@pytest.mark.parametrize(
    ("measured", "missed", "words"),
    [
        ((1.60, 1.55, 1.65), True, "12% beyond the bound: it speeds something up that the findings do not name"),
        ((1.50, 1.49, 1.51), False, "5% beyond the bound"),
        ((1.60, 1.40, 1.80), False, "beyond the bound"),
        ((1.01, 0.99, 1.03), True, "hardly anything of it came"),
        ((0.80, 0.75, 0.85), True, "hardly anything of it came"),
        ((1.05, 0.95, 1.15), False, "below the bound"),
        ((1.02, None, None), False, "measured 1.02×, 29% below the bound; there is no interval to hold it against"),
    ],
)
def test_predictions_that_miss_are_called_out(contender, measured, missed, words):
    prediction = predict(contender("unpadded", *measured), FOUND, CELLS)
    assert prediction.missed is missed
    assert words in prediction.sentence


def test_a_range_of_jobs_as_they_ran_is_no_interval(contender):
    drifting = Estimate(estimate=2.0, low=1.9, high=2.1, kind="range")
    assert not predict(replace(contender("unpadded"), job_speedup=drifting), FOUND, CELLS).missed


def test_a_small_promise_is_not_missed_by_giving_nothing(contender):
    little = [(finding("padding_waste", "unpadded"), {("training", "matmul"): 0.1})]
    assert not predict(contender("unpadded", 1.0, 0.99, 1.01), little, CELLS).missed


def test_what_was_not_measured_is_only_predicted(contender):
    prediction = predict(contender("unpadded"), FOUND, CELLS)
    assert (prediction.measured, prediction.missed) == (None, False)
    assert prediction.sentence.endswith("not measured")
    refused = replace(contender("unpadded", 1.0), state="not_applicable")
    assert predict(refused, FOUND, CELLS).measured is None


def test_a_job_without_a_ledger_stays_whole_in_its_phases():
    cells = Facts(phases_s={"training": 3.0, "imports": 1.0}, ledger=None).cells
    assert cells == {("training", ""): 3.0, ("imports", ""): 1.0}


def test_removing_everything_bounds_nothing():
    assert removed_share({("training", ""): 2.0}, [{("training", ""): 1.0}]) == 1.0
    assert speedup_bound(1.0) == float("inf")
    assert removed_share({}, [PADDING]) == 0.0


def test_the_analysis_of_a_run_predicts_each_contender(make_run, analysed):
    diagnosis = analysed(make_run()).diagnosis
    assert [prediction.contender for prediction in diagnosis.predictions] == [
        "amp_bf16",
        "fused_adamw+sdpa",
        "channels_last",
        "compile",
    ]
    rules = {finding.rule: finding for finding in diagnosis.findings}
    assert "25% of the computed tokens" in rules["padding_waste"].sentence or "26%" in rules["padding_waste"].sentence
    assert all(0 < finding.share < 1 for finding in diagnosis.findings)
