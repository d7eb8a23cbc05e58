"""What more evidence would take, by the run's own records, and the command that collects it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from harness.analysis.verdict.pace import Pace, duration_words
from harness.cli.commands import app
from harness.config import RunConfig
from harness.records.serialise import override
from harness.records.trial import RunRecord
from harness.tasks.question_answering.task import TASK

RUN = RunRecord(name="mine", started="", config=override(RunConfig(), {"seeds": 2}), command="speedproof run",
                environment={}, data={}, scoring=TASK.scoring, trials=())  # fmt: skip
PACE = Pace(run=RUN, seed_s=60.0, scoring_s=6.0, timed_s=40.0, everything_s=100.0)


@pytest.mark.parametrize(
    ("command", "extended"),
    [
        ("speedproof run", "speedproof run --name mine --seeds 5"),
        ("speedproof run sdpa --seeds 2 --name old", "speedproof run sdpa --name mine --seeds 5"),
        ("speedproof run --name=old --seeds=2 a+b", "speedproof run a+b --name mine --seeds 5"),
        ("speedproof run --model 'my model'", "speedproof run --model 'my model' --name mine --seeds 5"),
        ("harness.run(RunConfig(preset='quick'))", "harness.run with name=mine, seeds=5"),
    ],
)  # fmt: skip
def test_the_command_is_the_runs_own_with_its_name(command: str, extended: str) -> None:
    assert replace(PACE, run=replace(RUN, command=command)).extend(seeds="5") == extended


def test_another_run_has_no_name() -> None:
    pace = replace(PACE, run=replace(RUN, command="speedproof run --name mine --validation-size 9"))
    assert pace.again(validation_size="500") == "speedproof run --validation-size 500"


def test_another_run_than_one_that_was_extended_is_made_by_its_first_command() -> None:
    commands = {
        "earlier_commands": ("speedproof run sdpa --name mine",),
        "command": "speedproof run --name mine --seeds 3",
    }
    pace = replace(PACE, run=replace(RUN, **commands))
    assert pace.again(seeds="4") == "speedproof run sdpa --seeds 4"
    assert pace.extend(seeds="4") == "speedproof run sdpa --name mine --seeds 4"


def test_the_options_that_are_advised_are_those_of_the_command_line() -> None:
    told = CliRunner().invoke(app, ["run", "--help"], terminal_width=200).output
    for option in ("--name", "--seeds", "--budget", "--validation-size", "--worth"):
        assert option in told


def test_time_is_that_of_the_runs_own_jobs_and_blocks() -> None:
    assert PACE.of_more(seeds=5) == pytest.approx(3 * 60.0)
    assert PACE.of_more(times_budget=3.0) == pytest.approx(2 * 40.0)
    assert PACE.of_new(seeds=2, times_examples=11.0) == pytest.approx(2 * (60.0 + 10 * 6.0) + 100.0)


@pytest.mark.parametrize(
    ("time_s", "told"),
    [(30.0, "about 30 seconds"), (60.0, "about a minute"), (240.0, "about 4 minutes"),
     (7200.0, "about 2 hours")],
)  # fmt: skip
def test_times_are_told_as_a_person_would(time_s: float, told: str) -> None:
    assert duration_words(time_s) == told


def test_a_larger_budget_comes_on_top_of_what_was_spent() -> None:
    spent = replace(PACE, run=replace(RUN, config=override(RunConfig(), {"speed.budget_s": 90.0})))
    assert spent.larger_budget_s(3.0) == 100.0 + 2 * 40.0
    saved = replace(PACE, run=replace(RUN, config=override(RunConfig(), {"speed.budget_s": 150.0})))
    assert saved.larger_budget_s(3.0) == 150.0 + 2 * 40.0
