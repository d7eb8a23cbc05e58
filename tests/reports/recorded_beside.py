"""What lies beside the jobs of a made-up run: timed segments, equivalence, footprint, the profiled run."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.records.checks import (
    BlockKind,
    BlockRecord,
    Conditions,
    EquivalenceRecord,
    FootprintRecord,
    SpeedRecord,
    TensorError,
)
from harness.records.files import write_json
from harness.records.profile import KernelRow, ProfileRecord
from harness.records.store import TRIAL_FILE
from harness.records.trial import TrialRecord

_spec = importlib.util.spec_from_file_location("recorded_trace", Path(__file__).with_name("recorded_trace.py"))
trace = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(trace)


def record_speed(directory: Path, name: str, factor: float) -> None:
    """Write the timed blocks of a contender beside the live baseline; of the baseline: A/A."""
    training = [make_block("training", number, factor) for number in range(1, 7)]
    spoilt = replace(training[1], contamination=("other processes used 0.90 processor cores",))
    training = [training[0], spoilt, replace(training[1], attempt=2), *training[2:]]
    evaluation = [make_block("evaluation", number, 1.0 + 0.2 * (factor - 1.0)) for number in range(1, 4)]
    record = TrialRecord(
        contender=name,
        kind="speed",
        seed=0,
        status="done",
        speed=SpeedRecord(
            blocks=tuple(training + evaluation), stopped="the interval was narrower than ±1.0%", settle_s=0.01
        ),
        equivalence=make_equivalence("bfloat16" if name == "amp_bf16" else "float32"),
        footprint=make_footprint(name),
    )
    write_json(directory / "trials" / name / "speed" / TRIAL_FILE, record)


def make_block(kind: BlockKind, number: int, factor: float) -> BlockRecord:
    """Return a block whose ratio is `factor` but for some thousandths, under a steady drift."""
    noise = 1.0 + 0.003 * ((number * 7) % 5 - 2)
    baseline_s, contender_s = 0.8 * noise, 0.8 / factor
    return BlockRecord(
        kind=kind,
        number=number,
        attempt=1,
        first="baseline" if number % 2 else "contender",
        windows=32,
        baseline_s=(baseline_s, baseline_s * 1.03),
        contender_s=(contender_s * 1.01, contender_s * 1.02),
        work={"lost_updates": (0, 0), "useful_tokens": (2288, 2288), "token_id_sum": (10_000_000, 10_000_000)},
        conditions=Conditions(foreign_cpu_cores=0.02, steal_share=0.0, swapped_gib=0.0, load_average_1min=1.9),
    )


def make_equivalence(dtype: str) -> EquivalenceRecord:
    """Return updates that are off by rounding."""
    error = 0.02 if dtype == "bfloat16" else 2e-6
    return EquivalenceRecord(
        dtype=dtype,
        windows=24,
        losses=(4.18, 4.12, 4.10),
        losses_reference=(4.18, 4.12, 4.10),
        gradient_norms=(2.0, 1.9, 1.8),
        gradient_norms_reference=(2.0, 1.9, 1.8),
        cosine=0.9999,
        worst=(TensorError(name="encoder.layer.0.output.dense.weight", gradient=error, update=2 * error),),
    )


def make_footprint(name: str) -> FootprintRecord:
    """Return footprints that differ in their operators."""
    operators = {'aten::addmm [["float"],[[8,64]]]': 40}
    changed = {} if name == "baseline" else {f"aten::{name.replace('+', '_')} []": 6}
    return FootprintRecord(
        training=operators | changed,
        evaluation=operators,
        parameters_sha256="cd" * 32,
        host_code={"collate": "harness.data.batching.collate#0123456789ab"},
        flags={"threads": "2"},
    )


def record_profile(directory: Path, name: str, factor: float, environment: dict[str, Any], *, gpu: bool) -> None:
    """Write a profiled run with its trace. On a GPU each second is there twice: by operator and by kernel."""
    device = 0.3 if gpu else None
    rows = [
        KernelRow(name="aten::addmm", calls=120, self_device_time_s=device, self_cpu_time_s=0.9),
        KernelRow(name="ProfilerStep*", calls=3, self_device_time_s=0.0 if gpu else None, self_cpu_time_s=0.1),
        KernelRow(name="aten::where<a|b>", calls=30, self_device_time_s=0.0 if gpu else None, self_cpu_time_s=0.5),
    ]
    if gpu:
        rows += [
            KernelRow(name="void gemm<float, 4>(float*)", calls=120, self_device_time_s=0.3, self_cpu_time_s=0.0),
            KernelRow(name="ProfilerStep*", calls=3, self_device_time_s=1.2, self_cpu_time_s=0.0),
            KernelRow(name="Memcpy HtoD", calls=6, self_device_time_s=0.1, self_cpu_time_s=0.0),
        ]
    profile = ProfileRecord(
        active_steps=3, trace_file=f"trace/{name}.pt.trace.json.gz", active_time_s=1.65 / factor, kernels=tuple(rows)
    )
    folder = directory / "trials" / name / "profile"
    trace.record_trace(folder / profile.trace_file, steps=profile.active_steps, factor=factor, gpu=gpu)
    record = TrialRecord(
        contender=name, kind="profile", seed=0, status="done", environment=environment, profile=profile
    )
    write_json(folder / TRIAL_FILE, record)
