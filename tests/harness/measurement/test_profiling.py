"""Profiler sessions: schedule, trace, sums."""

from __future__ import annotations

import gzip
import json

import pytest
import torch

from harness.config import ProfileConfig
from harness.errors import ConfigError
from harness.measurement import loop_recorder, profiling
from harness.measurement.loop_recorder import LoopRecorder
from harness.measurement.profiling import ProfileSession, check_schedule, profile_session, save_profile

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


class NotingProfiler:
    """Writes down when a step's mark opens: on entering, and on each step."""

    def __init__(self, log):
        self.log = log

    def __enter__(self):
        self.log.append("mark 0")
        return self

    def __exit__(self, *_):
        pass

    def step(self):
        self.log.append(f"mark {sum(word != 'wait' for word in self.log)}")

    def add_metadata(self, key, value):
        pass


def note_waits(monkeypatch, module):
    log = []
    monkeypatch.setattr(module, "wait_for_device", lambda: log.append("wait"))
    return log


@pytest.mark.parametrize(("wait", "warmup"), [(1, 1), (0, 1), (0, 0)])
def test_the_device_is_done_with_earlier_work_when_the_first_active_mark_opens(wait, warmup, monkeypatch):
    log = note_waits(monkeypatch, profiling)
    monkeypatch.setattr(profiling, "profile", lambda **_: NotingProfiler(log))
    config = ProfileConfig(wait_steps=wait, warmup_steps=warmup, active_steps=2)
    with profile_session(config, CPU, {"strategy": "sample"}) as session:
        assert isinstance(session, ProfileSession)
        for _ in range(config.total_steps):
            session.step()
    first_active = log.index(f"mark {wait + warmup}")
    assert log[first_active - 1] == "wait"
    assert log[first_active + 1] != "wait", "a wait inside the mark is too late"


@pytest.mark.parametrize(("wait", "warmup"), [(2, 1), (0, 0)])
def test_in_a_loop_of_ones_own_it_is_done_before_both_recordings(wait, warmup, monkeypatch, tmp_path):
    log = note_waits(monkeypatch, loop_recorder)
    monkeypatch.setattr(profiling, "profile", lambda **_: NotingProfiler(log))
    recorder = LoopRecorder(ProfileConfig(wait_steps=wait, warmup_steps=warmup), tmp_path / "a.pt.trace.json.gz")
    with recorder.record():
        for _ in range(1 + wait + warmup + 3):
            recorder.step()
    assert log[:2] == ["wait", "mark 0"]
    assert log[log.index(f"mark {1 + wait + warmup}") - 1] == "wait"
