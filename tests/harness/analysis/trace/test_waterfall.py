"""Where a speedup came from: the difference of two ledgers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from harness.analysis.trace.ledger import build_ledger
from harness.analysis.trace.model import Ledger
from harness.analysis.trace.waterfall import make_waterfall


@pytest.fixture
def baseline(trace_builder: ModuleType, tmp_path: Path) -> Ledger:
    path = trace_builder.host_trace().write(tmp_path / "baseline.json")
    return build_ledger(path, unprofiled_step_ms=19.5, windows_per_step=8)


def faster(ledger: Ledger, category: str, saved_ms: float, *, unprofiled_ms: float) -> Ledger:
    """The same ledger with less time in one category."""
    rows = tuple(
        replace(row, time_ms=row.time_ms - saved_ms) if row.category == category else row for row in ledger.rows
    )
    residual_ms = unprofiled_ms - sum(row.time_ms for row in rows)
    return replace(ledger, rows=rows, unprofiled_step_ms=unprofiled_ms, residual_ms=residual_ms)


def test_what_got_faster_is_the_bar_that_goes_down(baseline: Ledger) -> None:
    waterfall = make_waterfall(baseline, faster(baseline, "optimizer", 3.0, unprofiled_ms=16.0))
    bars = {bar.category: bar.difference_ms for bar in waterfall.bars}
    assert bars.pop("optimizer") == pytest.approx(-3.0)
    assert set(bars.values()) == {0.0}
    assert waterfall.residual_ms == pytest.approx(-0.5)


def test_bars_and_residual_sum_to_the_measured_difference(baseline: Ledger) -> None:
    waterfall = make_waterfall(baseline, faster(baseline, "matmul", 1.0, unprofiled_ms=17.0))
    total = waterfall.baseline_ms + sum(bar.difference_ms for bar in waterfall.bars) + waterfall.residual_ms
    assert (waterfall.baseline_ms, waterfall.contender_ms) == (19.5, 17.0)
    assert total == pytest.approx(waterfall.contender_ms)


def test_a_step_with_more_windows_is_taken_per_as_many_as_the_baselines(baseline: Ledger) -> None:
    waterfall = make_waterfall(baseline, replace(baseline, windows_per_step=16))
    assert waterfall.contender_ms == pytest.approx(19.5 / 2)
    rows = {row.category: row.time_ms for row in baseline.rows}
    assert {bar.category: -2 * bar.difference_ms for bar in waterfall.bars} == pytest.approx(rows)


@pytest.mark.parametrize("missing", [{"unprofiled_step_ms": None}, {"windows_per_step": None}, {"time_kind": "device"}])
def test_steps_that_can_not_be_compared_have_no_waterfall(baseline: Ledger, missing: dict[str, object]) -> None:
    assert make_waterfall(baseline, replace(baseline, **missing)) is None
    assert make_waterfall(replace(baseline, **missing), baseline) is None
