"""A trace as `xz` packs it well: without what no report reads, and growing numbers as differences from event to event.

Times and numbers that count up are most of a packed trace, while the steps between them are small and much alike:
that halves it (250 to 118 KiB for six steps on a CPU). What `unpack_trace` gives is the trace again, number for number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

UNREAD_ARGUMENTS = {"Input Strides", "Concrete Inputs", "Ev Idx", "Record function id", "Fwd thread id"}
"""Half of a trace on a CPU; ledger, kernels and the Perfetto UI do without them."""

TIME_FIELD = "ts"
GROWING = {TIME_FIELD, "id", "External id", "correlation", "Sequence number"}
"""Of an event or of its arguments."""

NS_PER_US = 1000
"""Kineto writes times in microseconds with three decimals: whole nanoseconds, so that differences are exact."""


def pack_trace(trace: bytes) -> bytes:
    """Return the JSON of a trace of torch.profiler in the form for an archive."""
    data = json.loads(trace, strict=False)
    last = dict.fromkeys(GROWING, 0)
    for event in data["traceEvents"]:
        if "args" in event:
            event["args"] = {key: value for key, value in event["args"].items() if key not in UNREAD_ARGUMENTS}
        for fields, name in _growing_fields(event, (int, float)):
            whole = round(fields[name] * NS_PER_US) if name == TIME_FIELD else fields[name]
            fields[name], last[name] = whole - last[name], whole
    return json.dumps(data, separators=(",", ":")).encode()


def unpack_trace(packed: bytes) -> bytes:
    """Return the JSON of the trace that `pack_trace` was given, without the unread arguments."""
    data = json.loads(packed)
    last = dict.fromkeys(GROWING, 0)
    for event in data["traceEvents"]:
        for fields, name in _growing_fields(event, (int,)):
            last[name] += fields[name]
            fields[name] = last[name] / NS_PER_US if name == TIME_FIELD else last[name]
    return json.dumps(data, separators=(",", ":")).encode()


def _growing_fields(event: dict[str, Any], numbers: tuple[type, ...]) -> Iterator[tuple[dict[str, Any], str]]:
    for fields in (event, event.get("args", {})):
        for name in GROWING & fields.keys():
            if isinstance(fields[name], numbers) and (name == TIME_FIELD or isinstance(fields[name], int)):
                yield fields, name
