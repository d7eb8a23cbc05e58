"""The widened encoder on disk: made once into the user's cache, and from then on a model directory like any other.

Every file is written into a temporary folder that is renamed when it is complete; what two processes make at once is
the same, so that it does not matter whose stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.config import BUNDLED_DISTILBERT
from harness.errors import ModelError
from harness.records.files import default_cache_directory, own_temporary_directory, write_json

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
ORIGIN_FILE = "origin.json"
"""Digests of the source and of what was made of it; written last."""

VERSION = 1
"""Of what is made; another one gets another folder."""

_LEFT_BEHIND_S = 3600.0
"""A temporary folder as old as this belongs to a process that was killed: making takes seconds."""


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def find(source_sha256: str) -> Path | None:
    """Return the folder in which the widened form of this source is complete; its weights are not read."""
    return next((folder for folder in _places(source_sha256) if _is_complete(folder, source_sha256)), None)


def make(source: Path, source_sha256: str) -> Path:
    """Widen the encoder in `source` into the cache, or among the temporary files if it can't be written there.

    ModelError if neither can be written.
    """
    failures = []
    for folder in _places(source_sha256):
        try:
            _write(source, source_sha256, folder)
            return folder
        except OSError as error:
            failures.append(f"{folder.parent}: {error.strerror or error}")
    raise ModelError(
        f"{BUNDLED_DISTILBERT} can't be made ({'; '.join(failures)})",
        remedy="set XDG_CACHE_HOME to a folder that can be written, with 256 MiB free",
    )


def require_sound(source: Path, source_sha256: str) -> Path:
    """Return the folder of the widened encoder after reading its weights; made again if they are not what was written.

    ModelError if that doesn't help.
    """
    folder = find(source_sha256) or make(source, source_sha256)
    if _is_sound(folder):
        return folder
    try:
        (folder / ORIGIN_FILE).unlink(missing_ok=True)
        _write(source, source_sha256, folder)
    except OSError as error:
        raise ModelError(
            f"{folder} is damaged and can't be written again: {error.strerror or error}", remedy="remove it"
        ) from error
    if not _is_sound(folder):
        raise ModelError(f"{folder} is damaged again as soon as it is written", remedy="check the disk")
    return folder


def _places(source_sha256: str) -> list[Path]:
    name = f"{BUNDLED_DISTILBERT}-{source_sha256[:16]}-v{VERSION}"
    temporary = own_temporary_directory()
    # What another user can have put among the temporary files is not used.
    try:
        status = temporary.lstat()
        is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    except FileNotFoundError:
        is_own = True
    except OSError:
        is_own = False
    bases = [default_cache_directory(), *([temporary] if is_own else [])]
    return [base / "models" / name for base in dict.fromkeys(bases)]


def _is_complete(folder: Path, source_sha256: str) -> bool:
    try:
        origin = _read_origin(folder)
        return (
            origin["source_sha256"] == source_sha256
            and (folder / WEIGHTS_FILE).stat().st_size == origin["size_bytes"]
            and all((folder / name).is_file() for name in (CONFIG_FILE, *TOKENIZER_FILES))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_sound(folder: Path) -> bool:
    try:
        return bool(hash_file(folder / WEIGHTS_FILE) == _read_origin(folder)["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _read_origin(folder: Path) -> Any:
    return json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))


def _write(source: Path, source_sha256: str, folder: Path) -> None:
    """Make the widened encoder in `folder`; OSError if it can't be written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for path in folder.parent.glob(f".{folder.name}.*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_BEHIND_S:
                shutil.rmtree(path)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        _fill(temporary, source, source_sha256)
        try:
            temporary.rename(folder)
        except OSError:
            if _is_complete(folder, source_sha256):
                return  # another process was faster
            if not folder.is_dir():
                raise
            # What is damaged is replaced file by file: none is ever missing.
            for name in (WEIGHTS_FILE, CONFIG_FILE, *TOKENIZER_FILES, ORIGIN_FILE):
                (temporary / name).replace(folder / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(folder: Path, source: Path, source_sha256: str) -> None:
    # torch is imported by whoever makes the weights, not by whoever asks where they are.
    from safetensors.torch import load_file, save

    from harness.training.widened import distilbert_config, widen

    config = json.loads((source / CONFIG_FILE).read_text(encoding="utf-8"))
    weights = widen(
        load_file(source / WEIGHTS_FILE), layers=config["num_hidden_layers"], heads=config["num_attention_heads"]
    )
    data = save(weights, metadata={"format": "pt"})
    (folder / WEIGHTS_FILE).write_bytes(data)
    write_json(folder / CONFIG_FILE, distilbert_config(config))
    for name in TOKENIZER_FILES:
        shutil.copyfile(source / name, folder / name)
    origin = {"source_sha256": source_sha256, "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    write_json(folder / ORIGIN_FILE, origin)
