"""Data of a run, as parent and workers load it: examples, tokenizer, windows."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.config import ModelConfig, RunConfig
from harness.data.tokens import hash_tokenizer, hash_values
from harness.data.windows import FORMAT_VERSION, Windows, cached_windows
from harness.errors import DataError
from harness.records.spec import TokenizerFacts
from harness.tasks import get_task
from harness.tasks.task import Head
from harness.training.model import known_sizes, load_tokenizer
from harness.training.model_files import bundled_directory, model_directory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a training reads."""

    validation: list[Any]
    """Examples of the task."""
    train_windows: Windows
    validation_windows: Windows
    tokenizer: TokenizerFacts
    head: Head
    """What the model needs for these examples."""
    from_cache: bool
    """Whether the windows were read and not made."""


def load_inputs(config: RunConfig) -> tuple[list[Any], list[Any]]:
    """Return training and validation examples; DataError if one set is empty."""
    train, validation = get_task(config.task).load(config.data)
    for name, examples in (("training", train), ("validation", validation)):
        if not examples:
            raise DataError(f"the {name} set has no examples", remedy="check the file, or ask for at least one")
    return train, validation


def with_quality_set(config: RunConfig, *, most: int | None = None) -> RunConfig | None:
    """Return the configuration with the quality set, or with the first `most` of it, for its validation set; None if
    they are one.
    """
    size = config.data.quality_size
    if size is None:
        return None
    size = size if most is None else min(size, most)
    return replace(config, data=replace(config.data, validation_size=size, quality_size=None))


def load_tokenised(
    config: RunConfig,
    train: list[Any],
    validation: list[Any],
    cache_directory: Path,
    *,
    known: TokenizerFacts | None = None,
) -> Inputs:
    """Return the windows of both sets, from the cache where they were made before.

    With `known` facts the tokenizer itself is loaded only for windows that the cache doesn't hold.
    """
    task = get_task(config.task)
    load_once = functools.cache(functools.partial(load_known_tokenizer, config.model, known))
    facts = known
    if facts is None:
        tokenizer = load_once()
        facts = TokenizerFacts(sha256=hash_tokenizer(tokenizer), pad_id=int(tokenizer.pad_token_id or 0))
    # Everything that decides the windows.
    settings = (facts.sha256, FORMAT_VERSION, config.task, config.data.max_length, config.data.doc_stride)

    def tokenise(examples: list[Any]) -> tuple[Windows, bool]:
        key = hash_values([*settings, *map(repr, examples)])
        return cached_windows(lambda: task.tokenise(examples, load_once(), config.data), key, cache_directory)

    (train_windows, first), (validation_windows, second) = tokenise(train), tokenise(validation)
    return Inputs(
        validation=validation,
        train_windows=train_windows,
        # What evaluates must not see the answers.
        validation_windows=replace(
            validation_windows,
            labels={name: np.zeros_like(values) for name, values in validation_windows.labels.items()},
        ),
        tokenizer=facts,
        head=task.head(train),
        from_cache=first and second,
    )


@dataclass(frozen=True, kw_only=True)
class BareTokenizer:
    """As much of a transformers tokenizer as makes windows."""

    backend_tokenizer: Any
    """Of the library `tokenizers`."""


def load_known_tokenizer(config: ModelConfig, known: TokenizerFacts | None) -> PreTrainedTokenizerBase:
    """Return the model's tokenizer; without transformers if its file gives the very tokenizer that is known."""
    directory = bundled_directory() if known_sizes(config) else model_directory(config)
    if known is not None and directory is not None and (directory / "tokenizer.json").is_file():
        from tokenizers import Tokenizer

        bare = BareTokenizer(backend_tokenizer=Tokenizer.from_file(str(directory / "tokenizer.json")))
        if hash_tokenizer(bare) == known.sha256:
            return bare
    return load_tokenizer(config)


def length_sums(lengths: np.ndarray) -> dict[str, int]:
    """Return the sums over windows that their work follows from: linear maps need L, attention L²."""
    return {"tokens": int(lengths.sum()), "squared_tokens": int((lengths.astype(np.int64) ** 2).sum())}


def hash_windows(windows: Windows) -> str:
    """Hash tokens and labels: equal hashes mean equal training or validation data, however they were made."""
    digest = hashlib.sha256()
    for array in (windows.input_ids, windows.row_starts, *windows.labels.values()):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
