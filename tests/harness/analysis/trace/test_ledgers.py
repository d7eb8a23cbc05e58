"""Ledgers and waterfalls of a run: which trace, which unprofiled step, and traces that can't be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from harness.analysis.model import Analysis
from harness.analysis.trace.ledgers import read_ledger, usual_step
from harness.records.store import load_run

TRACE = "trials/baseline/profile/trace/baseline.pt.trace.json.gz"


@pytest.fixture
def run(make_run: Any) -> Path:
    """Return a run whose contenders have been profiled."""
    directory: Path = make_run()
    return directory


def test_the_baselines_ledger_is_held_against_the_median_step_of_its_jobs(
    run: Path, analysed: Callable[[Path], Analysis]
) -> None:
    baseline = analysed(run).baseline_contender
    steps = [step for trial in load_run(run).trials if trial.record.contender == "baseline" for step in trial.steps]
    assert baseline.ledger.unprofiled_step_ms == pytest.approx(1000 * median(step.time_s for step in steps))
    assert baseline.ledger.windows_per_step == median(step.windows for step in steps)
    assert baseline.waterfall is None


def test_a_contenders_step_follows_the_timed_segments(run: Path, analysed: Callable[[Path], Analysis]) -> None:
    baseline, contender = (next(c for c in analysed(run).contenders if c.name == n) for n in ("baseline", "amp_bf16"))
    ratio = baseline.ledger.unprofiled_step_ms / contender.ledger.unprofiled_step_ms
    assert ratio == pytest.approx(contender.evidence.speed.training.estimate)
    assert contender.waterfall.contender_ms == pytest.approx(contender.ledger.unprofiled_step_ms)


def test_without_timed_segments_it_is_the_median_of_its_own_jobs(run: Path) -> None:
    trials = load_run(run).trials
    baseline = [trial for trial in trials if trial.record.contender == "baseline" and trial.record.kind == "job"]
    contender = [trial for trial in trials if trial.record.contender == "amp_bf16" and trial.record.kind == "job"]
    own_ms = 1000 * median(step.time_s for trial in contender for step in trial.steps)
    assert usual_step(contender, baseline, None).time_ms == pytest.approx(own_ms)
    assert usual_step([], baseline, None) is None


def test_a_trace_that_can_not_be_read_is_left_out_and_named(run: Path, analysed: Callable[[Path], Analysis]) -> None:
    data = (run / TRACE).read_bytes()
    (run / TRACE).write_bytes(data[: len(data) // 2])
    analysis = analysed(run)
    assert analysis.baseline_contender.ledger is None
    assert any(note.startswith(f"Left out: {TRACE} is cut off") for note in analysis.baseline_contender.notes)
    assert all(contender.waterfall is None for contender in analysis.contenders)


def test_a_contender_that_was_not_profiled_has_no_ledger_and_no_note(run: Path) -> None:
    loaded = load_run(run)
    jobs = [trial for trial in loaded.trials if trial.record.kind == "job"]
    assert read_ledger(jobs, None, loaded.run.config.profile) == (None, [])


def test_profiled_batches_of_another_length_scale_the_ledger(run: Path) -> None:
    loaded = load_run(run)
    trials = [trial for trial in loaded.trials if trial.record.contender == "baseline"]
    usual = usual_step([trial for trial in trials if trial.record.kind == "job"], [], None)
    plain, _ = read_ledger(trials, usual, loaded.run.config.profile)
    doubled = replace(usual, computed_tokens=2 * usual.computed_tokens)
    scaled, _ = read_ledger(trials, doubled, loaded.run.config.profile)
    row = {row.category: row.time_ms for row in plain.rows}
    assert {r.category: r.time_ms for r in scaled.rows}["loss"] == pytest.approx(2 * row["loss"], rel=0.1)
    assert {r.category: r.time_ms for r in scaled.rows}["data"] == pytest.approx(row["data"], rel=0.1)
