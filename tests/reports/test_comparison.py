"""`speedproof compare`, from the command line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli.commands import app
from harness.errors import ConfigError


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["compare", *(str(argument) for argument in arguments)], terminal_width=160)


def test_a_run_against_itself_passes(make_run: Any) -> None:
    run = make_run()
    result = invoke(run, run, "--max-slowdown", 1.1, "--max-f1-loss", 2.0)
    assert result.exit_code == 0, result.output
    assert "amp_bf16" in result.output


def test_an_undecided_gate_ends_with_status_three(make_run: Any) -> None:
    run = make_run(seeds=1)
    result = invoke(run, run, "--max-slowdown", 1.5)
    assert result.exit_code == 3
    assert "undecided: baseline: 1.000 times the job time, 1.5 allowed" in result.output
    assert "More --seeds" in result.output
    assert invoke(run, run).exit_code == 0, "without limits there is nothing to decide"


def test_an_exceeded_limit_ends_with_status_one(make_run: Any, recorded: Any) -> None:
    a, b = make_run("a"), make_run("b")
    for seed in (0, 1):
        recorded.edit_trial(b, f"baseline/{seed}", lambda data: data.update(job_time_s=2 * data["job_time_s"]))
    result = invoke(a, b, "--max-slowdown", 1.5)
    assert result.exit_code == 1
    assert "exceeded" in result.output
    assert invoke(a, b).exit_code == 0


def test_json_is_strict(make_run: Any) -> None:
    run = make_run(seeds=1)
    data = json.loads(invoke(run, run, "--json").output)
    assert data["contenders"][0]["job"]["change"] == 1.0
    assert data["contenders"][0]["job"]["low"] is None


def test_runs_that_cant_be_compared_are_an_input_error(make_run: Any, recorded: Any) -> None:
    a, b = make_run("a"), make_run("b")
    recorded.edit_trial(b, "baseline/0", lambda data: data["environment"].update(torch_threads=99))
    result = invoke(a, b)
    assert isinstance(result.exception, ConfigError)
    with pytest.raises(ConfigError, match="torch_threads"):
        raise result.exception
