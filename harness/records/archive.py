"""A run's records as files small enough to lie beside the source: `run.json` and `records/<contender>.tar.xz`.

What no report reads is left out: logs and a worker's orders. Traces lie in the archives in a form that `xz` packs
well, `trace_packing`. The same records give the same bytes.
"""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from harness.errors import RecordError
from harness.records.store import LOG_FILE, RUN_FILE, SPEC_FILE
from harness.records.trace_packing import pack_trace, unpack_trace

ARCHIVE_FOLDER = "records"
ARCHIVE_SUFFIX = ".tar.xz"
TRIALS_FOLDER = "trials"
TRACE_SUFFIX = ".trace.json.gz"
PACKED_TRACE_SUFFIX = ".trace.packed.json"
PLAIN_TRACE_SUFFIX = ".trace.json"
"""Of traces in archives from before `trace_packing`."""


def pack_run(run: Path, target: Path) -> None:
    """Write a run's records into the folder `target`; archives of an earlier packing are replaced."""
    archives = target / ARCHIVE_FOLDER
    shutil.rmtree(archives, ignore_errors=True)
    archives.mkdir(parents=True)
    shutil.copyfile(run / RUN_FILE, target / RUN_FILE)
    for contender in sorted((run / TRIALS_FOLDER).iterdir()):
        archive = archives / f"{contender.name}{ARCHIVE_SUFFIX}"
        with (
            lzma.open(archive, "wb", preset=9 | lzma.PRESET_EXTREME) as compressed,
            tarfile.open(fileobj=compressed, mode="w") as tar,
        ):
            for file in sorted(contender.rglob("*")):
                if file.is_file() and file.name not in (LOG_FILE, SPEC_FILE) and not file.name.startswith("."):
                    name, data = file.relative_to(run).as_posix(), file.read_bytes()
                    if name.endswith(TRACE_SUFFIX):
                        name = name.removesuffix(TRACE_SUFFIX) + PACKED_TRACE_SUFFIX
                        data = pack_trace(gzip.decompress(data))
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


def is_packed(directory: Path) -> bool:
    """Whether a directory holds archives of a run's records instead of the records."""
    return (directory / ARCHIVE_FOLDER).is_dir()


def unpack_run(packed: Path, run: Path) -> None:
    """Write the records of a packed run into the directory `run`; RecordError if another run lies there."""
    head = (packed / RUN_FILE).read_bytes()
    if (run / RUN_FILE).exists() and (run / RUN_FILE).read_bytes() != head:
        raise RecordError(f"{run} holds another run than {packed}", remedy="give another directory with --runs-dir")
    run.mkdir(parents=True, exist_ok=True)
    (run / RUN_FILE).write_bytes(head)
    for archive in sorted((packed / ARCHIVE_FOLDER).glob(f"*{ARCHIVE_SUFFIX}")):
        for name, data in archived_files(archive):
            path = run / name
            path.parent.mkdir(parents=True, exist_ok=True)
            for suffix, plain in ((PACKED_TRACE_SUFFIX, unpack_trace), (PLAIN_TRACE_SUFFIX, bytes)):
                if name.name.endswith(suffix):
                    path = path.with_name(name.name.removesuffix(suffix) + TRACE_SUFFIX)
                    data = gzip.compress(plain(data), compresslevel=1, mtime=0)
            path.write_bytes(data)


def archived_files(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield name and content of an archive's files; RecordError if one would lie outside of the folder it goes to."""
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise RecordError(f"{archive} holds {name}, which would lie outside of its folder")
                data = tar.extractfile(member) if member.isfile() else None
                if data is not None:
                    yield name, data.read()
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError) as error:
        raise RecordError(f"{archive} is damaged: {error}", remedy="fetch it again") from None
