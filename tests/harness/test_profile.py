"""`harness.profile` around loops that know nothing of us."""

from __future__ import annotations

import gzip
import json
from contextlib import nullcontext

import pytest
import torch
from torch import nn

import harness
from harness import registry
from harness.errors import ConfigError

WAIT, WARMUP, ACTIVE = 2, 1, 3
WHOLE = 1 + WAIT + WARMUP + ACTIVE


class Attention(nn.Module):
    """Softmax attention of two heads, written out or fused, and a linear map."""

    def __init__(self, *, fused):
        super().__init__()
        self.inner = nn.Linear(32, 96)
        self.outer = nn.Linear(32, 64)
        self.fused = fused

    def forward(self, x):
        q, k, v = self.inner(x).unflatten(-1, (3, 2, 16)).permute(2, 0, 3, 1, 4)
        if self.fused:
            seen = nn.functional.scaled_dot_product_attention(q, k, v)
        else:
            seen = torch.softmax(q @ k.transpose(-1, -2), dim=-1) @ v
        return self.outer(torch.relu(seen.transpose(1, 2).flatten(2)))


def train(profiled, steps, *, tell=True, fused=False, autocast=False, fail_at=None, optimizer=None):
    """Run a loop; `tell` whether it calls step()."""
    model = Attention(fused=fused)
    optimizer = torch.optim.AdamW(model.parameters(), **(optimizer or {"foreach": False}))
    for number in range(steps):
        if number == fail_at:
            raise ValueError("the loop's own error")
        with torch.autocast("cpu", dtype=torch.bfloat16) if autocast else nullcontext():
            loss = model(torch.randn(5, 12, 32)).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if tell:
            profiled.step()


def profile(directory, **options):
    return harness.profile(directory, **{"wait_steps": WAIT, "warmup_steps": WARMUP, "active_steps": ACTIVE} | options)


def read_ledger(directory):
    return json.loads((directory / "ledger.json").read_text())


def step_numbers(directory):
    with gzip.open(directory / "trace/loop.pt.trace.json.gz", "rt") as file:
        names = [str(event.get("name")) for event in json.load(file)["traceEvents"]]
    return sorted(int(name.split("#")[1]) for name in names if name.startswith("ProfilerStep#"))


def test_any_loop_gets_ledger_findings_and_trace(tmp_path, capsys):
    directory = tmp_path / "runs/mine"
    with profile(directory) as profiled:
        assert (profiled.ledger, profiled.findings) == (None, ())
        train(profiled, WHOLE + 2)
    assert profiled.ledger.steps == ACTIVE
    assert profiled.ledger.unprofiled_step_ms > 0
    assert step_numbers(directory) == [4, 5, 6]
    saved = read_ledger(directory)
    assert saved["ledger"]["steps"] == ACTIVE
    assert [finding["rule"] for finding in saved["findings"]] == [finding.rule for finding in profiled.findings]
    known = {record.name for record in registry.catalogue()}
    assert profiled.findings
    assert all(set(finding.strategies) & known for finding in profiled.findings)
    assert saved["trace_file"] == "trace/loop.pt.trace.json.gz"
    rows = {row.category: row for row in profiled.ledger.rows}
    assert rows["matmul"].events > 0
    assert rows["optimizer"].events > 0
    assert capsys.readouterr().out == ""


def test_the_advice_is_printed_on_demand(tmp_path, capsys):
    with profile(tmp_path, show=True) as profiled:
        train(profiled, WHOLE)
    printed = capsys.readouterr().out
    assert "matrix products" in printed
    assert "optimizer" in printed
    assert "start-up and evaluation were not seen" in " ".join(printed.split())
    assert "loop.pt.trace.json.gz" in printed


def test_a_loop_that_never_says_where_a_step_ends_counts_as_one(tmp_path):
    with profile(tmp_path) as profiled:
        train(profiled, 4, tell=False)
    assert profiled.ledger.steps == 1
    assert profiled.ledger.unprofiled_step_ms is None
    assert "whole block counts as one step" in " ".join(read_ledger(tmp_path)["notes"])


@pytest.mark.parametrize("steps", [1, 1 + WAIT, 1 + WAIT + WARMUP])
def test_a_loop_that_ends_too_early_leaves_its_first_step(steps, tmp_path):
    with profile(tmp_path) as profiled:
        train(profiled, steps)
    assert step_numbers(tmp_path) == [0]
    assert "first step" in " ".join(read_ledger(tmp_path)["notes"])


def test_a_step_that_was_cut_off_does_not_count(tmp_path):
    with profile(tmp_path) as profiled:
        train(profiled, WHOLE - 1)
    assert step_numbers(tmp_path) == [4, 5]
    assert profiled.ledger.steps == 2


def test_without_wait_and_warm_up_every_step_is_recorded(tmp_path):
    with profile(tmp_path, wait_steps=0, warmup_steps=0, active_steps=2) as profiled:
        train(profiled, 5)
    assert step_numbers(tmp_path) == [1, 2]
    assert profiled.ledger.unprofiled_step_ms is None


@pytest.mark.parametrize("fail_at", [0, 2, WHOLE - 1])
def test_an_error_in_the_loop_is_passed_on_and_the_trace_kept(fail_at, tmp_path):
    with pytest.raises(ValueError, match="the loop's own error"), profile(tmp_path) as profiled:
        train(profiled, WHOLE, fail_at=fail_at)
    assert (tmp_path / "trace/loop.pt.trace.json.gz").exists()
    assert not torch.autograd._profiler_enabled()
    assert read_ledger(tmp_path)["ledger"]["steps"] == (2 if fail_at > 3 else 1)


def test_a_trace_that_cannot_be_written_does_not_hide_the_loops_error(tmp_path):
    (tmp_path / "trace").write_text("in the way")
    with pytest.raises(ValueError, match="the loop's own error"), profile(tmp_path) as profiled:
        train(profiled, WHOLE, fail_at=3)
    with pytest.raises(harness.errors.RecordError, match="was not written"), profile(tmp_path) as profiled:
        train(profiled, WHOLE)


def test_profiling_again_replaces_the_earlier_profile(tmp_path):
    for steps in (2, WHOLE):
        with profile(tmp_path) as profiled:
            train(profiled, steps)
    assert step_numbers(tmp_path) == [4, 5, 6]


@pytest.mark.parametrize("name", ["run.json", "notes.txt"])
def test_a_directory_with_something_else_is_refused_in_one_line(name, tmp_path):
    (tmp_path / name).write_text("{}")
    with pytest.raises(ConfigError, match=name) as refusal, profile(tmp_path):
        pytest.fail("the loop ran")
    assert "\n" not in str(refusal.value)
    with pytest.raises(ConfigError, match="is a file"), profile(tmp_path / name):
        pytest.fail("the loop ran")


def test_an_impossible_schedule_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="active at least 1"):
        profile(tmp_path, active_steps=0)


@pytest.mark.parametrize(
    ("options", "dtype", "attention", "fused"),
    [
        ({}, "float32", "eager", False),
        ({"fused": True, "optimizer": {"fused": True}}, "float32", "sdpa", True),
        ({"autocast": True, "optimizer": {"foreach": True}}, "bfloat16", "eager", None),
    ],
)
def test_settings_are_read_off_the_operators(options, dtype, attention, fused, tmp_path):
    from harness.analysis.trace.observed import observe

    with profile(tmp_path) as profiled:
        train(profiled, WHOLE, **options)
    observed = observe(tmp_path / "trace/loop.pt.trace.json.gz")
    assert (observed.forward_dtype, observed.attention, observed.fused_optimizer) == (dtype, attention, fused)
