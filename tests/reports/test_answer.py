"""The answer above everything else, as a person would say it."""

from __future__ import annotations

import typing
from dataclasses import replace
from typing import Any

import pytest

from harness.analysis.evidence.startup import WarmUp
from harness.analysis.model import Analysis
from harness.analysis.verdict.reason import Verdict
from harness.statistics.estimate import Estimate
from reports.answer import result_sentence


def estimate(value: float) -> Estimate:
    return Estimate(estimate=value, low=value - 0.05, high=value + 0.05, kind="interval")


COMPILED = WarmUp(baseline_s=0.5, cold_s=26.0, warm_s=None, compiles=True, stall_s=0.0, saved_per_step_s=0.01,
                  break_even_steps=2550.0, break_even_epochs=196.0, break_even_steps_warm=None)  # fmt: skip


@pytest.fixture
def measured(make_run: Any, analysed: Any) -> Analysis:
    return analysed(make_run(failed=False))


def say(analysis: Analysis, **changes: dict[str, Any]) -> str:
    """Return the sentence with other verdicts and numbers; `amp` and `stack` are the measured contenders."""
    names = {"amp_bf16": "amp", "fused_adamw+sdpa": "stack"}
    contenders = tuple(replace(c, **changes.get(names.get(c.name, ""), {})) for c in analysis.contenders)
    return result_sentence(replace(analysis, contenders=contenders))


def test_what_is_accepted_comes_first_and_what_is_faster_is_not_left_out(measured: Analysis) -> None:
    open_quality = {"verdict": "FASTER", "job_speedup": estimate(1.29), "step_speedup": estimate(1.37)}
    sentence = say(measured, amp=open_quality, stack={"job_speedup": estimate(1.15), "step_speedup": estimate(1.19)})
    assert sentence == (
        "Switch on `fused_adamw+sdpa`: job 1.15× (1.10 to 1.20), step 1.19×, same updates; in a job of 1,000 steps "
        "1.24× is to be expected. `amp_bf16` (job 1.29×, step 1.37×) is faster, quality open. Does not apply here: "
        "`channels_last`."
    )


def test_nothing_yet_is_not_nothing(measured: Analysis) -> None:
    unclear, rejected = {"verdict": "UNCLEAR", "job_speedup": estimate(1.02)}, {"verdict": "REJECTED"}
    assert say(measured, amp=unclear, stack=rejected) == (
        "Switch on nothing yet. `amp_bf16` (job 0.97× to 1.07×) is unclear. Rejected: `fused_adamw+sdpa`. Does not "
        "apply here: `channels_last`."
    )
    no_gain = {"verdict": "NO_GAIN"}
    assert say(measured, amp=no_gain, stack=no_gain).startswith(
        "Switch on nothing. `amp_bf16` and `fused_adamw+sdpa` gain less than 2 %."
    )


@pytest.mark.parametrize(
    ("step", "warm_up", "told"),
    [
        (estimate(0.9), replace(COMPILED, break_even_steps=None), "never pays back (job 0.33×)."),
        (estimate(1.2), COMPILED, "pays back only after 2,550 steps (job 0.33×)."),
        (estimate(1.02), COMPILED, "is not shown ever to pay back (job 0.33×)."),
        (estimate(0.9), replace(COMPILED, compiles=False), "is slower (job 0.33×)."),
    ],
)
def test_what_is_slower_says_whether_it_pays_back(
    measured: Analysis, step: Estimate, warm_up: WarmUp, told: str
) -> None:
    amp = next(c for c in measured.contenders if c.name == "amp_bf16")
    changed = {"verdict": "SLOWER", "job_speedup": estimate(0.33), "step_speedup": step,
               "evidence": replace(amp.evidence, warm_up=warm_up)}  # fmt: skip
    assert f"`amp_bf16` {told}" in say(measured, amp=changed)


def test_every_contender_is_in_it_once(measured: Analysis) -> None:
    for verdict in typing.get_args(Verdict):
        sentence = say(measured, amp={"verdict": verdict})
        assert sentence.count("`amp_bf16`") == 1, verdict
        assert sentence.count("`channels_last`") == 1
