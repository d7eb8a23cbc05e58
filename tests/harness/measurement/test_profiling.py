"""Profiler sessions: schedule, trace, sums."""

from __future__ import annotations

import gzip
import json

import pytest
import torch

from harness.config import ProfileConfig
from harness.errors import ConfigError
from harness.measurement.profiling import check_schedule, profile_session, save_profile

CPU = torch.device("cpu")


def run_session(config, steps):
    with profile_session(config, CPU, {"strategy": "sample+stack"}) as session:
        for _ in range(steps):
            torch.ones(64, 64) @ torch.ones(64, 64)
            session.step()
    return session


@pytest.mark.parametrize(("wait", "warmup", "active"), [(1, 1, 2), (0, 0, 1), (0, 2, 3)])
def test_exactly_the_active_steps_are_summed(wait, warmup, active, tmp_path):
    config = ProfileConfig(wait_steps=wait, warmup_steps=warmup, active_steps=active)
    record = save_profile(run_session(config, config.total_steps), tmp_path, "sample")
    products = [row for row in record.kernels if row.name == "aten::mm"]
    assert [row.calls for row in products] == [active]
    assert products[0].self_device_time_s is None
    assert record.active_time_s > 0


def test_trace_is_named_after_the_contender_and_knows_the_strategy(tmp_path):
    config = ProfileConfig(active_steps=1)
    record = save_profile(run_session(config, config.total_steps), tmp_path, "sample+stack")
    path = tmp_path / record.trace_file
    assert path.name == "sample+stack.pt.trace.json.gz"
    with gzip.open(path, "rt") as file:
        trace = json.load(file)
    assert trace["strategy"] == "sample+stack"
    assert trace["traceEvents"]


def test_too_few_steps_are_an_error_and_not_an_empty_trace(tmp_path):
    config = ProfileConfig(wait_steps=1, warmup_steps=1, active_steps=3)
    with pytest.raises(ConfigError, match=r"needs 5 steps .* the training has 4"):
        save_profile(run_session(config, 4), tmp_path, "sample")
    assert list(tmp_path.iterdir()) == []


def test_schedule_is_checked_before_anything_runs():
    config = ProfileConfig(wait_steps=1, warmup_steps=1, active_steps=3)
    check_schedule(config, 5)
    with pytest.raises(ConfigError, match="--no-profile"):
        check_schedule(config, 4)
    check_schedule(ProfileConfig(enabled=False), 0)
