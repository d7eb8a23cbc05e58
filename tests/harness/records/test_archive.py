"""A packed run gives the same records and the same ledger when it is unpacked."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from harness.analysis.trace.read import read_trace
from harness.errors import RecordError
from harness.records.archive import ARCHIVE_FOLDER, archived_files, is_packed, pack_run, unpack_run
from harness.records.trace_packing import pack_trace, unpack_trace

EVENT = {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 1, "tid": 1, "ts": 4927960060569.53, "dur": 2.994}
ARGUMENTS = {"External id": 7, "Sequence number": 3, "Ev Idx": 3, "Input Dims": [[8, 64]], "Input Strides": [[64, 1]]}
TRACE = "trials/baseline/profile/trace/baseline.pt.trace.json.gz"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = tmp_path / "run"
    texts = {
        "run.json": "{}",
        "analysis.json": "{}",
        "trials/baseline/0/trial.json": '{"a": 1}',
        "trials/baseline/0/log.txt": "/home/somebody",
        "trials/baseline/0/spec.json": "/home/somebody",
        "trials/a+b/0/steps.jsonl": "{}\n",
    }
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    trace = directory / TRACE
    trace.parent.mkdir(parents=True)
    trace.write_bytes(gzip.compress(json.dumps({"traceEvents": [EVENT | {"args": ARGUMENTS}]}, indent=2).encode()))
    return directory


def files_in(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def test_records_come_back_and_what_no_report_reads_does_not(run, tmp_path):
    pack_run(run, tmp_path / "packed")
    assert files_in(tmp_path / "packed") == {"run.json", "records/baseline.tar.xz", "records/a+b.tar.xz"}
    assert is_packed(tmp_path / "packed")
    assert not is_packed(run)
    unpack_run(tmp_path / "packed", tmp_path / "again")
    kept = {"run.json", "trials/baseline/0/trial.json", "trials/a+b/0/steps.jsonl"}
    assert files_in(tmp_path / "again") == {*kept, TRACE}
    assert all((tmp_path / "again" / name).read_bytes() == (run / name).read_bytes() for name in kept)


def test_the_ledger_reads_the_same_trace(run, tmp_path):
    pack_run(run, tmp_path / "packed")
    unpack_run(tmp_path / "packed", tmp_path / "again")
    before, after = (vars(read_trace(directory / TRACE)) for directory in (run, tmp_path / "again"))
    assert {name: str(column) for name, column in before.items()} == {name: str(after[name]) for name in before}
    [event] = json.loads(gzip.decompress((tmp_path / "again" / TRACE).read_bytes()))["traceEvents"]
    assert set(event["args"]) == {"External id", "Sequence number", "Input Dims"}


def test_a_trace_comes_back_number_for_number():
    flow = {"ph": "s", "id": 9, "cat": "ac2g", "name": "ac2g", "pid": 1, "tid": 1, "ts": 4927960060570.001}
    earlier = EVENT | {"ts": 4927960060560.0, "args": {"External id": 2, "correlation": 0}}
    odd = {"ph": "M", "name": "process_name", "ts": 0.0, "id": "0x7", "args": {"External id": None, "labels": "CPU"}}
    events = [EVENT | {"args": {"External id": 7}}, flow, earlier, odd, EVENT]
    trace = {"schemaVersion": 1, "traceEvents": events, "traceName": "a.json"}
    packed = pack_trace(json.dumps(trace).encode())
    assert json.loads(packed)["traceEvents"][1]["ts"] == 471
    assert json.loads(unpack_trace(packed)) == trace


def test_archives_with_plain_traces_are_read_too(run, tmp_path):
    pack_run(run, tmp_path / "packed")
    plain = gzip.decompress((run / TRACE).read_bytes())
    with tarfile.open(tmp_path / "packed/records/baseline.tar.xz", "w:xz") as tar:
        member = tarfile.TarInfo(TRACE.removesuffix(".gz"))
        member.size = len(plain)
        tar.addfile(member, io.BytesIO(plain))
    unpack_run(tmp_path / "packed", tmp_path / "again")
    assert gzip.decompress((tmp_path / "again" / TRACE).read_bytes()) == plain


def test_the_same_records_give_the_same_bytes(run, tmp_path):
    for name in ("one", "two"):
        pack_run(run, tmp_path / name)
        (run / "trials/baseline/0/trial.json").touch()
    archives = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one" / ARCHIVE_FOLDER).iterdir())
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in archives)


def test_a_run_is_not_unpacked_over_another(run, tmp_path):
    pack_run(run, tmp_path / "packed")
    unpack_run(tmp_path / "packed", run)
    (run / "run.json").write_text('{"name": "other"}')
    with pytest.raises(RecordError, match="another run"):
        unpack_run(tmp_path / "packed", run)


def test_damage_is_named(run, tmp_path):
    pack_run(run, tmp_path / "packed")
    archive = tmp_path / "packed/records/baseline.tar.xz"
    archive.write_bytes(archive.read_bytes()[:150])
    with pytest.raises(RecordError, match=r"baseline\.tar\.xz is damaged"):
        unpack_run(tmp_path / "packed", tmp_path / "again")


@pytest.mark.parametrize("name", ["../escaped", "/escaped"])
def test_an_archive_can_not_write_outside_its_folder(name, tmp_path):
    with tarfile.open(tmp_path / "bad.tar.xz", "w:xz") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(RecordError, match="outside"):
        list(archived_files(tmp_path / "bad.tar.xz"))
