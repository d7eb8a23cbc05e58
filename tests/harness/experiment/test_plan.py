"""The plan: order, stacks, profiles."""

from __future__ import annotations

import pytest

from harness.config import preset
from harness.errors import StrategyError
from harness.experiment.plan import order_contenders, plan_sessions
from harness.records.serialise import override


def plan(**changes):
    config = override(preset("smoke"), {key.replace("__", "."): value for key, value in changes.items()})
    return [trial for session in plan_sessions(config) for trial in session.trials]


def test_order_alternates_from_seed_to_seed():
    trials = plan(contenders=["sdpa", "fused_adamw"], seeds=2, profile__enabled=False, speed__enabled=False)
    assert [(trial.contender, trial.seed) for trial in trials] == [
        ("baseline", 0),
        ("sdpa", 0),
        ("fused_adamw", 0),
        ("fused_adamw", 1),
        ("sdpa", 1),
        ("baseline", 1),
    ]


def test_each_process_is_profiled_last_and_the_live_baseline_never():
    sessions = plan_sessions(override(preset("smoke"), {"contenders": ["sdpa"], "seeds": 2}))
    assert [(s.contender, s.seed, s.stays, [trial.kind for trial in s.trials]) for s in sessions] == [
        ("baseline", 0, True, ["job"]),
        ("baseline", 0, False, ["speed", "profile"]),
        ("sdpa", 0, False, ["job", "speed", "profile"]),
        ("sdpa", 1, False, ["job"]),
        ("baseline", 1, False, ["job"]),
    ]


def test_without_timed_segments_no_baseline_stays():
    sessions = plan_sessions(override(preset("smoke"), {"contenders": ["sdpa"], "speed.enabled": False}))
    assert [(s.contender, s.stays, [trial.kind for trial in s.trials]) for s in sessions] == [
        ("baseline", False, ["job", "profile"]),
        ("sdpa", False, ["job", "profile"]),
    ]


def test_folders_follow_contender_and_seed():
    trials = plan(contenders=["sdpa+fused_adamw"])
    assert [trial.folder for trial in trials] == [
        "trials/baseline/0",
        "trials/baseline/speed",
        "trials/baseline/profile",
        "trials/sdpa+fused_adamw/0",
        "trials/sdpa+fused_adamw/speed",
        "trials/sdpa+fused_adamw/profile",
    ]


def test_each_contender_runs_once_and_the_baseline_first():
    assert order_contenders(("sdpa", "baseline", "sdpa", " amp_bf16 + sdpa")) == ["baseline", "sdpa", "amp_bf16+sdpa"]


def test_unknown_contenders_are_refused_before_any_trial():
    with pytest.raises(StrategyError, match="did you mean sdpa"):
        order_contenders(("sdap",))
