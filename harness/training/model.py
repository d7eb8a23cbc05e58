"""Models and tokenizers: from the hub or its cache, a local directory, the bundled encoder, or random weights.

transformers is imported by what needs it, and only then: that takes longer than a short training on a fast GPU.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import nn

from harness.config import BUNDLED_DISTILBERT, BUNDLED_MODEL, ModelConfig
from harness.data.hub import hub_reachable
from harness.errors import ModelError
from harness.strategy import LoadModel, ModelFiles
from harness.tasks.task import Head
from harness.training.model_files import bundled_directory, check_bundled_weights, model_directory
from harness.training.widened_files import WEIGHTS_FILE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BERT_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}

KNOWN_SIZES: dict[str, dict[str, Any]] = {
    "distilbert-base-uncased": {"model_type": "distilbert"},
    "bert-base-uncased": {"model_type": "bert"},
    "bert-large-uncased": {"model_type": "bert", **_BERT_LARGE},
}
"""Sizes that need no hub, for random weights (Devlin et al. 2019; Sanh et al. 2019). All three share one vocabulary,
which is the bundled encoder's too."""


def known_sizes(config: ModelConfig) -> dict[str, Any] | None:
    """Return the configuration of a model of `KNOWN_SIZES` with random weights, which needs no hub; None for others."""
    if config.weights != "random" or Path(config.source).is_dir():
        return None
    return KNOWN_SIZES.get(config.source.rsplit("/", 1)[-1])


def _from_hub_or_disk(loader: Any, config: ModelConfig, what: str, **arguments: Any) -> Any:
    """Call `loader.from_pretrained`; without a hub only its local cache is asked, so that this fails at once."""
    directory = model_directory(config)
    offline = directory is not None or not hub_reachable()
    try:
        return loader.from_pretrained(directory or config.source, local_files_only=offline, **arguments)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        if directory is not None or not offline:
            raise ModelError(
                f"{what} of {config.source!r} can't be loaded: {first_line}", remedy="check the name or the directory"
            ) from error
        raise ModelError(
            f"{what} of {config.source!r} is not in the local cache and the hub can't be reached",
            remedy="get the hub or its cache (HF_HOME); without: --preset seed-offline, --model bundled, "
            f"{BUNDLED_DISTILBERT} or DIRECTORY, or --weights random with one of {', '.join(KNOWN_SIZES)}",
        ) from error


def load_tokenizer(config: ModelConfig) -> PreTrainedTokenizerBase:
    """Return the model's fast tokenizer; ModelError says where it was looked for."""
    from transformers import AutoTokenizer

    if known_sizes(config):
        tokenizer = AutoTokenizer.from_pretrained(bundled_directory(), local_files_only=True)
    else:
        tokenizer = _from_hub_or_disk(AutoTokenizer, config, "the tokenizer", use_fast=True)
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{config.source!r} has no fast tokenizer, and only those give offsets",
            remedy="choose a model with a tokenizer.json",
        )
    result: PreTrainedTokenizerBase = tokenizer
    return result


def load_model_config(config: ModelConfig) -> Any:
    """Return the transformers configuration: sizes, dropout, positions; ModelError if it can't be had."""
    from transformers import AutoConfig

    sizes = known_sizes(config)
    loaded = AutoConfig.for_model(**sizes) if sizes else _from_hub_or_disk(AutoConfig, config, "the configuration")
    for name, value in config.overrides.items():
        if not hasattr(loaded, name):
            raise ModelError(
                f"model.overrides names {name!r}, which {type(loaded).__name__} does not have",
                remedy="see the model's config.json",
            )
        setattr(loaded, name, value)
    return loaded


def check_length(model_config: Any, max_length: int) -> None:
    """ModelError if windows of `max_length` tokens are longer than the model's position table."""
    limit = getattr(model_config, "max_position_embeddings", None)
    if isinstance(limit, int) and max_length > limit:
        raise ModelError(
            f"data.max_length is {max_length} but the model knows {limit} positions",
            remedy=f"use --max-length {limit} or less",
        )


def load_model(
    config: ModelConfig, *, head: Head, seed: int, device: torch.device, loaders: Sequence[LoadModel] = ()
) -> nn.Module:
    """Return the model on `device` in training mode: fp32, eager attention; the head drawn from `seed`.

    The first of `loaders` that does not decline the model's files makes it, else transformers.
    """
    files = find_model_files(config, head) if loaders else None
    if files is not None:
        for load in loaders:
            loaded = load(files, seed, device)
            if loaded is not None:
                return loaded.train()

    import transformers
    from transformers import AttentionMaskInterface

    from harness.training.attention_mask import additive_mask

    quieten_transformers()
    AttentionMaskInterface.register("eager", additive_mask)
    torch.manual_seed(seed)
    arguments = {"attn_implementation": "eager", "dtype": torch.float32}
    sizes = {} if head.classes is None else {"num_labels": head.classes}
    auto_class = getattr(transformers, head.auto_class)
    if config.weights == "random":
        model_config = load_model_config(config)
        for name, value in sizes.items():
            setattr(model_config, name, value)
        model = auto_class.from_config(model_config, **arguments)
    else:
        if config.source == BUNDLED_MODEL:
            check_bundled_weights(bundled_directory())
        model = _from_hub_or_disk(auto_class, config, "the weights", use_safetensors=True, **arguments, **sizes)
    result: nn.Module = model.to(device).train()
    return result


def quieten_transformers() -> None:
    """Silence its warnings and progress bars: what matters of them is checked and said by the harness."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def find_model_files(config: ModelConfig, head: Head) -> ModelFiles | None:
    """Return the files of a model without importing transformers; None if they don't lie in one place on this disk.

    With random weights there are none, and the configuration is the known one. The bundled weights' SHA-256 is not
    computed again: the parent did that, once for the run (`check_model_files`).
    """
    sizes = known_sizes(config)
    if sizes:
        return ModelFiles(config=sizes | config.overrides, weights=None, head=head)
    directory = model_directory(config)
    if directory is None:
        return None
    weights = directory / WEIGHTS_FILE
    if not (directory / "config.json").is_file() or not (weights.is_file() or config.weights == "random"):
        return None
    try:
        stored = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # transformers is asked next, and its error is made one line
    if not isinstance(stored, dict):
        return None
    pretrained = config.weights == "pretrained"
    return ModelFiles(config=stored | config.overrides, weights=weights if pretrained else None, head=head)
