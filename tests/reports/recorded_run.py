"""Run directories as the harness would have left them, made up but consistent, written through `harness.storage`.

Loaded by the conftest.py of the tests that need it. All values follow from contender, seed and
epoch: no clock, no chance.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.config import PRESETS, RunConfig, SpeedConfig
from harness.evidence import (
    BlockKind,
    BlockRecord,
    Conditions,
    EquivalenceRecord,
    EvaluationCheckRecord,
    FootprintRecord,
    SpeedRecord,
    TensorError,
)
from harness.measurement.samples import GpuSample, HostSample, Sample, write_samples_csv
from harness.records import (
    EpochRecord,
    ExamplePrediction,
    KernelRow,
    MemoryRecord,
    ProfileRecord,
    QualityRecord,
    RunRecord,
    SamplingRecord,
    StepRecord,
    StrategyRecord,
    TrialRecord,
    WorkRecord,
)
from harness.storage import RUN_FILE, TRIAL_FILE, write_json, write_predictions, write_steps

EPOCHS, STEPS_PER_EPOCH, BATCH = 3, 8, 16
QUESTIONS = 250
TRAINING_START_S = 1_700_000_010.0
FACTORS = {"baseline": 1.0, "amp_bf16": 1.6, "fused_adamw+sdpa": 1.25}
"""How many times faster each measured contender trains."""

NOT_APPLICABLE_REASON = "the model has no convolutions"
FAILED_REASON = "RuntimeError: bad `shape` [3, 4] | expected\n<4, 3> for __init__ *now*"

STRATEGIES = {
    "amp_bf16": StrategyRecord(name="amp_bf16", summary="Forward passes in bf16", effect="LOWER_PRECISION"),
    "fused_adamw": StrategyRecord(name="fused_adamw", summary="One kernel | per step", effect="SAME_MATH"),
    "sdpa": StrategyRecord(name="sdpa", summary="Fused attention", effect="SAME_MATH"),
}


def record_run(directory: Path, *, seeds: int = 2, gpu: bool = False) -> Path:
    """Write a whole run: baseline, two measured contenders, one not applicable, one failed, one profiled baseline."""
    contenders = (*list(FACTORS)[1:], "channels_last", "compile")
    base = PRESETS["quick"]
    # Spelled out, so that tuning the preset leaves the golden report as it is.
    data = replace(
        base.data, train_size=256, validation_size=64, generator_mean_tokens=56, max_length=96, doc_stride=32
    )
    profile = replace(base.profile, active_steps=3)
    training = replace(base.training, epochs=EPOCHS, batch_size=BATCH, eval_batch_size=32)
    config = replace(
        base,
        contenders=contenders,
        seeds=seeds,
        data=data,
        profile=profile,
        training=training,
        speed=SpeedConfig(),
    )
    names = ["baseline", *contenders]
    folders = [f"trials/{name}/{seed}" for seed in range(seeds) for name in names]
    folders += [*(f"trials/{name}/speed" for name in FACTORS), "trials/baseline/profile"]
    write_json(directory / RUN_FILE, run_record(config, tuple(folders), gpu=gpu))
    for seed in range(seeds):
        for name in FACTORS:
            record_job(directory, name, seed, gpu=gpu)
        record_outcome(directory, "channels_last", seed, "not_applicable", NOT_APPLICABLE_REASON)
        record_outcome(directory, "compile", seed, "failed", FAILED_REASON)
    for name in FACTORS:
        record_speed(directory, name)
    record_profile(directory, gpu=gpu)
    return directory


def run_record(config: RunConfig, folders: tuple[str, ...], *, gpu: bool) -> RunRecord:
    """Return the head of the run."""
    return RunRecord(
        name="quick-recorded",
        started="2026-01-02T03:04:05+00:00",
        config=config,
        command="speedproof run amp_bf16 fused_adamw+sdpa channels_last compile --seeds 2",
        environment=environment(gpu=gpu),
        data={
            "source": "generator",
            "train_questions": 120,
            "validation_questions": 40,
            "train_windows": 128,
            "validation_windows": 44,
            "mean_useful_tokens": 71.5,
            "max_useful_tokens": 96,
            "padding_share": 0.2552,
            "tokenizer": "of bundled",
            "windows_from_cache": True,
        },
        trials=folders,
    )


def environment(*, gpu: bool) -> dict[str, Any]:
    """Return hardware and versions."""
    return {
        "device": "cuda:0" if gpu else "cpu",
        "device_name": "NVIDIA H200" if gpu else "A Processor (R) 3000 @ 2.0GHz",
        "gpu": {"name": "NVIDIA H200", "memory_gib": 139.8} if gpu else None,
        "cpu": "A Processor (R) 3000 @ 2.0GHz",
        "cpu_cores": 2,
        "memory_gib": 15.6,
        "torch_threads": 2,
        "cpu_capability": "AVX2",
        "platform": "Linux 6.1 x86_64",
        "python": "3.11.7",
        "packages": {"torch": "2.13.0", "transformers": "5.23.0", "nvidia-ml-py": None},
        "variables": {"OMP_NUM_THREADS": "2"},
    }


def record_job(directory: Path, name: str, seed: int, *, gpu: bool = False) -> None:
    """Write one whole fine-tuning with its steps, samples and predictions."""
    folder = directory / "trials" / name / str(seed)
    factor = FACTORS[name] * (1.0 + 0.02 * seed)
    steps = make_steps(name, factor, seed)
    write_steps(folder, steps)
    record = job_record(name, seed, factor, steps, "gpu.csv" if gpu else "host.csv", gpu=gpu)
    predictions = {epoch.epoch: make_predictions(epoch) for epoch in record.epochs}
    if record.untrained is not None:
        predictions[0] = [ExamplePrediction(id=f"q{i}", text="", em=0.0, f1=0.042) for i in range(QUESTIONS)]
    write_predictions(folder, predictions)
    write_samples_csv(folder / ("gpu.csv" if gpu else "host.csv"), make_samples(gpu=gpu))
    write_json(folder / TRIAL_FILE, record)


def make_predictions(epoch: EpochRecord) -> list[ExamplePrediction]:
    """Return answers whose means are the epoch's EM and F1, as near as 250 questions allow."""
    right = round(QUESTIONS * (epoch.em or 0.0) / 100)
    partly = (QUESTIONS * (epoch.f1 or 0.0) / 100 - right) / (QUESTIONS - right)
    return [
        ExamplePrediction(id=f"q{i}", text="an answer", em=float(i < right), f1=1.0 if i < right else partly)
        for i in range(QUESTIONS)
    ]


def make_steps(name: str, factor: float, seed: int) -> list[StepRecord]:
    """Return the steps: the first of an epoch is slower, and epochs differ a little."""
    return [
        StepRecord(
            epoch=epoch,
            step=(epoch - 1) * STEPS_PER_EPOCH + i + 1,
            time_s=(0.5 if i else 0.58) / factor * (1 + 0.02 * ((len(name) + epoch * seed) % 3)),
            loss=3.0 / epoch - 0.02 * i + 0.01 * seed,
            learning_rate=1e-4 * (1 - i / 100),
            gradient_norm=1.0 + 0.1 * i,
            windows=BATCH,
            useful_tokens=1144,
            computed_tokens=1536,
            token_id_sum=5_000_000,
            applied=True,
        )
        for epoch in range(1, EPOCHS + 1)
        for i in range(STEPS_PER_EPOCH)
    ]


def job_record(name: str, seed: int, factor: float, steps: list[StepRecord], file: str, *, gpu: bool) -> TrialRecord:
    """Return the record of a whole fine-tuning."""
    training_s = sum(step.time_s for step in steps)
    phases_s = {
        "process_start": 0.05,
        "imports": 3.2,
        "load_data": 0.1,
        "tokenise": 0.2,
        "load_model": 0.9,
        "apply_strategies": 0.01,
        "warm_up": 0.6,
        "training": training_s,
        "evaluation": 2.4,
        "span_search": 7.5,
        "scoring": 0.2,
        "saving": 0.05,
        "other": 0.3,
    }
    parts = () if name == "baseline" else tuple(STRATEGIES[part] for part in name.split("+"))
    return TrialRecord(
        contender=name,
        kind="job",
        seed=seed,
        status="done",
        strategies=parts,
        knobs={"forward dtype": "bfloat16 autocast" if name == "amp_bf16" else "float32", "batch size": str(BATCH)},
        environment=environment(gpu=gpu),
        phases_s=phases_s,
        job_time_s=sum(phases_s.values()),
        clock_error_s=-0.0003,
        untrained=QualityRecord(em=0.0, f1=4.2) if name == "baseline" and seed == 0 else None,
        evaluation_check=None
        if name == "baseline"
        else EvaluationCheckRecord(windows=64, error=1e-6, dtype="bfloat16" if name == "amp_bf16" else "float32"),
        epochs=make_epochs(name, seed, training_s / EPOCHS),
        work=work_record(seed),
        memory=MemoryRecord(allocated_gib=3.21 if gpu else None, reserved_gib=4.0 if gpu else None, rss_gib=1.47),
        sampling=SamplingRecord(
            source="nvml" if gpu else "psutil",
            source_reason=None if gpu else "no NVIDIA driver was found",
            file=file,
            ticks=40,
            errors=0,
            overhead_share=0.0042,
            training_start_s=TRAINING_START_S,
            training_end_s=TRAINING_START_S + 20.0,
        ),
    )


def make_epochs(name: str, seed: int, train_time_s: float) -> tuple[EpochRecord, ...]:
    """Return the per-epoch table; each contender and seed a little different."""
    shift = list(FACTORS).index(name) * 0.4 - seed * 0.7
    return tuple(
        EpochRecord(
            epoch=epoch,
            train_time_s=train_time_s,
            train_loss=3.0 / epoch + 0.01 * seed,
            evaluation_time_s=3.3,
            em=10.0 * epoch + shift,
            f1=15.0 * epoch + 2 * shift,
        )
        for epoch in range(1, EPOCHS + 1)
    )


def work_record(seed: int) -> WorkRecord:
    """Return the same work for all contenders of a seed."""
    updates = EPOCHS * STEPS_PER_EPOCH
    return WorkRecord(
        updates=updates,
        updates_applied=updates,
        windows=updates * BATCH,
        useful_tokens=updates * 1144,
        computed_tokens=updates * 1536,
        token_id_sum=updates * 5_000_000,
        trained_parameters=22_565_376,
        total_parameters=22_565_376,
        untrained_tensors=(),
        order_sha256=f"{seed}" * 64,
        learning_rate_sha256="ab" * 32,
    )


def make_samples(*, gpu: bool) -> list[Sample]:
    """Return 40 s of samples; training is from second 10 to 30."""
    times_s = [TRAINING_START_S - 10.0 + i for i in range(41)]
    if gpu:
        return [
            GpuSample(
                timestamp_s=at,
                gpu_utilisation_percent=90.0,
                memory_utilisation_percent=40.0,
                memory_used_gib=5.0,
                power_w=400.0,
                energy_j=1000.0 + 400.0 * i,
                sm_clock_mhz=1980.0,
                temperature_c=50.0,
                throttle_reasons=0,
                other_processes=0,
            )
            for i, at in enumerate(times_s)
        ]
    return [
        HostSample(
            timestamp_s=at,
            process_cpu_percent=190.0,
            rss_gib=1.0 + 0.01 * i,
            load_average_1min=1.9,
            system_cpu_percent=97.0,
            swap_used_gib=0.0,
        )
        for i, at in enumerate(times_s)
    ]


def record_speed(directory: Path, name: str) -> None:
    """Write the timed blocks of a contender beside the live baseline; of the baseline: A/A."""
    training = [make_block("training", number, FACTORS[name]) for number in range(1, 7)]
    spoilt = replace(training[1], contamination=("other processes used 0.90 processor cores",))
    training = [training[0], spoilt, replace(training[1], attempt=2), *training[2:]]
    evaluation = [make_block("evaluation", number, 1.0 + 0.2 * (FACTORS[name] - 1.0)) for number in range(1, 4)]
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


def record_outcome(directory: Path, name: str, seed: int, status: Any, reason: str) -> None:
    """Write a trial that did not run to its end."""
    record = TrialRecord(contender=name, kind="job", seed=seed, status=status, reason=reason)
    write_json(directory / "trials" / name / str(seed) / TRIAL_FILE, record)


def record_profile(directory: Path, *, gpu: bool) -> None:
    """Write the baseline's profiled run. On a GPU each second is there twice: by operator and by kernel."""
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
        active_steps=3, trace_file="trace/baseline.pt.trace.json.gz", active_time_s=1.65, kernels=tuple(rows)
    )
    record = TrialRecord(
        contender="baseline", kind="profile", seed=0, status="done", environment=environment(gpu=gpu), profile=profile
    )
    write_json(directory / "trials" / "baseline" / "profile" / TRIAL_FILE, record)


def edit_trial(directory: Path, trial: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the record of a trial ("baseline/0") as plain data."""
    path = directory / "trials" / trial / TRIAL_FILE
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    write_json(path, data)
