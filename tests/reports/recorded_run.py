"""Run directories as the harness would have left them, made up but consistent, written through `harness.records.store`.

Loaded by the conftest.py of the tests that need it. All values follow from contender, seed and
epoch: no clock, no chance.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.measurement.samples import Sample, write_samples_csv
from harness.records.checks import EvaluationCheckRecord
from harness.records.files import write_json
from harness.records.store import RUN_FILE, TRIAL_FILE, write_predictions, write_steps
from harness.records.strategy import StrategyRecord
from harness.records.trial import (
    EpochRecord,
    ExamplePrediction,
    MemoryRecord,
    SamplingRecord,
    Settings,
    StepRecord,
    TrialRecord,
    WorkRecord,
)

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


def load_by_path(path: Path) -> ModuleType:
    """Load a module of the tests, which are no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


beside = load_by_path(Path(__file__).with_name("recorded_beside.py"))
head = load_by_path(Path(__file__).with_name("recorded_head.py"))
EPOCHS, STEPS_PER_EPOCH, BATCH = head.EPOCHS, head.STEPS_PER_EPOCH, head.BATCH


def record_run(
    directory: Path, *, seeds: int = 2, gpu: bool = False, failed: bool = True, untrained_f1: float = 4.2
) -> Path:
    """Write a whole run: baseline, two measured contenders, one not applicable, one that failed."""
    contenders = (*list(FACTORS)[1:], "channels_last", *(("compile",) if failed else ()))
    config = head.make_config(contenders, seeds)
    names = ["baseline", *contenders]
    folders = [f"trials/{name}/{seed}" for seed in range(seeds) for name in names]
    folders += [f"trials/{name}/{kind}" for kind in ("speed", "profile") for name in FACTORS]
    write_json(directory / RUN_FILE, head.run_record(config, tuple(folders), gpu=gpu))
    for seed in range(seeds):
        for name in FACTORS:
            record_job(directory, name, seed, gpu=gpu, untrained_f1=untrained_f1)
        record_outcome(directory, "channels_last", seed, "not_applicable", NOT_APPLICABLE_REASON)
        if failed:
            record_outcome(directory, "compile", seed, "failed", FAILED_REASON)
    for name, factor in FACTORS.items():
        beside.record_speed(directory, name, factor)
        beside.record_profile(directory, name, factor, head.environment(gpu=gpu), gpu=gpu)
    return directory


def record_job(directory: Path, name: str, seed: int, *, gpu: bool, untrained_f1: float) -> None:
    """Write one whole fine-tuning with its steps, samples and predictions."""
    folder = directory / "trials" / name / str(seed)
    factor = FACTORS[name] * (1.0 + 0.02 * seed)
    steps = make_steps(name, factor, seed)
    write_steps(folder, steps)
    record = job_record(name, seed, factor, steps, gpu=gpu)
    if name == "baseline" and seed == 0:
        record = replace(record, untrained={"em": 0.0, "f1": untrained_f1})
    predictions = {epoch.epoch: make_predictions(epoch) for epoch in record.epochs}
    if record.untrained is not None:
        predictions[0] = [
            ExamplePrediction(id=f"q{i}", text="", scores={"em": 0.0, "f1": untrained_f1 / 100})
            for i in range(QUESTIONS)
        ]
    write_predictions(folder, predictions)
    write_samples_csv(folder / ("gpu.csv" if gpu else "host.csv"), make_samples(gpu=gpu))
    write_json(folder / TRIAL_FILE, record)


def make_predictions(epoch: EpochRecord) -> list[ExamplePrediction]:
    """Return answers whose means are the epoch's EM and F1, as near as 250 questions allow."""
    right = round(QUESTIONS * epoch.scores["em"] / 100)
    partly = (QUESTIONS * epoch.scores["f1"] / 100 - right) / (QUESTIONS - right)
    return [
        ExamplePrediction(
            id=f"q{i}", text="an answer", scores={"em": float(i < right), "f1": 1.0 if i < right else partly}
        )
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


def job_record(name: str, seed: int, factor: float, steps: list[StepRecord], *, gpu: bool) -> TrialRecord:
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
    dtype = "bfloat16" if name == "amp_bf16" else "float32"
    parts = () if name == "baseline" else tuple(STRATEGIES[part] for part in name.split("+"))
    return TrialRecord(
        contender=name,
        kind="job",
        seed=seed,
        status="done",
        strategies=parts,
        knobs={"forward dtype": "bfloat16 autocast" if name == "amp_bf16" else "float32", "batch size": str(BATCH)},
        settings=Settings(forward_dtype=dtype),
        environment=head.environment(gpu=gpu),
        phases_s=phases_s,
        job_time_s=sum(phases_s.values()),
        clock_error_s=-0.0003,
        evaluation_check=None if name == "baseline" else EvaluationCheckRecord(windows=64, error=1e-6, dtype=dtype),
        epochs=make_epochs(name, seed, training_s / EPOCHS),
        work=work_record(seed),
        memory=MemoryRecord(allocated_gib=3.21 if gpu else None, reserved_gib=4.0 if gpu else None, rss_gib=1.47),
        sampling=SamplingRecord(
            source="nvml" if gpu else "psutil",
            source_reason=None if gpu else "no NVIDIA driver was found",
            file="gpu.csv" if gpu else "host.csv",
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
            scores={"em": 10.0 * epoch + shift, "f1": 15.0 * epoch + 2 * shift},
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
            Sample(
                timestamp_s=at,
                values={
                    "gpu_utilisation_percent": 90.0,
                    "memory_utilisation_percent": 40.0,
                    "memory_used_gib": 5.0,
                    "power_w": 400.0,
                    "energy_j": 1000.0 + 400.0 * i,
                    "sm_clock_mhz": 1980.0,
                    "memory_clock_mhz": None,
                    "temperature_c": 50.0,
                    "throttle_reasons": 0,
                    "other_processes": 0,
                },
            )
            for i, at in enumerate(times_s)
        ]
    return [
        Sample(
            timestamp_s=at,
            values={
                "process_cpu_percent": 190.0,
                "rss_gib": 1.0 + 0.01 * i,
                "load_average_1min": 1.9,
                "system_cpu_percent": 97.0,
                "swap_used_gib": 0.0,
            },
        )
        for i, at in enumerate(times_s)
    ]


def record_outcome(directory: Path, name: str, seed: int, status: Any, reason: str) -> None:
    """Write a trial that did not run to its end."""
    record = TrialRecord(contender=name, kind="job", seed=seed, status=status, reason=reason)
    write_json(directory / "trials" / name / str(seed) / TRIAL_FILE, record)


def edit_trial(directory: Path, trial: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the record of a trial ("baseline/0") as plain data."""
    path = directory / "trials" / trial / TRIAL_FILE
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    write_json(path, data)
