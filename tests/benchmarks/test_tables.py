"""The tables of the benchmark scripts, on a recorded run."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from harness import registry
from harness.analysis.analyse import analyse
from harness.records.archive import unpack_run
from harness.records.store import load_run
from harness.statistics.estimate import Estimate

HERE = Path(__file__).parent
PACKED = HERE.parent / "harness" / "records" / "schema2"


@pytest.fixture(scope="module")
def demo_runs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo_runs", HERE / "demo_runs.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def no_change(own_strategies: None) -> ModuleType:
    registry.load_all((str(HERE / "no_change.py"),))
    return sys.modules["speedproof_plugin_no_change"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("recorded") / "demo-01"
    unpack_run(PACKED, directory)
    return directory


@pytest.fixture(scope="module")
def analysis(recorded):
    return analyse(load_run(recorded))


def interval(low: float, estimate: float, high: float) -> Estimate:
    return Estimate(estimate=estimate, low=low, high=high, kind="interval")


def printed(module: ModuleType, what) -> str:
    console = Console(width=200, record=True)
    module.print_table(what, console)
    return console.export_text()


# What changes nothing


def test_sixteen_contenders_are_registered_and_change_nothing(no_change, make_setup):
    assert len(no_change.NAMES) == 16
    setup = make_setup()
    for name in no_change.NAMES:
        assert registry.get(name)().apply(setup) is setup


def test_run_of_what_changes_nothing_is_quick_with_all_of_them(no_change):
    config = no_change.make_config(16, None)
    assert (config.preset, config.contenders) == ("quick", no_change.NAMES)
    assert not config.profile.enabled
    assert no_change.make_config(3, 45.0).speed.budget_s == 45.0
    assert no_change.make_config(3, 45.0).contenders == no_change.NAMES[:3]


@pytest.mark.parametrize(
    ("estimate", "excluded"),
    [
        (interval(0.98, 1.0, 1.02), False),
        (interval(1.001, 1.01, 1.02), True),
        (interval(0.95, 0.97, 0.999), True),
        (interval(1.0, 1.01, 1.02), False),
        (Estimate(estimate=1.2), False),
        (None, False),
    ],
)
def test_interval_leaves_out_1_where_it_lies_on_one_side(estimate, excluded, no_change):
    assert no_change.leaves_out_1(estimate) is excluded
    assert ("*" in no_change.words(estimate)) is excluded


def test_mean_is_geometric_with_its_standard_error(no_change):
    ratios = [Estimate(estimate=value) for value in (0.8, 1.25, 1.0)]
    error = math.log(1.25) / math.sqrt(3)
    assert no_change.mean_words(ratios) == f"1.0000 ± {error:.4f}"
    assert no_change.mean_words(ratios[:1]) == "0.8000"
    assert no_change.mean_words([]) == "not measured"


def test_table_tells_each_ratio_and_what_they_say_together(no_change, analysis):
    ratios = [interval(0.9, 0.96, 0.99), interval(0.98, 1.0, 1.03), None]
    contenders = [replace(one, step_speedup=ratio) for one, ratio in zip(analysis.contenders[1:4], ratios, strict=True)]
    text = printed(no_change, replace(analysis, contenders=(analysis.contenders[0], *contenders)))
    assert "0.960 (0.900 to 0.990) *" in text
    assert "step intervals that leave out 1: 1 of 2" in text
    assert f"floor: {analysis.noise_floor.share:.2%}" in text
    assert all(one.name in text for one in contenders)
    assert "floor: not measured" in printed(no_change, replace(analysis, noise_floor=None))


# The demo, several times


def test_demo_table_has_every_run_and_counts_verdicts(demo_runs, analysis):
    two = [
        demo_runs.DemoRun(name=f"demo-0{k}", analysis=analysis, wall_clock_s=330.0, was_resumed=k == 2) for k in (1, 2)
    ]
    text = printed(demo_runs, two)
    assert text.count("fused_adamw") >= 4
    assert "demo-01" in text
    assert "5.5 min *" in text
    assert text.count("5.5 min") == 2
    verdict = next(one.verdict for one in analysis.contenders if one.name == "fused_adamw")
    assert f"fused_adamw: {verdict} 2" in text


def test_demo_run_without_a_clock_says_so(demo_runs, recorded):
    run = demo_runs.read_run(recorded)
    assert run.name == "demo-01"
    assert demo_runs.clock_words(run) == "not measured"


def test_runs_that_are_done_are_not_made_again(demo_runs, recorded, tmp_path, monkeypatch, capsys):
    asked = []

    def run(command, check):
        asked.append(command)
        return type("Done", (), {"returncode": 0 if "demo-03" not in command else 1})

    monkeypatch.setattr(demo_runs.subprocess, "run", run)
    shutil.copytree(recorded, tmp_path / "demo-02")
    (tmp_path / "demo-01").mkdir()
    (tmp_path / "demo-01" / demo_runs.WALL_CLOCK_FILE).write_text("{}")
    monkeypatch.setattr(demo_runs, "read_run", lambda directory: None)
    monkeypatch.setattr(demo_runs, "print_table", lambda runs, console: None)
    status = demo_runs.main(["--runs-wanted", "3", "--runs", str(tmp_path), "--", "fused_adamw", "--budget", "5"])
    assert [command[command.index("--name") + 1] for command in asked] == ["demo-02", "demo-03"]
    assert asked[0][-3:] == ["fused_adamw", "--budget", "5"]
    clock = json.loads((tmp_path / "demo-02" / demo_runs.WALL_CLOCK_FILE).read_text())
    assert clock["resumed"] is True
    assert status == 1
    assert "not done: demo-03" in capsys.readouterr().out
