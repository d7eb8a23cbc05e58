"""The profiled time is counted once, by kernel on a GPU and by operator on a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.trace.kernels import summarise_profile
from harness.records.profile import KernelRow, ProfileRecord
from harness.records.store import LoadedTrial
from harness.records.trial import TrialRecord


def profile(*rows: KernelRow, steps: int = 2) -> ProfileRecord:
    return ProfileRecord(active_steps=steps, trace_file="trace/x.gz", active_time_s=0.6, kernels=rows)


def row(name: str, cpu_s: float, device_s: float | None = None) -> KernelRow:
    return KernelRow(name=name, calls=10, self_device_time_s=device_s, self_cpu_time_s=cpu_s)


def summarise(record: ProfileRecord, top: int = 12):
    trial = TrialRecord(contender="x", kind="profile", seed=0, status="done", profile=record)
    loaded = LoadedTrial(directory=Path("trials/x/profile"), record=trial, steps=[], predictions={})
    return summarise_profile(loaded, record, unprofiled_step_time_ms=250.0, top=top)


def test_operators_on_a_cpu() -> None:
    summary = summarise(profile(row("aten::add", 0.1), row("aten::mm", 0.3)))
    assert summary.time_kind == "cpu"
    assert [(kernel.name, kernel.share) for kernel in summary.kernels] == [
        ("aten::mm", pytest.approx(0.75)), ("aten::add", pytest.approx(0.25)),
    ]  # fmt: skip
    assert (summary.kernels[0].time_ms_per_step, summary.kernels[0].calls_per_step) == (pytest.approx(150.0), 5)
    assert summary.profiled_step_time_ms == pytest.approx(300.0)
    assert summary.overhead == pytest.approx(0.2)
    assert summary.trace_file == "trials/x/profile/trace/x.gz"


def test_kernels_on_a_gpu_are_not_counted_again_with_their_operators_and_annotations() -> None:
    summary = summarise(
        profile(
            row("aten::mm", 0.2, 0.3), row("ProfilerStep*", 0.1, 0.0), row("ProfilerStep*", 0.0, 0.5),
            row("sm90_gemm", 0.0, 0.3), row("Memcpy HtoD", 0.0, 0.1), row("cudaLaunchKernel", 0.4, 0.0),
        )
    )  # fmt: skip
    assert summary.time_kind == "device"
    assert [kernel.name for kernel in summary.kernels] == ["sm90_gemm", "Memcpy HtoD"]
    assert summary.total_time_ms_per_step == pytest.approx(200.0)


def test_the_rest_is_summed_up() -> None:
    summary = summarise(profile(*(row(f"op{i}", 0.1) for i in range(10))), top=4)
    assert len(summary.kernels) == 4
    assert (summary.other_rows, summary.other_share) == (6, pytest.approx(0.6))


def test_nothing_recorded_is_none() -> None:
    assert summarise(profile()) is None
    assert summarise(profile(row("x", 0.0))) is None
    assert summarise(profile(row("x", 1.0), steps=0)) is None


def test_shares_sum_to_one() -> None:
    summary = summarise(profile(*(row(f"op{i}", 0.01 * i) for i in range(30))))
    assert sum(kernel.share for kernel in summary.kernels) + summary.other_share == pytest.approx(1.0)
