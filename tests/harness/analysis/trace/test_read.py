"""Reading traces: whole, zipped, in small pieces, and what is no trace."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from harness.analysis.trace import read as traces
from harness.analysis.trace.read import NONE, Kind, read_trace
from harness.errors import RecordError


def test_events_come_back_with_what_links_them(trace_builder: ModuleType, tmp_path: Path) -> None:
    builder = trace_builder.TraceBuilder()
    number = builder.operator("aten::mm", 1.0, 2.5, shapes=[[2, 3], [3, 4]], sequence=7)
    correlation = builder.runtime("cudaLaunchKernel", 1.2, 1.3)
    builder.kernel("gemm", 2.0, 4.0, correlation=correlation, operator=number)
    trace = read_trace(builder.write(tmp_path / "a.json"))
    assert trace.kind.tolist() == [Kind.OPERATOR, Kind.RUNTIME, Kind.KERNEL]
    assert [trace.names[i] for i in trace.name] == ["aten::mm", "cudaLaunchKernel", "gemm"]
    assert (trace.end_ns - trace.start_ns).tolist() == [1_500_000, 100_000, 2_000_000]
    assert trace.correlation[1] == trace.correlation[2] == correlation
    assert trace.external[0] == trace.external[2] == number
    assert trace.sequence.tolist() == [7, NONE, NONE]
    assert trace.input_shapes[trace.shapes[0]] == ((2, 3), (3, 4))
    assert trace.track[0] == trace.track[1] != trace.track[2]


def test_a_trace_read_in_small_pieces_is_the_same(
    trace_builder: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trace_builder.device_trace().write(tmp_path / "a.pt.trace.json.gz")
    whole = read_trace(path)
    monkeypatch.setattr(traces, "CHUNK_CHARACTERS", 61)
    pieces = read_trace(path)
    assert whole.names == pieces.names
    assert np.array_equal(whole.start_ns, pieces.start_ns)


def test_shapes_leave_out_scalars_and_lists_of_tensors(trace_builder: ModuleType, tmp_path: Path) -> None:
    builder = trace_builder.TraceBuilder()
    builder.operator("aten::cat", 0.0, 1.0, shapes=[[[2, 3], [2, 3]], [], [5]])
    trace = read_trace(builder.write(tmp_path / "a.json"))
    assert trace.input_shapes[trace.shapes[0]] == ((5,),)


def test_memory_does_not_grow_with_the_file(
    trace_builder: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "CHUNK_CHARACTERS", 1 << 14)
    builder = trace_builder.host_trace(steps=200)
    for event in builder.events:
        event["args"]["Concrete Inputs"] = ["x" * 40] * 20
    path = builder.write(tmp_path / "long.json")
    builder.events.clear()
    tracemalloc.start()
    trace = read_trace(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(trace.kind) == 200 * 21
    assert peak < path.stat().st_size / 8


@pytest.mark.parametrize("kept", [0.3, 0.9])
@pytest.mark.parametrize("name", ["cut.json", "cut.json.gz"])
def test_a_cut_off_file_is_said_to_be(trace_builder: ModuleType, tmp_path: Path, name: str, kept: float) -> None:
    path = trace_builder.host_trace().write(tmp_path / name)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(RecordError, match="cut off"):
        read_trace(path)


def test_a_file_cut_after_its_events_is_cut_off_too(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text('{"traceEvents": [], "traceName": ')
    with pytest.raises(RecordError, match="cut off"):
        read_trace(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no trace of torch.profiler"),
        (b"hello", "no trace of torch.profiler"),
        (b'{"rows": [1, 2]}', "no trace of torch.profiler"),
        (b'{"traceEvents": [{"ph": "X", "cat": "kernel", "name": "k", "dur": 1}]}', "KeyError: 'ts'"),
        (
            b'{"traceEvents": [{"ph": "X", "cat": "kernel", "name": "k", "ts": "now", "dur": 1}]}',
            "no trace that can be",
        ),
        (b'{"traceEvents": [1, 2, 3]}', "no trace that can be read"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "no trace that can be read"),
        (gzip.compress(b"hello", mtime=0)[:-4] + b"oops", "no trace"),
    ],
)
def test_a_foreign_file_is_an_error_that_says_why(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "foreign.pt.trace.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=why) as caught:
        read_trace(path)
    assert str(path) in caught.value.message


def test_damage_in_the_middle_is_found_without_reading_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "LONGEST_EVENT_CHARACTERS", 1000)
    monkeypatch.setattr(traces, "CHUNK_CHARACTERS", 500)
    event = json.dumps({"ph": "M", "name": "n"})
    path = tmp_path / "damaged.json"
    path.write_text('{"traceEvents": [' + f"{event}, {{oops, " + ", ".join([event] * 1000) + "]}")
    with pytest.raises(RecordError, match="an event is damaged"):
        read_trace(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="missing"):
        read_trace(tmp_path / "nowhere.json")
