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
        replace(row, time_ms=row.time_ms - saved_ms, work="other operators") if row.category == category else row
        for row in ledger.rows
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
    assert isinstance(make_waterfall(baseline, replace(baseline, **missing)), str)
    assert isinstance(make_waterfall(replace(baseline, **missing), baseline), str)


def test_without_a_ledger_it_is_said_whose_is_missing(baseline: Ledger) -> None:
    assert make_waterfall(None, baseline) == "the baseline has no ledger of its step"
    assert make_waterfall(baseline, None) == "it has no ledger of its step"


NORM_BACKWARD = ("autograd::engine::evaluate_function: NativeLayerNormBackward0", "aten::native_layer_norm_backward")


def norm_at_speed(trace_builder: ModuleType, path: Path, factor: float, *, shapes: bool = True) -> Path:
    """The host trace with a longer or shorter backward pass of the norm (2 of 3 ms element-wise), gaps elsewhere."""
    trace = trace_builder.host_trace(shapes=shapes)
    for event in trace.events:
        if event["name"] in NORM_BACKWARD:
            event["dur"] = event["dur"] * factor
    return trace.write(path)


@pytest.mark.parametrize(("factor", "drawn"), [(0.4, False), (0.6, False), (0.8, True), (1.0, True)])
def test_the_same_operators_at_another_speed_forbid_the_picture(
    baseline: Ledger, trace_builder: ModuleType, tmp_path: Path, factor: float, drawn: bool
) -> None:
    path = norm_at_speed(trace_builder, tmp_path / "other.json", factor)
    contender = build_ledger(path, unprofiled_step_ms=19.0, windows_per_step=8)
    found = make_waterfall(baseline, contender)
    if drawn:
        assert not isinstance(found, str)
        return
    assert found.startswith("normalisation, element-wise: the same operators on the same shapes took 3 ms in the")


def test_where_the_process_or_the_weights_differ_the_same_operators_may_take_any_time(
    baseline: Ledger, trace_builder: ModuleType, tmp_path: Path
) -> None:
    path = norm_at_speed(trace_builder, tmp_path / "other.json", 0.4)
    contender = build_ledger(path, unprofiled_step_ms=19.0, windows_per_step=8)
    assert not isinstance(make_waterfall(baseline, contender, same_ground=False), str)


def test_operators_on_other_types_are_other_work(baseline: Ledger, trace_builder: ModuleType, tmp_path: Path) -> None:
    trace = trace_builder.host_trace()
    for event in trace.events:
        if event["name"] in ("aten::addmm", "aten::mm"):
            event["args"]["Input type"] = ["c10::BFloat16"]
    contender = build_ledger(trace.write(tmp_path / "o.json"), unprofiled_step_ms=19.5, windows_per_step=8)
    works = [{row.category: row.work for row in ledger.rows} for ledger in (baseline, contender)]
    assert {category for category in works[0] if works[0][category] != works[1][category]} == {"matmul"}


def test_operators_on_other_shapes_may_take_any_time(
    baseline: Ledger, trace_builder: ModuleType, tmp_path: Path
) -> None:
    trace = trace_builder.host_trace()
    for event in trace.events:
        if event["name"] in ("aten::native_layer_norm", "aten::native_layer_norm_backward"):
            event["args"]["Input Dims"] = [[4, 4, 32]]
            event["dur"] /= 2
    contender = build_ledger(trace.write(tmp_path / "o.json"), unprofiled_step_ms=18.5, windows_per_step=8)
    assert not isinstance(make_waterfall(baseline, contender), str)


def test_what_has_no_shapes_is_never_called_the_same_work(trace_builder: ModuleType, tmp_path: Path) -> None:
    one, other = (
        build_ledger(
            norm_at_speed(trace_builder, tmp_path / name, factor, shapes=False),
            unprofiled_step_ms=19.5,
            windows_per_step=8,
        )
        for name, factor in (("a.json", 1.0), ("b.json", 0.4))
    )
    assert {row.work for row in one.rows} == {""}
    assert not isinstance(make_waterfall(one, other), str)


def test_kernels_with_the_same_shapes_at_another_speed_forbid_the_picture_on_a_device(
    trace_builder: ModuleType, tmp_path: Path
) -> None:
    traces = [trace_builder.device_trace(), trace_builder.device_trace()]
    for event in traces[1].events:
        if event["name"] == trace_builder.GEMM:
            event["dur"] *= 0.6
    one, other = (
        build_ledger(trace.write(tmp_path / f"{i}.json"), unprofiled_step_ms=10.0, windows_per_step=8)
        for i, trace in enumerate(traces)
    )
    assert make_waterfall(one, other).startswith("matrix products: the same operators on the same shapes took 2.5 ms")


@pytest.mark.parametrize(("step_ms", "unlike"), [(19.5, False), (17.5, False), (16.5, True), (24.0, True)])
def test_profiled_steps_that_leave_too_much_unexplained_are_called_unlike_the_timed_ones(
    trace_builder: ModuleType, tmp_path: Path, step_ms: float, unlike: bool
) -> None:
    path = trace_builder.host_trace().write(tmp_path / "t.json")
    ledger = build_ledger(path, unprofiled_step_ms=step_ms, windows_per_step=8)
    assert (ledger.unlike is not None) is unlike
    assert isinstance(make_waterfall(ledger, ledger), str) is unlike
    if step_ms == 24.0:
        assert ledger.unlike == (
            "its profiled steps took 17% less than the timed ones of 24 ms, the profiler's own cost left out"
        )


def test_the_reason_names_the_new_memory_of_both(baseline: Ledger) -> None:
    young = replace(baseline, unlike="it took longer", page_faults=62_000.0, system_ms=210.0)
    old = replace(baseline, page_faults=22_900.0, system_ms=43.0)
    assert make_waterfall(old, young) == (
        "it took longer; new pages of memory per step, with the system's time for them: 22,900 (43 ms), "
        "its own 62,000 (210 ms)"
    )
    assert make_waterfall(baseline, replace(baseline, unlike="it took longer")) == "it took longer"
