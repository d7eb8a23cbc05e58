"""Commands and their answers, on their way between parent and worker."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, is_dataclass

import pytest

from harness.errors import ConfigError
from harness.experiment import commands
from harness.experiment.commands import Command, LoadBlock, Rest, RunSegment, SegmentWork, decode
from harness.experiment.session import Session
from harness.experiment.trial import TrialClock
from harness.presets import preset
from harness.records.spec import TrialSpec

BLOCK = LoadBlock(kind="training", numbers=(3, 1, 2), rehearse=True, repetitions=2)


@pytest.mark.parametrize("command", [BLOCK, Rest(), RunSegment(repetitions=3)])
def test_a_command_arrives_as_it_was_sent(command):
    assert decode(command.encode()) == command
    assert "\n" not in command.encode()


@pytest.mark.parametrize("line", ['["RunSegment", {}]', '["RunSegment", {"repetitions": 1, "often": 2}]'])
def test_a_command_with_other_arguments_is_refused(line):
    with pytest.raises(ConfigError, match=r"repetitions|often"):
        decode(line)


@pytest.mark.parametrize("answer", [SegmentWork(work={"lost_updates": 1}, allocator_retries=None)])
def test_an_answer_arrives_as_it_was_given(answer):
    data = json.loads(json.dumps(asdict(answer)))
    assert RunSegment(repetitions=1).read_answer(data) == answer
    assert Rest().read_answer(None) is None
    for data in ({}, {"work": {}, "allocator_retries": "none"}, None):
        with pytest.raises(ConfigError):
            RunSegment(repetitions=1).read_answer(data)


def test_every_command_has_a_handler_and_an_answer(tmp_path):
    spec = TrialSpec(
        contender="baseline",
        seed=0,
        config=preset("smoke"),
        directory=str(tmp_path),
        cache_directory=str(tmp_path),
        compile_cache_directory=str(tmp_path),
    )
    session = Session(spec, TrialClock(0.0), lambda *_: None)
    assert set(session._handlers) == set(Command.__subclasses__())
    for kind in Command.__subclasses__():
        assert kind.__module__ == commands.__name__
        (answer,) = kind.__orig_bases__[0].__args__
        assert answer is type(None) or is_dataclass(answer)


def test_commands_are_read_without_torch():
    code = "import sys, harness.experiment.commands; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
