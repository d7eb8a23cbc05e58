"""The time ledger, on traces written by hand, and on a loop whose parts are timed beside the profiler."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from harness.analysis.trace.ledger import MOST_PER_EVENT_NS, build_ledger
from harness.analysis.trace.model import CATEGORY_WORDS, Ledger
from harness.config import ProfileConfig
from harness.errors import RecordError
from harness.measurement.loop_recorder import LoopRecorder
from harness.own_loop import TRACE_FILE, LoopProfile


def ledger_of(builder: object, tmp_path: Path, **options: float | None) -> Ledger:
    path = builder.write(tmp_path / "a.pt.trace.json.gz")
    return build_ledger(path, **({"unprofiled_step_ms": None, "windows_per_step": None} | options))


def profiled(ledger: Ledger) -> dict[str, float]:
    return {row.category: row.profiled_ms for row in ledger.rows}


def parts(ledger: Ledger) -> dict[str, float]:
    return {part.name: part.profiled_ms for part in ledger.parts}


def test_time_of_operators_goes_to_their_categories(trace_builder: ModuleType, tmp_path: Path) -> None:
    ledger = ledger_of(trace_builder.host_trace(), tmp_path)
    assert (ledger.time_kind, ledger.steps, ledger.host_ms) == ("cpu", 2, None)
    assert profiled(ledger) == pytest.approx(trace_builder.HOST_STEP_MS)
    assert parts(ledger) == pytest.approx({"forward": 6, "backward": 6, "optimizer": 4, "data": 2, "other": 2})
    assert ledger.notes == ()


def test_without_shapes_the_rest_of_attention_is_element_wise_and_a_note_says_so(
    trace_builder: ModuleType, tmp_path: Path
) -> None:
    ledger = ledger_of(trace_builder.host_trace(shapes=False), tmp_path)
    moved = trace_builder.HOST_STEP_MS | {"attention": 1.4, "elementwise": 4.1}
    assert profiled(ledger) == pytest.approx(moved)
    assert "shapes were not recorded" in ledger.notes[0]


def test_rows_are_every_category_in_order_and_sum_to_the_step(trace_builder: ModuleType, tmp_path: Path) -> None:
    for builder in (trace_builder.host_trace(), trace_builder.device_trace(), trace_builder.graph_trace()):
        ledger = ledger_of(builder, tmp_path)
        assert [row.category for row in ledger.rows] == list(CATEGORY_WORDS)
        assert sum(row.profiled_ms for row in ledger.rows) == pytest.approx(ledger.profiled_step_ms, rel=1e-12)
        assert sum(part.profiled_ms for part in ledger.parts) == pytest.approx(ledger.profiled_step_ms, rel=1e-12)
        assert sum(row.share for row in ledger.rows) == pytest.approx(1)


def test_kernels_are_told_by_origin_and_overlap_is_counted_once(trace_builder: ModuleType, tmp_path: Path) -> None:
    ledger = ledger_of(trace_builder.device_trace(), tmp_path)
    assert ledger.time_kind == "device"
    assert profiled(ledger) == pytest.approx(trace_builder.DEVICE_STEP_MS)
    assert parts(ledger) == pytest.approx(trace_builder.DEVICE_PARTS_MS)
    assert ledger.host_ms == pytest.approx(0.1 * 8 + 2.5)


def test_the_same_kernel_in_two_categories_has_two_lines(trace_builder: ModuleType, tmp_path: Path) -> None:
    ledger = ledger_of(trace_builder.device_trace(), tmp_path)
    lines = {line.category: line for line in ledger.kernels if line.name == trace_builder.GEMM}
    assert lines["matmul"].calls_per_step == 2
    assert lines["matmul"].time_ms_per_step == pytest.approx(2.5)
    assert lines["attention"].time_ms_per_step == pytest.approx(0.5)
    assert sum(line.share for line in ledger.kernels) == pytest.approx(1)


def test_work_launched_in_the_last_step_belongs_to_it(trace_builder: ModuleType, tmp_path: Path) -> None:
    builder = trace_builder.TraceBuilder()
    builder.annotation("ProfilerStep#0", 0, 1)
    late = builder.runtime("cudaLaunchKernel", 0.5, 0.6)
    builder.kernel(trace_builder.GEMM, 0.8, 3.0, correlation=late)
    after = builder.runtime("cudaLaunchKernel", 1.5, 1.6)
    builder.kernel(trace_builder.ADD, 4.0, 5.0, correlation=after)
    ledger = ledger_of(builder, tmp_path)
    assert ledger.profiled_step_ms == pytest.approx(3.0)
    assert profiled(ledger)["matmul"] == pytest.approx(2.2)
    assert profiled(ledger)["elementwise"] == 0


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("left_over_ms", [0.5, 3.0, 9.0])
def test_work_launched_before_the_first_step_is_not_booked_on_it(
    trace_builder: ModuleType, tmp_path: Path, left_over_ms: float, recorded: bool
) -> None:
    builder = trace_builder.leftover_trace(left_over_ms=left_over_ms, recorded=recorded)
    ledger = ledger_of(builder, tmp_path)
    assert ledger.profiled_step_ms == pytest.approx(3.0)
    assert profiled(ledger)["matmul"] == pytest.approx(3.0)
    assert [line.calls_per_step for line in ledger.kernels] == [1.0]
    assert ledger.host_ms == pytest.approx(0.1), "the host's calls count from the first mark on"
    assert f"{left_over_ms:g} ms of work that was launched before the first recorded step" in ledger.notes[0]


def test_nor_in_the_profile_of_ones_own_loop(trace_builder: ModuleType, tmp_path: Path) -> None:
    trace_builder.leftover_trace(left_over_ms=3.0).write(tmp_path / TRACE_FILE)
    recorder = LoopRecorder(ProfileConfig(), tmp_path / TRACE_FILE)
    recorder.finish = lambda: "steps"
    advice = LoopProfile(tmp_path, recorder).finish()
    assert advice.ledger is not None
    assert advice.ledger.profiled_step_ms == pytest.approx(3.0)


def test_hardly_any_work_left_over_is_not_worth_a_note(trace_builder: ModuleType, tmp_path: Path) -> None:
    assert ledger_of(trace_builder.leftover_trace(left_over_ms=0.1), tmp_path).notes == ()


def test_work_left_over_on_another_stream_does_not_hide_the_steps_own(
    trace_builder: ModuleType, tmp_path: Path
) -> None:
    builder = trace_builder.TraceBuilder()
    earlier = builder.runtime("cudaLaunchKernel", -1.0, -0.9)
    builder.annotation("ProfilerStep#0", 0, 4)
    builder.kernel(trace_builder.ADD, -0.5, 3.0, correlation=earlier, stream=trace_builder.COPY_STREAM)
    own = builder.runtime("cudaLaunchKernel", 0.1, 0.2)
    builder.kernel(trace_builder.GEMM, 1.0, 3.5, correlation=own)
    ledger = ledger_of(builder, tmp_path)
    assert ledger.profiled_step_ms == pytest.approx(3.0)
    expected = {"matmul": 2.5, "idle": 0.5}
    assert profiled(ledger) == pytest.approx(dict.fromkeys(CATEGORY_WORDS, 0.0) | expected)


def test_a_kernel_of_unknown_launch_counts_if_it_begins_in_the_steps(trace_builder: ModuleType, tmp_path: Path) -> None:
    builder = trace_builder.TraceBuilder()
    builder.annotation("ProfilerStep#0", 0, 4)
    builder.runtime("cudaStreamSynchronize", 0.0, 0.1)
    builder.kernel(trace_builder.ADD, -0.5, 0.5)
    builder.kernel(trace_builder.GEMM, 1.0, 2.0, correlation=builder.unrecorded_call())
    ledger = ledger_of(builder, tmp_path)
    expected = {"matmul": 1.0, "idle": 2.5}
    assert profiled(ledger) == pytest.approx(dict.fromkeys(CATEGORY_WORDS, 0.0) | expected)


def test_a_graph_launch_is_divided_by_the_kernels_names(trace_builder: ModuleType, tmp_path: Path) -> None:
    ledger = ledger_of(trace_builder.graph_trace(), tmp_path)
    expected = {"matmul": 1.0, "elementwise": 0.5, "loss": 0.5, "optimizer": 0.5, "idle": 2.5}
    assert profiled(ledger) == pytest.approx(dict.fromkeys(CATEGORY_WORDS, 0.0) | expected)
    assert parts(ledger)["other"] == pytest.approx(5.0)
    assert "graph launches" in ledger.notes[0]


def test_a_kernel_without_its_launch_is_told_by_the_operators_number(trace_builder: ModuleType, tmp_path: Path) -> None:
    builder = trace_builder.TraceBuilder()
    builder.annotation("ProfilerStep#0", 0, 4)
    builder.annotation("forward", 0, 1)
    number = builder.operator("aten::cross_entropy_loss", 0.1, 0.9)
    builder.kernel(trace_builder.ADD, 1.0, 2.0, operator=number)
    ledger = ledger_of(builder, tmp_path)
    assert profiled(ledger)["loss"] == pytest.approx(1.0)
    assert parts(ledger)["forward"] == pytest.approx(2.0)


def test_other_threads_count_where_the_steps_thread_does_nothing(trace_builder: ModuleType, tmp_path: Path) -> None:
    builder = trace_builder.TraceBuilder()
    builder.annotation("ProfilerStep#0", 0, 10)
    builder.operator("aten::mm", 0, 4)
    builder.operator("aten::add", 2, 6, thread=5000)
    builder.operator("aten::clone", 5, 7, thread=5001)
    ledger = ledger_of(builder, tmp_path)
    expected = {"matmul": 4.0, "elementwise": 1.5, "copies": 1.5, "idle": 3.0}
    assert profiled(ledger) == pytest.approx(dict.fromkeys(CATEGORY_WORDS, 0.0) | expected)


def test_an_annotation_named_like_a_category_tells_of_work_that_no_operator_shows(
    trace_builder: ModuleType, tmp_path: Path
) -> None:
    builder = trace_builder.TraceBuilder()
    builder.annotation("ProfilerStep#0", 0, 10)
    builder.annotation("attention", 1, 4)
    builder.operator("aten::add", 2, 3)
    builder.annotation("elementwise", 5, 7)
    builder.operator("aten::mm", 5, 6)
    ledger = ledger_of(builder, tmp_path)
    expected = {"attention": 3.0, "matmul": 1.0, "elementwise": 1.0, "idle": 5.0}
    assert profiled(ledger) == pytest.approx(dict.fromkeys(CATEGORY_WORDS, 0.0) | expected)


def test_casts_do_not_hide_in_attention_or_products(trace_builder: ModuleType, tmp_path: Path) -> None:
    builder = trace_builder.TraceBuilder()
    builder.annotation("ProfilerStep#0", 0, 10)
    builder.operator("aten::scaled_dot_product_attention", 0, 4)
    builder.operator("aten::_to_copy", 0, 1)
    builder.operator("aten::copy_", 0.2, 1)
    builder.operator("aten::clone", 1, 2)
    builder.operator("aten::linear", 5, 8)
    builder.operator("aten::to", 5, 6)
    ledger = ledger_of(builder, tmp_path)
    expected = {"copies": 2.0, "attention": 3.0, "matmul": 2.0, "idle": 3.0}
    assert profiled(ledger) == pytest.approx(dict.fromkeys(CATEGORY_WORDS, 0.0) | expected)


def test_compiled_loops_count_as_element_wise_and_a_note_says_so(trace_builder: ModuleType, tmp_path: Path) -> None:
    builder = trace_builder.TraceBuilder()
    builder.annotation("ProfilerStep#0", 0, 10)
    builder.operator("CompiledFunction", 0, 6)
    builder.annotation("## Call CompiledFxGraph fopv7niy ##", 1, 6)
    builder.operator("aten::addmm", 1, 2, shapes=[[8], [4, 8], [8, 8]])
    builder.operator("aten::bmm", 3, 4, shapes=[[8, 4, 4], [8, 4, 4], [8, 4, 4]])
    ledger = ledger_of(builder, tmp_path)
    expected = {"matmul": 1.0, "attention": 1.0, "elementwise": 3.0, "other": 1.0, "idle": 4.0}
    assert profiled(ledger) == pytest.approx(dict.fromkeys(CATEGORY_WORDS, 0.0) | expected)
    assert "30% of the step ran in compiled loops" in ledger.notes[0]


def test_much_that_can_not_be_told_apart_is_named(trace_builder: ModuleType, tmp_path: Path) -> None:
    builder = trace_builder.TraceBuilder()
    builder.annotation("ProfilerStep#0", 0, 10)
    builder.operator("aten::something_new", 0, 4, shapes=[[1]])
    ledger = ledger_of(builder, tmp_path)
    assert ledger.notes == ("40% of the step could not be told apart, most of it in aten::something_new",)


def test_rows_and_residual_make_the_unprofiled_step(trace_builder: ModuleType, tmp_path: Path) -> None:
    for unprofiled_ms in (15.0, 19.99, 20.0, 25.0):
        ledger = ledger_of(trace_builder.host_trace(), tmp_path, unprofiled_step_ms=unprofiled_ms)
        total = sum(row.time_ms for row in ledger.rows) + ledger.residual_ms
        assert total == pytest.approx(unprofiled_ms)
        assert all(0 <= row.time_ms <= row.profiled_ms for row in ledger.rows)


def test_the_profilers_cost_per_event_is_bounded_and_the_rest_is_residual(
    trace_builder: ModuleType, tmp_path: Path
) -> None:
    events = 20  # Recorded in each step, without the step's own mark.
    little = ledger_of(trace_builder.host_trace(), tmp_path, unprofiled_step_ms=19.99)
    assert little.residual_ms == pytest.approx(0.0, abs=1e-9)
    much = ledger_of(trace_builder.host_trace(), tmp_path, unprofiled_step_ms=15.0)
    taken = 20.0 - sum(row.time_ms for row in much.rows)
    assert taken == pytest.approx((events + 1) * MOST_PER_EVENT_NS / 1e6, rel=0.06)
    faster = ledger_of(trace_builder.host_trace(), tmp_path, unprofiled_step_ms=25.0)
    assert faster.residual_ms == pytest.approx(5.0)


def test_on_a_device_the_profilers_cost_is_taken_from_the_gaps(trace_builder: ModuleType, tmp_path: Path) -> None:
    ledger = ledger_of(trace_builder.device_trace(), tmp_path, unprofiled_step_ms=9.99)
    differences = {row.category: row.profiled_ms - row.time_ms for row in ledger.rows}
    assert differences.pop("idle") == pytest.approx(0.01)
    assert set(differences.values()) == {0.0}


def test_batches_of_another_length_scale_what_depends_on_it(trace_builder: ModuleType, tmp_path: Path) -> None:
    ledger = ledger_of(trace_builder.host_trace(), tmp_path, work_ratio=2.0)
    times = {row.category: row.time_ms for row in ledger.rows}
    assert times["matmul"] == pytest.approx(2 * trace_builder.HOST_STEP_MS["matmul"])
    assert times["optimizer"] == pytest.approx(trace_builder.HOST_STEP_MS["optimizer"])


def test_a_trace_without_steps_is_an_error_that_says_so(trace_builder: ModuleType, tmp_path: Path) -> None:
    builder = trace_builder.TraceBuilder()
    builder.operator("aten::mm", 0, 1)
    with pytest.raises(RecordError, match="no profiled steps"):
        ledger_of(builder, tmp_path)


class Stopwatch:
    """How long each part of a loop took, by the loop's own clock."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start


def record_known_loop(path: Path, *, steps: int) -> dict[str, float]:
    """Profile a loop of a slow loader, a product, a copy and a pause; return what each took in a step, in ms."""
    left, source = torch.randn(700, 700), torch.randn(8_000_000)
    target, product = torch.empty_like(source), torch.empty(700, 700)
    watch = Stopwatch()
    cycle = schedule(wait=0, warmup=1, active=steps, repeat=1)
    with profile(activities=[ProfilerActivity.CPU], schedule=cycle, record_shapes=True) as profiler:
        for step in range(steps + 1):
            if step == 1:
                watch.seconds.clear()
            with watch.time("data"), record_function("data"):
                time.sleep(0.03)
            with watch.time("matmul"):
                torch.mm(left, left, out=product)
            with watch.time("copies"):
                target.copy_(source)
            with watch.time("idle"):
                time.sleep(0.02)
            profiler.step()
    profiler.export_chrome_trace(str(path))
    return {name: seconds / steps * 1000 for name, seconds in watch.seconds.items()}


def test_the_ledger_of_a_known_loop_is_right(tmp_path: Path) -> None:
    path = tmp_path / "loop.pt.trace.json.gz"
    known_ms = record_known_loop(path, steps=3)
    ledger = build_ledger(path, unprofiled_step_ms=None, windows_per_step=None)
    measured = profiled(ledger)
    assert ledger.steps == 3
    assert {name: measured[name] for name in known_ms} == pytest.approx(known_ms, rel=0.05)
    assert sum(measured[name] for name in CATEGORY_WORDS if name not in known_ms) < 0.01 * ledger.profiled_step_ms
