"""The plan: order, stacks, profiles."""

from __future__ import annotations

import pytest

from harness.errors import StrategyError
from harness.experiment.plan import order_contenders, plan_first_seed, plan_other_seeds, plan_process
from harness.presets import preset
from harness.records.serialise import override


def plan(**changes):
    config = override(preset("smoke"), {key.replace("__", "."): value for key, value in changes.items()})
    return [trial for session in plan_all(config) for trial in session.trials]


def plan_all(config):
    return [*plan_first_seed(config), *plan_other_seeds(config)]


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
    sessions = plan_all(override(preset("smoke"), {"contenders": ["sdpa"], "seeds": 2}))
    assert [(s.contender, s.seed, s.stays, [trial.kind for trial in s.trials]) for s in sessions] == [
        ("baseline", 0, True, ["job"]),
        ("baseline", 0, False, ["speed"]),
        ("sdpa", 0, False, ["job", "speed", "profile"]),
        ("baseline", 0, False, ["speed", "profile"]),
        ("sdpa", 1, False, ["job"]),
        ("baseline", 1, False, ["job"]),
    ]


def test_without_timed_segments_no_baseline_stays():
    sessions = plan_all(override(preset("smoke"), {"contenders": ["sdpa"], "speed.enabled": False}))
    assert [(s.contender, s.stays, [trial.kind for trial in s.trials]) for s in sessions] == [
        ("baseline", False, ["job", "profile"]),
        ("sdpa", False, ["job", "profile"]),
    ]


def test_folders_follow_contender_and_seed():
    trials = plan(contenders=["sdpa+fused_adamw"])
    assert [trial.folder for trial in trials] == [
        "trials/baseline/0",
        "trials/baseline/speed",
        "trials/sdpa+fused_adamw/0",
        "trials/sdpa+fused_adamw/speed",
        "trials/sdpa+fused_adamw/profile",
        "trials/baseline/speed-2",
        "trials/baseline/profile",
    ]
    assert plan_process("sdpa", 3).trials[0].folder == "trials/sdpa/speed-3"


@pytest.mark.parametrize(
    ("restarts", "order"),
    [
        (1, "AA sdpa fused_adamw amp_bf16 compile"),
        (2, "AA sdpa fused_adamw amp_bf16 compile AA"),
        (3, "AA sdpa fused_adamw AA amp_bf16 compile AA"),
        (6, "AA sdpa AA fused_adamw AA AA amp_bf16 AA compile AA"),
    ],
)
def test_restarts_of_the_baseline_are_spread_over_the_run(restarts, order):
    contenders = ["sdpa", "fused_adamw", "amp_bf16", "compile"]
    config = override(preset("smoke"), {"contenders": contenders, "speed.restarts": restarts})
    live, *sessions = plan_first_seed(config)
    assert live.stays
    assert [s.contender if s.contender != "baseline" else "AA" for s in sessions] == order.split()
    speeds = [s.trials[0] for s in sessions if s.contender == "baseline"]
    assert [trial.process for trial in speeds] == list(range(1, restarts + 1))


def test_each_contender_runs_once_and_the_baseline_first():
    assert order_contenders(("sdpa", "baseline", "sdpa", " amp_bf16 + sdpa")) == ["baseline", "sdpa", "amp_bf16+sdpa"]


def test_unknown_contenders_are_refused_before_any_trial():
    with pytest.raises(StrategyError, match="did you mean sdpa"):
        order_contenders(("sdap",))
