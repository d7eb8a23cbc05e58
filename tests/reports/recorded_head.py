"""The head of a made-up run: configuration, data, hardware, roof."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

from harness.config import RunConfig, SpeedConfig
from harness.presets import PRESETS
from harness.records.machine import RoofRecord
from harness.records.serialise import build
from harness.records.strategy import StrategyRecord
from harness.records.trial import RunRecord
from harness.records.upgrade import CATALOGUE_2
from harness.tasks.question_answering.task import TASK

EPOCHS, STEPS_PER_EPOCH, BATCH = 3, 8, 16


def make_config(contenders: tuple[str, ...], seeds: int) -> RunConfig:
    """Return the quick preset, spelled out, so that tuning the preset leaves the golden reports as they are."""
    base = PRESETS["quick"]
    data = replace(
        base.data,
        train_size=256,
        validation_size=64,
        quality_size=None,
        generator_mean_tokens=56,
        max_length=96,
        doc_stride=32,
    )
    return replace(
        base,
        contenders=contenders,
        seeds=seeds,
        data=data,
        profile=replace(base.profile, active_steps=3),
        training=replace(base.training, epochs=EPOCHS, batch_size=BATCH, eval_batch_size=32),
        speed=SpeedConfig(),
    )


def run_record(config: RunConfig, folders: tuple[str, ...], *, gpu: bool) -> RunRecord:
    """Return the head of the run."""
    return RunRecord(
        name="quick-recorded",
        started="2026-01-02T03:04:05+00:00",
        config=config,
        command=f"speedproof run {' '.join(config.contenders)} --seeds {config.seeds}",
        environment=environment(gpu=gpu),
        data={
            "source": "generator",
            "train_questions": 120,
            "validation_questions": 40,
            "train_windows": 128,
            "validation_windows": 44,
            "train_tokens": 9152,
            "train_squared_tokens": 700_000,
            "validation_tokens": 3146,
            "validation_squared_tokens": 240_000,
            "mean_useful_tokens": 71.5,
            "max_useful_tokens": 96,
            "padding_share": 0.2552,
            "tokenizer": "of bundled",
            "windows_from_cache": True,
        },
        scoring=TASK.scoring,
        trials=folders,
        catalogue=recorded_catalogue(),
        roof=make_roof(gpu=gpu),
        model_sizes={"hidden_size": 384, "layers": 6, "heads": 12, "intermediate_size": 1536, "parameters": 22_713_216},
    )


def recorded_catalogue() -> tuple[StrategyRecord, ...]:
    """Return a catalogue that stays as it is, so that a new strategy leaves the golden reports as they are."""
    return tuple(map(partial(build, StrategyRecord), json.loads(CATALOGUE_2.read_text(encoding="utf-8"))))


def make_roof(*, gpu: bool) -> RoofRecord:
    """Return what the machine did at best."""
    rates = {"float32": 50.0, "tf32": 400.0, "bfloat16": 780.0} if gpu else {"float32": 0.9, "bfloat16": 1.4}
    return RoofRecord(
        matmul_tflops=rates,
        copy_gb_per_s=4000.0 if gpu else 21.0,
        device_name="NVIDIA H200" if gpu else "A Processor (R) 3000 @ 2.0GHz",
        threads=None if gpu else 2,
        shapes=dict.fromkeys(rates, "1536×384×1536"),
        took_s=1.5,
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
