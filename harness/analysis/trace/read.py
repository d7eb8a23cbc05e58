"""Reading a profiler's trace: Kineto's Chrome-trace JSON (`*.pt.trace.json`, gzipped or not) into a few columns.

A trace of a hundred megabytes would take a gigabyte as Python objects. It is read one event at a time, and of each
event only what the ledger needs is kept (`COLUMNS`).
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

COLUMNS = {
    "kind": "b", "name": "i", "track": "i", "start_ns": "q", "end_ns": "q",
    "correlation": "q", "external": "q", "sequence": "q", "shapes": "i", "types": "i",
}  # fmt: skip
"""Of a trace, in the order of an event's row, with the type codes of `array`: 57 bytes together."""

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


def read_trace(path: Path) -> Trace:
    """Read a trace. RecordError if it is missing, cut off, damaged or no trace."""
    columns = _Columns()
    try:
        with path.open("rb") as file:
            is_zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt", encoding="utf-8") if is_zipped else path.open(encoding="utf-8") as text:
            for event in _stream_events(text, path):
                columns.add(event)
    except FileNotFoundError:
        raise RecordError(f"{path} is missing", remedy="profile again") from None
    except (EOFError, zlib.error):
        raise _cut_off(path) from None
    except (OSError, UnicodeDecodeError, AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RecordError(f"{path} is no trace that can be read: {reason}", remedy=_REMEDY) from error
    return columns.finish()


def _cut_off(path: Path) -> RecordError:
    return RecordError(f"{path} is cut off: it ends before the trace does", remedy=_REMEDY)


def _stream_events(file: TextIO, path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events one by one; only one chunk of text is held at a time."""
    text, found = "", None
    while found is None:
        chunk = file.read(CHUNK_CHARACTERS)
        text += chunk
        found = _EVENTS_START.search(text)
        if found is None and (not chunk or len(text) > LONGEST_EVENT_CHARACTERS):
            raise RecordError(f'{path} is no trace of torch.profiler: it has no "traceEvents"', remedy=_REMEDY)
    text = text[found.end() :]
    decode = json.JSONDecoder(strict=False).raw_decode
    position = 0
    while True:
        position = _BETWEEN_EVENTS.match(text, position).end()  # type: ignore[union-attr]
        if text[position : position + 1] == "]":
            if not (text[position:] + file.read()).rstrip().endswith("}"):
                raise _cut_off(path)
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


class _Columns:
    """Events as they come in, column by column."""

    def __init__(self) -> None:
        self._columns = {name: array(code) for name, code in COLUMNS.items()}
        self._names: dict[str, int] = {}
        self._tracks: dict[tuple[Any, Any], int] = {}
        self._input_shapes: dict[tuple[Shape, ...], int] = {(): 0}
        self._input_types: dict[tuple[str, ...], int] = {(): 0}

    def add(self, event: dict[str, Any]) -> None:
        """Keep what the ledger needs of one event."""
        kind = _KINDS.get(event.get("cat", ""))
        if kind is None or event.get("ph") != "X":
            return
        arguments = event.get("args") or {}
        # Kineto writes microseconds with three decimals: whole nanoseconds, so that intervals add up exactly.
        start_ns = int(event["ts"] * 1000 + 0.5)
        dimensions = arguments.get("Input Dims", ())
        shapes = tuple(tuple(shape) for shape in dimensions if shape and type(shape[0]) is int)
        types = tuple(map(str, arguments.get("Input type", ())))
        row = (
            kind,
            self._names.setdefault(event["name"], len(self._names)),
            self._tracks.setdefault((event.get("pid"), event.get("tid")), len(self._tracks)),
            start_ns,
            start_ns + int(event["dur"] * 1000 + 0.5),
            arguments.get("correlation", NONE),
            arguments.get("External id", NONE),
            arguments.get("Sequence number", NONE),
            self._input_shapes.setdefault(shapes, len(self._input_shapes)),
            self._input_types.setdefault(types, len(self._input_types)),
        )
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)

    def finish(self) -> Trace:
        """Return the columns as arrays."""
        return Trace(
            **{name: np.array(column) for name, column in self._columns.items()},
            names=tuple(self._names),
            input_shapes=tuple(self._input_shapes),
            input_types=tuple(self._input_types),
        )
