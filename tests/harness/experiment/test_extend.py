"""A run that is given more under its name: what is there stays, what is new comes behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import ConfigError
from harness.experiment import goals, runner
from harness.experiment.bench import Bench
from harness.records.serialise import override
from harness.records.store import load_run

pytestmark = pytest.mark.usefixtures("needs_bundled")

OLD = ["baseline/0", "baseline/speed", "fused_adamw/0", "fused_adamw/speed", "fused_adamw/profile"]
OLD += ["baseline/speed-2", "baseline/profile"]


def files_of(directory):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted((directory / "trials").rglob("*"))
        if path.is_file()
    }


def new(listener):
    return [folder for folder, status, resumed in listener.ended if status == "done" and not resumed]


@pytest.fixture
def extend_copy(execute_on_copy, tmp_path, smoke_base):
    """Return a function that gives a copy of the finished run more and checks that nothing of it was touched."""

    def extend(**changes):
        before = files_of(smoke_base / "runs/r")
        run, listener = execute_on_copy(**changes)
        after = files_of(tmp_path / "runs/r")
        moved = {path.relative_to(smoke_base): content for path, content in before.items()}
        assert {path: after[tmp_path / path] for path in moved} == moved
        assert list(run.run.trials[: len(OLD)]) == [f"trials/{name}" for name in OLD]
        return run, listener

    return extend


def test_a_further_seed_adds_jobs_behind_what_is_there(extend_copy):
    run, listener = extend_copy(seeds=2)
    assert new(listener) == ["fused_adamw/1", "baseline/1"]
    assert (run.missing, run.damaged, run.run.config.seeds) == ([], [], 2)


def test_a_further_contender_is_timed_beside_a_new_live_baseline(extend_copy):
    run, listener = extend_copy(contenders=["sdpa"])
    assert new(listener) == ["sdpa/0", "sdpa/speed", "sdpa/profile"]
    assert run.run.config.contenders == ("fused_adamw", "sdpa")
    (record,) = (t.record for t in run.trials if (t.record.contender, t.record.kind) == ("sdpa", "speed"))
    assert record.speed.blocks
    assert record.equivalence is not None


def test_a_larger_budget_times_the_baseline_and_who_is_open_in_further_processes(extend_copy, monkeypatch):
    turns = iter(["baseline", "fused_adamw"])
    monkeypatch.setattr(runner, "find_next", lambda *_, **__: next(turns, None))
    monkeypatch.setattr(goals, "allot_s", lambda *_: 0.001)
    monkeypatch.setattr(runner, "is_finished", lambda *_: False)
    run, listener = extend_copy(speed__budget_s=1000.0)
    assert new(listener) == ["baseline/speed-3", "fused_adamw/speed-2"]
    record = run.trials[-1].record
    assert (record.kind, record.process, record.footprint, record.equivalence) == ("speed", 2, None, None)
    assert record.speed.blocks[0].cold


def test_the_head_keeps_the_commands_and_counts_the_looks(execute_on_copy, tmp_path):
    run, _ = execute_on_copy(seeds=2)
    assert (run.run.looks, run.run.earlier_commands) == (1, ("c",)), "nobody had judged it"
    (tmp_path / "runs/r/analysis.json").write_text("{}")
    planned = {"trials/baseline/2"}
    wanted = replace(run.run, config=override(run.run.config, {"seeds": 3}), command="d")
    further = runner.continue_record(run.run, wanted, planned, tmp_path / "runs/r")
    assert (further.looks, further.command, further.earlier_commands) == (2, "d", ("c", "c"))
    again = runner.continue_record(further, further, planned, tmp_path / "runs/r")
    assert (again.looks, again.earlier_commands) == (2, ("c", "c")), "going on with it is no look"


def test_an_extension_that_was_killed_goes_on(execute_on_copy, execute_again, tmp_path, monkeypatch):
    run_session = Bench.run

    def run_until_killed(bench, session):
        if (session.contender, session.seed) == ("baseline", 1):
            raise KeyboardInterrupt
        run_session(bench, session)

    monkeypatch.setattr(Bench, "run", run_until_killed)
    with pytest.raises(KeyboardInterrupt):
        execute_on_copy(seeds=2)
    assert load_run(tmp_path / "runs/r").missing == ["trials/baseline/1"]
    monkeypatch.setattr(Bench, "run", run_session)
    before = files_of(tmp_path / "runs/r")
    run, listener = execute_again(seeds=2)
    assert new(listener) == ["baseline/1"]
    assert (run.missing, run.run.looks) == ([], 1)
    after = files_of(tmp_path / "runs/r")
    assert {path: after[path] for path in before} == before


def test_what_was_to_be_profiled_can_be_left_out(execute_on_copy):
    removed = ["fused_adamw/profile", "baseline/profile"]
    run, listener = execute_on_copy(remove=removed, contenders=["sdpa"], profile__enabled=False)
    assert new(listener) == ["sdpa/0", "sdpa/speed"]
    assert not [name for name in run.run.trials if name.endswith("profile")]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"worth": 0.1}, "worth is 0.02 there, now 0.1"),
        ({"data__train_size": 20}, "data.train_size is 24 there, now 20"),
        ({"baseline": "sdpa"}, "baseline is 'baseline' there, now 'sdpa'"),
        ({"quality__margin": 5.0}, "quality.margin is 1.0 there, now 5.0"),
    ],
)
def test_what_else_differs_is_refused_by_name(execute_on_copy, changes, field, tmp_path):
    with pytest.raises(ConfigError, match=field.replace(".", r"\.")):
        execute_on_copy(seeds=2, **changes)
    assert load_run(tmp_path / "runs/r").run.config.seeds == 1


def test_less_than_what_is_there_is_there(execute_on_copy):
    run, listener = execute_on_copy(contenders=[], speed__budget_s=0.0001)
    assert listener.ended == []
    assert run.run.config.contenders == ("fused_adamw",)
