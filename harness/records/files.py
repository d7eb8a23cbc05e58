"""Files: written whole or not at all, and where is kept what outlives a run."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import Any


def default_cache_directory() -> Path:
    """Return where is kept what outlives a run: $XDG_CACHE_HOME/speedproof, ~/.cache/speedproof, or a folder for
    temporary files where there is no home.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "speedproof"
    except RuntimeError:  # a user without an entry in the system's list and without $HOME
        return own_temporary_directory()


def own_temporary_directory() -> Path:
    """Return this user's folder among the temporary files; it need not exist."""
    return Path(tempfile.gettempdir()) / f"speedproof-{os.getuid()}"


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` to a temporary file beside `path`, then rename: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, data: Any) -> None:
    """Write `data` (dataclasses included) as JSON, atomically."""
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        data = dataclasses.asdict(data)
    write_text_atomic(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
