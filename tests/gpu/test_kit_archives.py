"""What the kit hands back, and what is made of it. Needs no CUDA device."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from harness.errors import ConfigError, RecordError
from harness.experiment.listener import Listener
from harness.experiment.runner import execute_run
from harness.presets import preset
from harness.records.serialise import override


def test_caches_and_tensors_of_checks_are_in_no_archive(load, tmp_path, write_files):
    write_files(
        tmp_path / "run",
        "run.json",
        "checks/reference.safetensors",
        "compile-cache/a/b",
        "cache/speedproof/tokens",
        "trials/a/.trial.json.half",
        "trials/a/trial.json",
    )
    members = load("archives").find_members([tmp_path / "run"], kept_trace=None)
    assert [str(path.relative_to(tmp_path)) for path in members.main] == ["run/run.json", "run/trials/a/trial.json"]
    assert members.traces == []


def test_an_archive_over_the_limit_goes_without_its_largest_optional_members(load, tmp_path, names_in, write_files):
    archives = load("archives")
    write_files(tmp_path / "run", "run.json")
    write_files(tmp_path / "run", "big.trace.json.gz", size=300_000)
    write_files(tmp_path / "run", "small.trace.json.gz", size=10_000)
    files = sorted((tmp_path / "run").iterdir())
    left_out = archives.pack(files, tmp_path / "out/run.tar.gz", root=tmp_path, limit_mib=0.1)
    assert left_out == ["run/big.trace.json.gz"]
    assert names_in(tmp_path / "out/run.tar.gz") == ["run/run.json", "run/small.trace.json.gz"]
    assert archives.pack(files, tmp_path / "out/run.tar.gz", root=tmp_path) == []
    write_files(tmp_path / "run", "run.json", size=300_000)
    assert "1 records" in archives.pack(files[1:2], tmp_path / "out/none.tar.gz", root=tmp_path, limit_mib=0.1)[0]
    assert not (tmp_path / "out/none.tar.gz").exists()


def test_an_archive_moves_onto_another_file_system_too(load, tmp_path, monkeypatch, write_files):
    archives = load("archives")
    write_files(tmp_path, "loose.tar.gz")
    replace = Path.replace

    def refuse(self, target):
        if self.parent != Path(target).parent:
            raise OSError(18, "Invalid cross-device link")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    archives.move(tmp_path / "loose.tar.gz", tmp_path / "out" / "part.tar.gz")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["part.tar.gz"]
    assert not (tmp_path / "loose.tar.gz").exists()


def write_job(path: Path, job_time_s: float, **phases: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    epochs = [{"train_time_s": 1.5, "scores": {"em": 20.0}}] * 2
    record = {"kind": "job", "status": "done", "job_time_s": job_time_s, "epochs": epochs, "phases_s": phases}
    path.write_text(json.dumps(record | {"contender": "best"}))


def test_tables_show_jobs_and_phases_and_what_was_not_measured_is_not_0(load, tmp_path, write_files):
    tables = load("tables")
    write_job(tmp_path / "cold/trial.json", 9.0, imports=4.0, warm_up=2.0)
    write_job(tmp_path / "warm/trial.json", 7.0, imports=3.0)
    write_files(tmp_path, "broken/trial.json")
    assert tables.jobs_table(tmp_path)[2:] == ["| cold | 9.00 | 3.00 | 20.0 | – |", "| warm | 7.00 | 3.00 | 20.0 | – |"]
    jobs = {name: tables.read_job(tmp_path / name / "trial.json") for name in ("cold", "warm")}
    assert tables.phases_table(jobs)[2:] == [
        "| imports | 4.00 | 3.00 |",
        "| warm up | 2.00 | – |",
        "| whole job | 9.00 | 7.00 |",
    ]
    assert tables.jobs_table(tmp_path / "broken") == []


@pytest.mark.usefixtures("needs_bundled")
def test_archives_become_a_published_report_with_the_gpus_name(load, smoke_run_archive, tmp_path, capsys):
    publish = load("publish")
    archive = smoke_run_archive
    assert publish.main([str(archive), "--to", str(tmp_path / "published"), "--work", str(tmp_path / "work")]) == 0
    folder = tmp_path / "published" / "smoke-nvidia-h100-80gb-hbm3"
    assert capsys.readouterr().out.strip() == str(folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {"run.json", "records", "report.md", "figures", "cold-and-warm.md"}
    assert "best: the same job" in (folder / "cold-and-warm.md").read_text()
    assert (tmp_path / "work" / "smoke" / "run.json").exists()
    with pytest.raises(ConfigError, match="exists"):
        publish.main([str(archive), "--to", str(tmp_path / "published"), "--work", str(tmp_path / "work")])


def test_an_archive_can_not_write_outside_its_folder(load, tmp_path, write_files):
    write_files(tmp_path, "file")
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "file", arcname="../escaped")
    with pytest.raises(RecordError, match="outside"):
        load("publish").unpack(tmp_path / "bad.tar.gz", tmp_path / "work")
    assert not (tmp_path / "escaped").exists()


@pytest.fixture
def smoke_run_archive(load, tmp_path):
    """A folder with the archives of a run of tiny sizes, as if a GPU had made it, and of a cold and a warm job."""
    config = override(preset("smoke"), {"training.epochs": 1, "speed.enabled": False, "profile.enabled": False})
    loose = tmp_path / "loose"
    execute_run(config, loose / "smoke", cache_directory=tmp_path / "cache", command="c", listener=Listener())
    run = json.loads((loose / "smoke/run.json").read_text())
    run["environment"]["gpu"] = {"name": "NVIDIA H100 80GB HBM3"}
    (loose / "smoke/run.json").write_text(json.dumps(run))
    for name in ("cold", "warm"):
        write_job(loose / "jobs" / name / "trial.json", 5.0, imports=3.0)
    archives = load("archives")
    for name in ("smoke", "jobs"):
        files = archives.find_members([loose / name], kept_trace=None).main
        archives.pack(files, tmp_path / "out" / f"{name}.tar.gz", root=loose)
    return tmp_path / "out"
