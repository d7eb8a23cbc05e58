"""Windows: the tokenised texts of a data set with their labels, and the cache that keeps them.

A text that is too long for one window may be cut into several. Windows are not padded, so that every padding and
packing scheme can be built on them.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

FORMAT_VERSION = 2
"""Raised when the same input gives other windows than before, so that older cache files are not used."""

_LABEL = "label."
"""In front of a label's name where all arrays stand side by side."""


@dataclass(frozen=True, kw_only=True)
class Windows:
    """All windows of a data set, one after the other without padding; W windows, T tokens in all.

    The windows of one example stand together and in the text's order.
    """

    input_ids: np.ndarray
    """int32 (T,)."""
    token_type_ids: np.ndarray
    """int8 (T,): what the tokenizer gives; 0 for the first text of a pair, 1 for the second with BERT's."""
    row_starts: np.ndarray
    """int64 (W+1,): window i has the tokens row_starts[i] to row_starts[i+1]."""
    labels: dict[str, np.ndarray]
    """What the task's loss learns from, each int64 (W,), by name."""
    example_index: np.ndarray
    """int64 (W,): which example the window belongs to."""
    offsets: np.ndarray
    """int32 (T, 2): first character in the text that spans are cut from, and the one after the last; -1, -1 for all
    other tokens."""

    def __len__(self) -> int:
        return len(self.row_starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window, int64 (W,)."""
        return np.diff(self.row_starts)

    def row(self, index: int) -> slice:
        """Return where window `index` lies in the flat arrays: `windows.input_ids[windows.row(3)]`."""
        return slice(int(self.row_starts[index]), int(self.row_starts[index + 1]))

    def arrays(self) -> dict[str, Any]:
        """Return all arrays by name, flat."""
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "labels"}
        return plain | {f"{_LABEL}{name}": values for name, values in self.labels.items()}

    def select(self, numbers: np.ndarray) -> Windows:
        """Return the windows `numbers`, int (n,), in that order, as a set of their own."""
        rows = [self.row(int(number)) for number in numbers]
        tokens = np.concatenate([np.arange(row.start, row.stop) for row in rows])
        return Windows(
            input_ids=self.input_ids[tokens],
            token_type_ids=self.token_type_ids[tokens],
            row_starts=np.concatenate([[0], np.cumsum(self.lengths[numbers])]).astype(np.int64),
            labels={name: values[numbers] for name, values in self.labels.items()},
            example_index=self.example_index[numbers],
            offsets=self.offsets[tokens],
        )


def load_windows(path: Path) -> Windows | None:
    """Read what `cached_windows` wrote; None if the file isn't there, is damaged, or doesn't hold windows."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        labels = {name.removeprefix(_LABEL): arrays.pop(name) for name in list(arrays) if name.startswith(_LABEL)}
        windows = Windows(**arrays, labels=labels)
    except (OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile):
        return None
    starts = windows.row_starts
    if starts.ndim != 1 or len(starts) == 0 or starts[0] != 0 or np.any(np.diff(starts) < 1):
        return None
    count, tokens = (len(windows),), (int(starts[-1]),)
    shapes = {"input_ids": tokens, "token_type_ids": tokens, "offsets": (*tokens, 2), "row_starts": starts.shape}
    fits = all(values.shape == shapes.get(name, count) for name, values in windows.arrays().items())
    return windows if fits else None


def cached_windows(make: Callable[[], Windows], key: str, cache_directory: Path) -> tuple[Windows, bool]:
    """Return `make()`, from the cache if it holds it under `key`; the second value says whether it did.

    A damaged cache file is replaced, each atomically (temporary file, then rename); a cache that can't be written is
    done without.
    """
    path = cache_directory / f"windows-{key}.npz"
    cached = load_windows(path)
    if cached is not None:
        return cached, True
    windows = make()
    # A read-only home directory costs time, not the run.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **windows.arrays())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    return windows, False
