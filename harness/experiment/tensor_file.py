"""Tables of tensors on their way between processes: one safetensors file, beside plain facts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write the file, whole or not at all: the process may be ended meanwhile. Tensors lie on the host."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    save_file(dict(tensors), unfinished, metadata={"facts": json.dumps(dict(facts))})
    unfinished.replace(path)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote: tensors and facts."""
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        return tensors, json.loads(file.metadata()["facts"])


def named_rows(table: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a table's tensors under the names that they have in a file of several tables."""
    return {f"{table}:{name}": tensor for name, tensor in tensors.items()}


def rows_of(table: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of one table of such a file, by their own names."""
    start = f"{table}:"
    return {key.removeprefix(start): tensor for key, tensor in tensors.items() if key.startswith(start)}
