"""Before the first trial: check all that can be checked, so that a mistake ends in one line and no half-made run."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness import registry
from harness.config import RunConfig
from harness.errors import DataError, HarnessError
from harness.experiment.inputs import (
    Inputs,
    hash_windows,
    length_sums,
    load_inputs,
    load_tokenised,
    with_quality_set,
)
from harness.experiment.plan import order_contenders
from harness.experiment.process import import_path
from harness.measurement.environment import choose_device, describe_environment, describe_gpu_settings
from harness.measurement.profiling import check_schedule
from harness.measurement.roof import RoofSpec
from harness.records.machine import RoofRecord
from harness.records.serialise import build
from harness.records.spec import TokenizerFacts
from harness.records.trial import RunRecord
from harness.tasks import get_task
from harness.training.model import check_length, known_sizes, load_model_config, quieten_transformers
from harness.training.model_files import check_model_files
from harness.training.sizes import model_sizes

TIMEOUT_S = 120.0
"""Far more than the seconds that the roof takes, so that a machine that hangs says so."""


def prepare(config: RunConfig, name: str, command: str, cache_directory: Path) -> tuple[RunRecord, TokenizerFacts]:
    """Check device, strategies, model and data, and tokenise once for all trials.

    Returns the head of the run's record, still without its trials and the machine's roof. Every mistake that the user
    can make is a HarnessError from here.
    """
    quieten_transformers()
    device = choose_device(config.device)
    registry.load_all(config.plugins)
    order_contenders(config.contenders)
    registry.resolve(config.baseline)
    weights = check_model_files(config.model)
    model_config = load_model_config(config.model)
    check_length(model_config, config.data.max_length)
    task = get_task(config.task)
    train, validation = load_inputs(config)
    inputs = load_tokenised(config, train, validation, cache_directory)
    quality = load_quality_set(config, validation, cache_directory)
    steps = math.ceil(len(inputs.train_windows) / config.training.batch_size) * config.training.epochs
    check_schedule(config.profile, steps)
    head = RunRecord(
        name=name,
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        config=config,
        command=command,
        environment={**describe_environment(device), "gpu_settings": describe_gpu_settings(device)},
        data=summarise_inputs(config, train, inputs) | quality | {"model_weights": weights},
        scoring=task.scoring,
        trials=(),
        model_sizes=model_sizes(
            model_config, head_parameters=lambda hidden: task.head_parameters(hidden, inputs.head.classes)
        ),
        catalogue=registry.catalogue(),
    )
    return head, inputs.tokenizer


def summarise_inputs(config: RunConfig, train: list[Any], inputs: Inputs) -> dict[str, Any]:
    """Return the data's counts for the run's record."""
    lengths = inputs.train_windows.lengths
    return {
        "source": config.data.source,
        "train_questions": len(train),
        "validation_questions": len(inputs.validation),
        "train_windows": len(inputs.train_windows),
        "validation_windows": len(inputs.validation_windows),
        **{f"train_{name}": value for name, value in length_sums(lengths).items()},
        **{f"validation_{name}": value for name, value in length_sums(inputs.validation_windows.lengths).items()},
        "mean_useful_tokens": round(float(lengths.mean()), 1),
        "max_useful_tokens": int(lengths.max()),
        "padding_share": round(1.0 - float(lengths.sum()) / (len(lengths) * config.data.max_length), 4),
        "tokenizer": "bert-uncased vocabulary of the bundled encoder"
        if known_sizes(config.model)
        else f"of {config.model.source}",
        "windows_from_cache": inputs.from_cache,
        "train_sha256": hash_windows(inputs.train_windows),
        "validation_sha256": hash_windows(inputs.validation_windows),
    }


def load_quality_set(config: RunConfig, validation: list[Any], cache_directory: Path) -> dict[str, Any]:
    """Tokenise the quality set and return its counts for the run's record; nothing where it is the validation set."""
    larger = with_quality_set(config)
    if larger is None:
        return {}
    inputs = load_tokenised(larger, *load_inputs(larger), cache_directory)
    if inputs.validation[: len(validation)] != validation:
        raise DataError(
            "the quality set does not begin with the validation set", remedy="leave --quality-size out for this source"
        )
    return {
        "quality_questions": len(inputs.validation),
        "quality_questions_asked": config.data.quality_size,
        "quality_windows": len(inputs.validation_windows),
        "quality_sha256": hash_windows(inputs.validation_windows),
    }


def measure_roof_of(config: RunConfig, sizes: dict[str, int]) -> RoofRecord | None:
    """Return the machine's roof for products of a model's shapes; None if it is not wanted or they aren't known.

    `harness.measurement.roof` measures it in a process of its own; HarnessError says why it could not.
    """
    if not config.roof or not sizes:
        return None
    spec = RoofSpec(
        device=config.device, hidden_size=sizes["hidden_size"], intermediate_size=sizes["intermediate_size"]
    )
    command = [sys.executable, "-m", "harness.measurement.roof", json.dumps(dataclasses.asdict(spec))]
    environment = {**os.environ, "PYTHONPATH": import_path()}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise _failure(f"it took more than {TIMEOUT_S:g} s") from None
    if done.returncode != 0:
        raise _failure((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return build(RoofRecord, json.loads(done.stdout.splitlines()[-1]))


def _failure(why: str) -> HarnessError:
    return HarnessError(
        f"the machine's matrix-product rate could not be measured: {why}",
        remedy="run with --no-roof, which leaves it out",
    )
