"""Reading a profiler's trace: Kineto's Chrome-trace JSON (`*.pt.trace.json`, gzipped or not) into a few columns.

A trace of a hundred megabytes would take a gigabyte as Python objects. It is read one event at a time, and of each
event only what the ledger needs is kept: 57 bytes.
"""

from __future__ import annotations

import enum
import gzip
import json
import re
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from harness.errors import RecordError

CHUNK_CHARACTERS = 1 << 20
LONGEST_EVENT_CHARACTERS = 1 << 22
"""An event is a few hundred characters long; text beyond this that makes no event is damage."""

_EVENTS_START = re.compile(r'"traceEvents"\s*:\s*\[')
_BETWEEN_EVENTS = re.compile(r"[\s,]*")
_REMEDY = "profile again, or remove the file"
NONE = -1
"""In a column: the event does not have this value."""


class Kind(enum.IntEnum):
    """What an event is; all others are skipped."""

    ANNOTATION = 0
    """`record_function`, and what the profiler itself marks: `ProfilerStep#3`, `Optimizer.step#AdamW.step`."""
    OPERATOR = 1
    """An ATen or custom operator, or an autograd node, on a host thread."""
    RUNTIME = 2
    """A call into the CUDA runtime or driver."""
    KERNEL = 3
    COPY = 4
    """A copy or a fill on the device that is no kernel (`Memcpy HtoD`, `Memset`)."""


_KINDS = {
    "user_annotation": Kind.ANNOTATION,
    "cpu_op": Kind.OPERATOR,
    "cuda_runtime": Kind.RUNTIME,
    "cuda_driver": Kind.RUNTIME,
    "kernel": Kind.KERNEL,
    "gpu_memcpy": Kind.COPY,
    "gpu_memset": Kind.COPY,
}

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The events of a trace, one column per property, in the order of the file."""

    kind: np.ndarray
    name: np.ndarray
    """Index into `names`."""
    track: np.ndarray
    """Thread of the host, or stream of the device, numbered as they appear."""
    start_ns: np.ndarray
    end_ns: np.ndarray
    correlation: np.ndarray
    """Links a kernel to the runtime call that launched it; all kernels of a graph launch share one."""
    external: np.ndarray
    """Number of an operator; of a kernel: the operator that launched it."""
    sequence: np.ndarray
    """Links an autograd node to the operator that created it."""
    shapes: np.ndarray
    """Index into `input_shapes`."""
    types: np.ndarray
    """Index into `input_types`."""
    names: tuple[str, ...]
    input_shapes: tuple[tuple[Shape, ...], ...]
    """Shapes of an operator's tensors, scalars and lists of tensors left out."""
    input_types: tuple[tuple[str, ...], ...]
    """Types of an operator's arguments, as the profiler writes them."""

    @property
    def has_shapes(self) -> bool:
        """Whether the profiler recorded shapes at all."""
        return len(self.input_shapes) > 1


def read_trace(path: Path) -> Trace:
    """Read a trace. RecordError if it is missing, cut off, damaged or no trace."""
    columns = _Columns()
    try:
        with _open_text(path) as file:
            for event in _stream_events(file, path):
                columns.add(event)
    except FileNotFoundError:
        raise RecordError(f"{path} is missing", remedy="profile again") from None
    except (EOFError, zlib.error):
        raise _cut_off(path) from None
    except (OSError, UnicodeDecodeError, AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RecordError(f"{path} is no trace that can be read: {reason}", remedy=_REMEDY) from error
    return columns.finish()


def _open_text(path: Path) -> TextIO:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rt", encoding="utf-8") if zipped else path.open(encoding="utf-8")


def _cut_off(path: Path) -> RecordError:
    return RecordError(f"{path} is cut off: it ends before the trace does", remedy=_REMEDY)


def _stream_events(file: TextIO, path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events one by one; only one chunk of text is held at a time."""
    text = _skip_head(file, path)
    decode = json.JSONDecoder(strict=False).raw_decode
    position = 0
    while True:
        position = _BETWEEN_EVENTS.match(text, position).end()  # type: ignore[union-attr]
        if text[position : position + 1] == "]":
            _check_end(text[position:] + file.read(), path)
            return
        try:
            event, position = decode(text, position)
        except json.JSONDecodeError as error:
            if len(text) - position > LONGEST_EVENT_CHARACTERS:
                raise ValueError(f"an event is damaged ({error.msg})") from None
            more = file.read(CHUNK_CHARACTERS)
            if not more:
                raise _cut_off(path) from None
            text, position = text[position:] + more, 0
        else:
            yield event


def _skip_head(file: TextIO, path: Path) -> str:
    """Return the text after `"traceEvents": [`, as far as it has been read."""
    text = ""
    while len(text) <= LONGEST_EVENT_CHARACTERS:
        chunk = file.read(CHUNK_CHARACTERS)
        text += chunk
        if found := _EVENTS_START.search(text):
            return text[found.end() :]
        if not chunk:
            break
    raise RecordError(f'{path} is no trace of torch.profiler: it has no "traceEvents"', remedy=_REMEDY)


def _check_end(rest: str, path: Path) -> None:
    if not rest.rstrip().endswith("}"):
        raise _cut_off(path)


class _Columns:
    """Events as they come in, column by column."""

    def __init__(self) -> None:
        self.kind = array("b")
        self.name = array("i")
        self.track = array("i")
        self.start_ns = array("q")
        self.end_ns = array("q")
        self.correlation = array("q")
        self.external = array("q")
        self.sequence = array("q")
        self.shapes = array("i")
        self.types = array("i")
        self.names: dict[str, int] = {}
        self.tracks: dict[tuple[Any, Any], int] = {}
        self.input_shapes: dict[tuple[Shape, ...], int] = {(): 0}
        self.input_types: dict[tuple[str, ...], int] = {(): 0}

    def add(self, event: dict[str, Any]) -> None:
        """Keep what the ledger needs of one event."""
        kind = _KINDS.get(event.get("cat", ""))
        if kind is None or event.get("ph") != "X":
            return
        arguments = event.get("args") or {}
        # Kineto writes microseconds with three decimals: whole nanoseconds, so that intervals add up exactly.
        start_ns = int(event["ts"] * 1000 + 0.5)
        self.kind.append(kind)
        self.name.append(self.names.setdefault(event["name"], len(self.names)))
        self.track.append(self.tracks.setdefault((event.get("pid"), event.get("tid")), len(self.tracks)))
        self.start_ns.append(start_ns)
        self.end_ns.append(start_ns + int(event["dur"] * 1000 + 0.5))
        self.correlation.append(arguments.get("correlation", NONE))
        self.external.append(arguments.get("External id", NONE))
        self.sequence.append(arguments.get("Sequence number", NONE))
        shapes = _tensor_shapes(arguments["Input Dims"]) if "Input Dims" in arguments else ()
        self.shapes.append(self.input_shapes.setdefault(shapes, len(self.input_shapes)))
        types = tuple(map(str, arguments.get("Input type") or ()))
        self.types.append(self.input_types.setdefault(types, len(self.input_types)))

    def finish(self) -> Trace:
        """Return the columns as arrays."""
        return Trace(
            kind=np.array(self.kind, dtype=np.int8),
            name=np.array(self.name, dtype=np.int32),
            track=np.array(self.track, dtype=np.int32),
            start_ns=np.array(self.start_ns, dtype=np.int64),
            end_ns=np.array(self.end_ns, dtype=np.int64),
            correlation=np.array(self.correlation, dtype=np.int64),
            external=np.array(self.external, dtype=np.int64),
            sequence=np.array(self.sequence, dtype=np.int64),
            shapes=np.array(self.shapes, dtype=np.int32),
            types=np.array(self.types, dtype=np.int32),
            names=tuple(self.names),
            input_shapes=tuple(self.input_shapes),
            input_types=tuple(self.input_types),
        )


def _tensor_shapes(dimensions: list[Any]) -> tuple[Shape, ...]:
    return tuple(tuple(shape) for shape in dimensions if shape and type(shape[0]) is int)
