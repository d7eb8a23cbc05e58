"""What measures a GPU: NVML's sampler, conditions of a block, step clock, profiler and ledger."""

from __future__ import annotations

import time

import torch

import harness
from harness.analysis.trace.ledger import build_ledger
from harness.config import ProfileConfig
from harness.measurement.clocks import make_step_clock
from harness.measurement.conditions import ConditionsWatch
from harness.measurement.energy import READINGS_EVERY_S, find_energy
from harness.measurement.environment import gpu_uuid
from harness.measurement.nvml import open_gpu
from harness.measurement.profiling import profile_session, save_profile
from harness.measurement.readings import read_during
from harness.measurement.roof import RoofSpec, measure_roof
from harness.measurement.sampler import Sampler, open_source
from harness.measurement.samples import known_values


def busy(cuda: torch.device, seconds: float) -> None:
    """Multiply matrices for a while."""
    matrix = torch.randn(4096, 4096, device=cuda)
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        for _ in range(20):
            matrix = torch.tanh(matrix @ matrix)
        torch.cuda.synchronize(cuda)


def test_sampler_reads_power_memory_and_clocks_of_this_very_gpu(cuda):
    with Sampler(lambda: open_source(device_type="cuda", gpu_uuid=gpu_uuid(cuda)), interval_s=0.1) as sampler:
        busy(cuda, 2.5)
    assert sampler.source.kind == "nvml", sampler.source.reason
    samples = sampler.samples
    assert len(samples) >= 4, "readings that are dear come less often"
    assert max(known_values(samples, "power_w")) > 50.0
    assert max(known_values(samples, "gpu_utilisation_percent")) > 50.0
    assert max(known_values(samples, "sm_clock_mhz")) > 500.0
    assert sampler.overhead_share < 0.05


def test_conditions_of_a_block_see_clocks_of_both_workers(cuda):
    gpu = open_gpu(gpu_uuid(cuda))
    try:
        watch = ConditionsWatch([], gpu)
        for who in ("baseline", "contender"):
            with watch.during(who):
                busy(cuda, 0.5)
        conditions, _ = watch.finish(allocator_retries=0)
    finally:
        gpu.close()
    assert conditions.sm_clock_ratio is not None
    assert 0.5 < conditions.sm_clock_ratio < 2.0


def test_energy_by_the_counter_and_by_power_are_of_one_size(cuda):
    gpu = open_gpu(gpu_uuid(cuda))
    try:
        with read_during(gpu.read_energy, first_s=READINGS_EVERY_S, every_s=READINGS_EVERY_S) as readings:
            busy(cuda, 3.2)
    finally:
        gpu.close()
    found = find_energy(readings)
    assert found is not None
    assert found.energy_j is not None
    assert found.integrated_j is not None
    assert found.window_s > 2.5
    assert found.error_s < 0.1
    assert 0.5 < found.integrated_j / found.energy_j < 2.0


def test_work_launched_before_the_recorded_steps_is_not_booked_on_them(cuda, tmp_path):
    matrix = torch.randn(4096, 4096, device=cuda)
    with harness.profile(tmp_path, wait_steps=1, warmup_steps=1, active_steps=3) as profiled:
        for step in range(6):
            # The step before the first recorded one launches a hundred times its work.
            for _ in range(100 if step == 2 else 1):
                matrix @ matrix
            profiled.step()
    products = next(row for row in profiled.ledger.rows if row.category == "matmul")
    assert products.events == 1
    assert profiled.ledger.profiled_step_ms < 30.0


def test_step_clock_agrees_with_the_host_over_synchronised_steps(cuda):
    clock = make_step_clock(cuda)
    clock.start()
    start_s = time.perf_counter()
    for _ in range(3):
        busy(cuda, 0.2)
        clock.mark()
    measured_s, host_s = sum(clock.read()), time.perf_counter() - start_s
    assert abs(measured_s - host_s) < 0.1 * host_s


def test_ledger_of_a_gpu_trace_is_of_device_time_and_sums_up(cuda, tmp_path):
    config = ProfileConfig(wait_steps=0, warmup_steps=1, active_steps=2)
    matrix = torch.randn(4096, 4096, device=cuda)
    with profile_session(config, cuda, {}) as session:
        for _ in range(config.total_steps):
            for _ in range(10):
                matrix = torch.tanh(matrix @ matrix)
            torch.cuda.synchronize(cuda)
            session.step()
    record = save_profile(session, tmp_path, "loop")
    ledger = build_ledger(tmp_path / record.trace_file, unprofiled_step_ms=None, windows_per_step=None)
    assert ledger.time_kind == "device"
    total_ms = sum(row.profiled_ms for row in ledger.rows)
    assert abs(total_ms - ledger.profiled_step_ms) < 1e-6 * ledger.profiled_step_ms + 1e-6
    by_category = {row.category: row.profiled_ms for row in ledger.rows}
    assert by_category["matmul"] > 0.5 * ledger.profiled_step_ms
    assert by_category["other"] < 0.05 * ledger.profiled_step_ms


def test_roof_is_measured_for_fp32_tf32_and_half_precision(cuda):
    roof = measure_roof(RoofSpec(device="cuda", hidden_size=768, intermediate_size=3072))
    assert {"float32", "bfloat16"} <= set(roof.matmul_tflops)
    assert roof.matmul_tflops["bfloat16"] > roof.matmul_tflops["float32"] > 0
    assert roof.copy_gb_per_s is not None
    assert roof.copy_gb_per_s > 0
