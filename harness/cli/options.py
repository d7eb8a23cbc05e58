"""Types of options that several commands share."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

RunsDirectory = Annotated[Path, typer.Option("--runs-dir", help="Where runs are kept.")]
PluginOption = Annotated[
    list[str] | None,
    typer.Option("--plugin", help="Module or .py file that registers more strategies."),
]


class DataSource(str, Enum):
    """Where questions come from."""

    HUB = "hub"
    FILES = "files"
    GENERATOR = "generator"


class Weights(str, Enum):
    """Pretrained weights, or random ones of the same size."""

    PRETRAINED = "pretrained"
    RANDOM = "random"


class Device(str, Enum):
    """Where the training runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def value_of(choice: Enum | None) -> Any:
    """Return what the configuration holds for a choice; None if it was not given."""
    return None if choice is None else choice.value


def text_of(path: Path | None) -> str | None:
    """Return what the configuration holds for a path; None if it was not given."""
    return None if path is None else str(path)
