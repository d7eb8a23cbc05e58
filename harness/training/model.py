"""Models and tokenizers: from the hub or its cache, a local directory, the bundled encoder, or random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AttentionMaskInterface,
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    BertConfig,
    DistilBertConfig,
    PreTrainedTokenizerBase,
)
from transformers.masking_utils import sdpa_mask

from harness.config import BUNDLED_DISTILBERT, BUNDLED_MODEL, ModelConfig
from harness.data.hub import hub_reachable
from harness.errors import ModelError
from harness.training.model_files import bundled_directory, check_bundled_weights, model_directory

_BERT_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}

KNOWN_SIZES: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "distilbert-base-uncased": (DistilBertConfig, {}),
    "bert-base-uncased": (BertConfig, {}),
    "bert-large-uncased": (BertConfig, _BERT_LARGE),
}
"""Sizes that need no hub, for random weights (Devlin et al. 2019; Sanh et al. 2019). All three share one vocabulary,
which is the bundled encoder's too."""


def _short_name(source: str) -> str:
    return source.rsplit("/", 1)[-1]


def uses_known_sizes(config: ModelConfig) -> bool:
    """Whether the model is one of `KNOWN_SIZES` with random weights, and so needs no hub."""
    return config.weights == "random" and not Path(config.source).is_dir() and _short_name(config.source) in KNOWN_SIZES


def _from_hub_or_disk(loader: Any, config: ModelConfig, what: str, **arguments: Any) -> Any:
    """Call `loader.from_pretrained`; without a hub only its local cache is asked, so that this fails at once."""
    directory = model_directory(config)
    offline = directory is not None or not hub_reachable()
    try:
        return loader.from_pretrained(directory or config.source, local_files_only=offline, **arguments)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
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
    if uses_known_sizes(config):
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


def describe_tokenizer(config: ModelConfig) -> str:
    """Say in words which tokenizer `load_tokenizer` takes."""
    if uses_known_sizes(config):
        return "bert-uncased vocabulary of the bundled encoder"
    return f"of {config.source}"


def load_model_config(config: ModelConfig) -> Any:
    """Return the transformers configuration: sizes, dropout, positions; ModelError if it can't be had."""
    if uses_known_sizes(config):
        kind, sizes = KNOWN_SIZES[_short_name(config.source)]
        loaded = kind(**sizes)
    else:
        loaded = _from_hub_or_disk(AutoConfig, config, "the configuration")
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


def additive_mask(*, dtype: torch.dtype = torch.float32, **given: Any) -> Tensor | None:
    """Return transformers' `eager_mask`: 0 where a key is attended to, else the lowest number; None for no mask.

    Transformers 5.17 makes the 0 on the host. Its copy to the device waits for all work before it, in every forward
    pass, and can't be captured into a CUDA graph. This one is made on the device, as in 5.23.
    """
    mask = sdpa_mask(**{**given, "allow_is_causal_skip": False})
    if mask is None:
        return None
    return torch.where(mask, torch.zeros((), dtype=dtype, device=mask.device), torch.finfo(dtype).min)


def load_model(config: ModelConfig, *, seed: int, device: torch.device) -> nn.Module:
    """Return the model on `device` in training mode: fp32, eager attention; the answer head drawn from `seed`."""
    AttentionMaskInterface.register("eager", additive_mask)
    torch.manual_seed(seed)
    arguments = {"attn_implementation": "eager", "dtype": torch.float32}
    if config.weights == "random":
        model = AutoModelForQuestionAnswering.from_config(load_model_config(config), **arguments)
    else:
        if config.source == BUNDLED_MODEL:
            check_bundled_weights(bundled_directory())
        model = _from_hub_or_disk(
            AutoModelForQuestionAnswering, config, "the weights", use_safetensors=True, **arguments
        )
    result: nn.Module = model.to(device).train()
    return result
