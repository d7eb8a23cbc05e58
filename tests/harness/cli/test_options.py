"""Options that the configuration's fields describe."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from harness.cli.commands import app
from harness.cli.options import SETTINGS, with_settings

NAMES = {described.option for _, described in SETTINGS.values() if described.option}


@pytest.fixture
def given():
    """Return a function from arguments to the settings that a command gets from them."""
    small, seen = typer.Typer(), {}

    @small.command()
    @with_settings(without=("speed.",))
    def command(*, settings: dict[str, Any], name: str = "n") -> None:
        seen.update({key: value for key, value in settings.items() if value is not None}, name=name)

    def call(*arguments):
        seen.clear()
        result = CliRunner().invoke(small, arguments)
        return seen if result.exit_code == 0 else result

    return call


def test_settings_come_by_their_dotted_names_and_types(given):
    options = ("--epochs", "3", "--learning-rate", "1e-4", "--train-file", "t.json", "--name", "m")
    assert given(*options) == {
        "training.epochs": 3,
        "training.learning_rate": 1e-4,
        "data.train_file": "t.json",
        "name": "m",
    }


def test_a_switch_can_be_set_either_way_and_stays_open_without(given):
    assert given("--roof")["roof"] is True
    assert given("--no-roof")["roof"] is False
    assert given() == {"name": "n"}


def test_what_may_be_given_several_times_is_a_list(given):
    assert given("--plugin", "a", "--plugin", "b.py")["plugins"] == ["a", "b.py"]


@pytest.mark.parametrize("arguments", [("--device", "tpu"), ("--epochs", "two"), ("--budget", "3")])
def test_what_is_no_choice_no_number_or_left_out_is_status_2(given, arguments):
    assert given(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("command", "absent"), [("run", set()), ("profile", {"--baseline", "--seeds", "--margin", "--speed", "--budget"})]
)
def test_help_shows_each_option_with_what_the_field_says(command, absent, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    words = set(shown.split())
    assert NAMES - words == absent | ({"--profile", "--save-model"} if command == "profile" else set())
    assert "Tokens two windows share." in shown
    assert "<hub|files|generator>" in shown
