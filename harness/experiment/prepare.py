"""Before the first trial: check all that can be checked, so that a mistake ends in one line and no half-made run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import registry
from harness.config import RunConfig
from harness.experiment.inputs import load_inputs, load_tokenised, summarise_inputs
from harness.experiment.plan import order_contenders
from harness.measurement.environment import choose_device, describe_environment, describe_gpu_settings
from harness.measurement.profiling import check_schedule
from harness.records.trial import TokenizerFacts
from harness.tasks import get_task
from harness.training.model import check_length, load_model_config, quieten_transformers
from harness.training.model_files import check_model_files
from harness.training.sizes import model_sizes


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What is known before the first trial."""

    environment: dict[str, Any]
    data: dict[str, Any]
    tokenizer: TokenizerFacts | None = None
    model_sizes: dict[str, int] = field(default_factory=dict)
    """As in `RunRecord`."""


def prepare(config: RunConfig, cache_directory: Path) -> Preparation:
    """Check device, strategies, model and data, and tokenise once for all trials.

    Every mistake that the user can make is a HarnessError from here.
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
    steps = math.ceil(len(inputs.train_windows) / config.training.batch_size) * config.training.epochs
    check_schedule(config.profile, steps)
    return Preparation(
        environment={**describe_environment(device), "gpu_settings": describe_gpu_settings(device)},
        data=summarise_inputs(config, train, inputs) | {"model_weights": weights},
        tokenizer=inputs.tokenizer,
        model_sizes=model_sizes(
            model_config, head_parameters=lambda hidden: task.head_parameters(hidden, inputs.head.classes)
        ),
    )
