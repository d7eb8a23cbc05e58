"""One real run for all tests that only read one, and a way to make others."""

from __future__ import annotations

import functools
import shutil

import pytest

from harness.experiment import runner
from harness.experiment.inputs import Inputs
from harness.experiment.listener import Listener
from harness.presets import preset
from harness.records.serialise import override
from harness.records.spec import TokenizerFacts
from harness.records.store import load_run
from harness.tasks.question_answering.task import TASK


@pytest.fixture
def inputs(windows):
    """The windows as the inputs of a worker."""
    return Inputs(
        validation=[],
        train_windows=windows,
        validation_windows=windows,
        tokenizer=TokenizerFacts(sha256="", pad_id=0),
        head=TASK.head(),
        from_cache=False,
    )


class Recorder(Listener):
    """Remembers how each trial ended."""

    def __init__(self):
        self.ended = []

    def trial_ended(self, trial, record, *, resumed):
        self.ended.append((trial.folder.removeprefix("trials/"), record.status, resumed))


def execute_in(base, name="r", *, repeats=False, **changes):
    """Run a configuration of tiny sizes in `base/runs/<name>`; return the loaded run and what the listener heard.

    The budget is so small that each process gets the least blocks and nobody a further one. Tests share their machine,
    so only with `repeats` are jobs measured again that it ran at another speed.
    """
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    config = override(preset("smoke"), {"save_model": True, "speed.budget_s": 0.001, **dotted})
    listener = Recorder()
    directory = base / "runs" / name
    with pytest.MonkeyPatch.context() as patch:
        if not repeats:
            patch.setattr(runner, "find_unusual_jobs", lambda *_: [])
            patch.setattr(runner, "repeat_unusual_jobs", lambda *_: None)
        runner.execute_run(config, directory, cache_directory=base / "cache", command="c", listener=listener)
    return load_run(directory), listener


@pytest.fixture
def execute_again(tmp_path):
    """`execute_in` where `execute_on_copy` has been."""
    return functools.partial(execute_in, tmp_path)


@pytest.fixture(scope="session")
def smoke_base(tmp_path_factory):
    """A folder with one finished run, `runs/r`; read only."""
    base = tmp_path_factory.mktemp("smoke")
    execute_in(base)
    return base


@pytest.fixture
def smoke_run(smoke_base):
    return load_run(smoke_base / "runs/r")


@pytest.fixture
def execute_on_copy(smoke_base, tmp_path):
    """Return a function like `execute_in` on a copy of the finished run; `remove` names trials to take out first."""

    def execute(*, remove=(), **changes):
        shutil.copytree(smoke_base, tmp_path, dirs_exist_ok=True)
        for trial in remove:
            (tmp_path / "runs/r/trials" / trial / "trial.json").unlink()
        return execute_in(tmp_path, **changes)

    return execute
