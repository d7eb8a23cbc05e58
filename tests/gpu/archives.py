"""Archives of what a part of the kit left: small, complete as soon as they have their name, never half of one.

Caches, tensors of checks and files that are being written are left out, and traces but one: they go into an archive of
their own. One that is larger than a machine hands back is written again without its largest members that a report can
do without.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LIMIT_MIB = 16.0
"""Of one archive."""

LEFT_OUT = ("checks", "compile-cache", "cache", "__pycache__")
"""Folders: hundreds of MiB that only a run that goes on needs, and that a run that was killed leaves behind."""

TRACE_SUFFIX = ".trace.json.gz"

RECORDS = (".json", ".jsonl", ".log", ".md")
"""What is never left out for its size: without it there is no report."""


@dataclass(frozen=True, kw_only=True)
class Members:
    """What belongs into the archive of a part, and what into that of its traces."""

    main: list[Path]
    traces: list[Path]


def find_members(paths: Iterable[Path], *, kept_trace: str | None) -> Members:
    """Return the files below the paths; the traces of the contender `kept_trace` stay beside the records."""
    main: list[Path] = []
    traces: list[Path] = []
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            parts = file.relative_to(path).parts if path.is_dir() else ()
            if file.is_file() and not file.name.startswith(".") and not set(LEFT_OUT) & set(parts):
                is_other = file.name.endswith(TRACE_SUFFIX) and kept_trace not in parts
                (traces if is_other else main).append(file)
    return Members(main=main, traces=traces)


def pack(files: list[Path], target: Path, *, root: Path, limit_mib: float = LIMIT_MIB) -> list[str]:
    """Write the files into the archive `target`, under their names below `root`; return which were left out.

    It is written beside `root`'s files and renamed when it is whole, so that a kill leaves the one before.
    """
    temporary = root / f".{target.name}"
    left_out: list[str] = []
    files = list(files)
    write(files, temporary, root)
    while temporary.stat().st_size > limit_mib * 2**20:
        optional = [file for file in files if not file.name.endswith(RECORDS) and file.exists()]
        if not optional:
            temporary.unlink()
            return [f"all of it: {len(files)} records are more than {limit_mib:g} MiB"]
        largest = max(optional, key=lambda file: file.stat().st_size)
        left_out.append(str(largest.relative_to(root)))
        files.remove(largest)
        write(files, temporary, root)
    move(temporary, target)
    return left_out


def write(files: list[Path], archive: Path, root: Path) -> None:
    """Write an archive of the files as they are now; one that has gone meanwhile is not in it."""
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for file in files:
            # Read whole: a log that grows while it is read would break an archive that was told its size before.
            with contextlib.suppress(FileNotFoundError):
                data = file.read_bytes()
                info = tarfile.TarInfo(str(file.relative_to(root)))
                info.size, info.mtime = len(data), int(file.stat().st_mtime)
                tar.addfile(info, io.BytesIO(data))


def move(source: Path, target: Path) -> None:
    """Move a file onto another in one step, also where they are on different file systems."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.replace(target)
    except OSError:
        beside = target.with_name(f".{target.name}")
        shutil.copyfile(source, beside)
        beside.replace(target)
        source.unlink()
