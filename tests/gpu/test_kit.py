"""The GPU kit itself: what its calls consist of, how they keep to their time. Needs no CUDA device."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness import registry
from harness.errors import StrategyError

HERE = Path(__file__).parent


@pytest.fixture
def kit(load):
    """The kit, also where these tests run in the background."""
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    module = load("kit")
    module.hear_interrupts()
    yield module
    for name, handler in before.items():
        signal.signal(name, handler)


def make_part(kit, code: str, *, limit_s: float = 30.0, name: str = "part"):
    return kit.Part(name=name, what="a test", command=(sys.executable, "-c", code), expected_s=1.0, limit_s=limit_s)


def test_questions_beside_the_wheels_are_taken(kit, load, tmp_path, write_files):
    write_files(tmp_path, "train.json", "validation.json")
    options = kit.parse_options(["b", "--wheels", str(tmp_path)])
    calls = load("calls")
    assert calls.settings(options)["data.train_file"] == str(tmp_path / "train.json")
    options = kit.parse_options(["b", "--wheels", str(tmp_path / "none")])
    assert calls.settings(options)["data.source"] == "generator"


def test_the_kits_stacks_are_registered_strategies_that_go_together(load):
    registry.load_all()
    stacks = load("stacks")
    for stack in {*stacks.STACKS.values(), *stacks.OTHERS.values(), *stacks.CHECKED, stacks.PEER}:
        assert [strategy.name for strategy in registry.resolve(stack)]
        assert set(stack.split("+")) <= set(registry.names())
    with pytest.raises(StrategyError):
        registry.resolve(stacks.STACKS["cuda"] + "+no_such_part")
    best = set(stacks.STACKS["cuda"].split("+"))
    starts = {"fast_startup", "lean_model"}
    assert {"unpadded", "bf16_weights", "cuda_graphs", "device_resident_data", "fast_evaluation", *starts} <= best
    assert best ^ set(stacks.OTHERS["cuda"].split("+")) == {"amp_bf16", "bf16_weights"}


@pytest.mark.parametrize("call", ["a", "b"])
def test_the_parts_are_expected_to_fit_into_the_total_and_each_into_its_limit(kit, tmp_path, call):
    options = kit.parse_options([call])
    assert options.total_s == {"a": 200, "b": 450}[call]
    planned = kit.parts(options, tmp_path)
    assert kit.INSTALL_S + sum(part.expected_s for part in planned) + kit.RESERVE_S <= options.total_s
    assert all(part.expected_s <= part.limit_s for part in planned)


def test_the_peer_is_timed_right_after_the_best_stack_and_all_on_the_same_model(kit, load, tmp_path):
    stacks = load("stacks")
    options = kit.parse_options(["b"])
    cold, speed = kit.parts(options, tmp_path)
    names = [stacks.STACKS["cuda"], "hf_trainer_best", stacks.OTHERS["cuda"]]
    where = speed.command.index(names[0])
    assert list(speed.command[where : where + 3]) == names
    for command in (speed.command, cold.command, kit.parts(kit.parse_options(["a"]), tmp_path)[2].command):
        assert "bundled-distilbert" in " ".join(command)
    assert "--no-report" in speed.command


def test_a_part_at_its_limit_is_interrupted_and_can_say_what_it_has(kit, tmp_path):
    code = (
        "import time\n"
        "try:\n"
        "    print('begun')\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    print('failures:', 0 + 1)\n"
    )
    env = kit.environment(tmp_path)
    outcome = kit.run_part(make_part(kit, code, limit_s=2.0), tmp_path, env, left_s=100.0)
    assert outcome.failed
    assert outcome.result == "interrupted at its limit of 2 s"
    assert "failures: 1" in (tmp_path / "part.log").read_text()


def test_a_part_that_ignores_the_interrupt_is_killed(kit, load, tmp_path, monkeypatch):
    monkeypatch.setattr(load("parts"), "GRACE_S", 0.5)
    code = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('deaf')\ntime.sleep(60)"
    outcome = kit.run_part(make_part(kit, code, limit_s=2.0), tmp_path, kit.environment(tmp_path), left_s=100.0)
    assert outcome.result.startswith("killed")
    assert outcome.took_s < 30


@pytest.fixture
def run(kit, tmp_path):
    """Return a function that runs parts in `loose`, with their archives in `out`."""

    def run(planned, *, total_s=100.0):
        folder = tmp_path / "loose"
        folder.mkdir(exist_ok=True)
        keeper = kit.Keeper(folder, tmp_path / "out", kept_trace="best")
        env = kit.environment(tmp_path)
        return kit.run_parts(planned, folder, keeper, env, deadline_s=time.monotonic() + total_s)

    return run


def test_all_parts_together_keep_to_the_total_and_later_ones_are_not_started(kit, load, run, tmp_path, monkeypatch):
    monkeypatch.setattr(load("parts"), "LEAST_S", 1.0)
    planned = [make_part(kit, "import time; time.sleep(60)", name=name) for name in ("first", "second")]
    start_s = time.monotonic()
    first, second = run(planned, total_s=2.0)
    assert time.monotonic() - start_s < 30
    assert first.result.startswith("interrupted")
    assert second.result.startswith("not started")
    assert "not started" in (tmp_path / "out/summary.md").read_text()


LEAVES = """
import pathlib, time
def leave(name, text="{}"):
    path = pathlib.Path(FOLDER) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
"""


def leaving(folder: Path, *names: str, then: str = "") -> str:
    """Code that leaves files in a part's folder."""
    calls = "".join(f"leave({name!r})\n" for name in names)
    return LEAVES.replace("FOLDER", repr(str(folder))) + calls + then


def test_each_part_leaves_its_archive_and_the_output_folder_holds_nothing_else(kit, run, tmp_path, names_in):
    loose = tmp_path / "loose"
    names = ("run.json", "trials/best/profile/trace/a.trace.json.gz", "trials/other/profile/trace/b.trace.json.gz")
    first = make_part(kit, leaving(loose / "first", *names), name="first")
    second = make_part(kit, "raise SystemExit(3)", name="second")
    assert [outcome.failed for outcome in run([first, second])] == [False, True]
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "first-traces.tar.gz",
        "first.tar.gz",
        "second.tar.gz",
        "summary.md",
    ]
    kept = ["first.log", "first/run.json", "first/trials/best/profile/trace/a.trace.json.gz"]
    assert sorted(names_in(out / "first.tar.gz")) == kept
    assert names_in(out / "first-traces.tar.gz") == ["first/trials/other/profile/trace/b.trace.json.gz"]
    assert "| first | a test | exit status 0 |" in (out / "summary.md").read_text()


def test_a_part_is_kept_after_each_of_its_trials_so_that_a_kill_loses_one(kit, tmp_path, names_in):
    """The kit is killed, without a warning, while a part goes on."""
    loose, out = tmp_path / "loose", tmp_path / "out"
    loose.mkdir()
    slow = leaving(loose / "slow", "run.json", "trials/a/0/trial.json", then="time.sleep(60)")
    script = (
        f"import sys, time; sys.path.insert(0, {str(HERE)!r})\n"
        "from pathlib import Path\n"
        "import kit\n"
        f"keeper = kit.Keeper(Path({str(loose)!r}), Path({str(out)!r}), kept_trace='best')\n"
        "part = lambda name, code: kit.Part(name=name, what='', command=(sys.executable, '-c', code), expected_s=1,"
        " limit_s=50)\n"
        f"parts = [part('done', 'print(1)'), part('slow', {slow!r})]\n"
        f"env = kit.environment(Path({str(loose)!r}))\n"
        f"kit.run_parts(parts, Path({str(loose)!r}), keeper, env, deadline_s=time.monotonic() + 90)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    try:
        deadline_s = time.monotonic() + 30
        while not (out / "slow.tar.gz").exists() and time.monotonic() < deadline_s:
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert names_in(out / "done.tar.gz") == ["done.log"]
    assert "slow/trials/a/0/trial.json" in names_in(out / "slow.tar.gz")
    assert "| done |" in (out / "summary.md").read_text()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_an_interrupt_of_the_kit_itself_keeps_the_part_that_runs(kit, run, tmp_path, names_in):
    code = leaving(tmp_path / "loose/slow", "run.json", then="print('begun', flush=True)\ntime.sleep(60)")
    part = make_part(kit, code, name="slow")

    def interrupt():
        while not (tmp_path / "loose/slow/run.json").exists():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run([part, make_part(kit, "", name="never")])
    assert "slow/run.json" in names_in(tmp_path / "out/slow.tar.gz")
    assert "interrupted from outside" in (tmp_path / "out/summary.md").read_text()
    assert not (tmp_path / "out/never.tar.gz").exists()


def test_what_was_left_out_is_in_the_summary(kit, load, run, tmp_path, monkeypatch):
    monkeypatch.setattr(kit, "pack", lambda files, target, root: ["a/large.trace.json.gz"])
    run([make_part(kit, "", name="first")])
    assert "first.tar.gz had to leave out a/large.trace.json.gz." in (tmp_path / "out/summary.md").read_text()


def test_another_call_gets_a_folder_of_its_own(kit, tmp_path):
    assert [kit.new_folder(tmp_path, call).name for call in ("a", "a", "b", "a")] == ["a", "a-2", "b", "a-3"]
