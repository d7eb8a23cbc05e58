"""The plan: order, stacks, profiles."""

from __future__ import annotations

import pytest

from harness.config import override, preset
from harness.errors import StrategyError
from harness.experiment.plan import order_contenders, plan_trials


def plan(**changes):
    return plan_trials(override(preset("smoke"), {key.replace("__", "."): value for key, value in changes.items()}))


def test_order_alternates_from_seed_to_seed():
    trials = plan(contenders=["sdpa", "fused_adamw"], seeds=2, profile__enabled=False)
    assert [(trial.contender, trial.seed) for trial in trials] == [
        ("baseline", 0),
        ("sdpa", 0),
        ("fused_adamw", 0),
        ("fused_adamw", 1),
        ("sdpa", 1),
        ("baseline", 1),
    ]


def test_profiles_come_after_all_timed_jobs():
    kinds = [trial.kind for trial in plan(contenders=["sdpa"], seeds=2)]
    assert kinds == ["job"] * 4 + ["profile"] * 2


def test_folders_follow_contender_and_seed():
    trials = plan(contenders=["sdpa+fused_adamw"])
    assert [trial.folder for trial in trials] == [
        "trials/baseline/0",
        "trials/sdpa+fused_adamw/0",
        "trials/baseline/profile",
        "trials/sdpa+fused_adamw/profile",
    ]


def test_each_contender_runs_once_and_the_baseline_first():
    assert order_contenders(("sdpa", "baseline", "sdpa", " amp_bf16 + sdpa")) == ["baseline", "sdpa", "amp_bf16+sdpa"]


def test_unknown_contenders_are_refused_before_any_trial():
    with pytest.raises(StrategyError, match="did you mean sdpa"):
        order_contenders(("sdap",))
