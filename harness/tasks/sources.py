"""Training and validation examples from what the configuration names: two files, the hub, or a task's own generator."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from harness.config import DataConfig
from harness.errors import DataError

E = TypeVar("E")


def load_sets(
    config: DataConfig,
    *,
    read_file: Callable[[Path, int | None], list[E]],
    read_hub: Callable[[str, str, int | None], list[E]],
    generator_module: str,
) -> tuple[list[E], list[E]]:
    """Return training and validation examples; the sizes in `config` are maxima except for the generator.

    `read_file(path, limit)`, `read_hub(data set, split, limit)` and `generate_examples(size=, seed=, mean_tokens=)` of
    the generator, which is imported where it is used only, are the task's. Raises DataError if a source can't be
    reached or read. No source replaces another.
    """
    sizes: dict[str, Any] = {"train": config.train_size, "validation": config.validation_size}
    if config.source == "files":
        files = {"train": config.train_file, "validation": config.validation_file}
        train, validation = (read_file(Path(files[split] or ""), size) for split, size in sizes.items())
    elif config.source == "hub":
        train, validation = (read_hub(config.hub_id, split, size) for split, size in sizes.items())
    else:
        if None in sizes.values():
            raise DataError(
                "the generator was not told how many examples to make",
                remedy="give data.train_size and data.validation_size",
            )
        generate = importlib.import_module(generator_module).generate_examples
        # Two different seeds from each one, so that no run validates on what another run trained on.
        train, validation = (
            generate(size=size, seed=2 * config.generator_seed + number, mean_tokens=config.generator_mean_tokens)
            for number, size in enumerate(sizes.values())
        )
    return train, validation
