"""A worker's process, as the parent holds it."""

from __future__ import annotations

import time

import pytest

from harness.experiment.commands import Prepare
from harness.experiment.process import Worker, WorkerError
from harness.presets import preset
from harness.records.spec import TrialSpec


@pytest.fixture
def closed(tmp_path):
    """Return a worker that was ended while it still imported."""
    spec = TrialSpec(
        contender="baseline",
        seed=0,
        config=preset("smoke"),
        directory=str(tmp_path),
        cache_directory=str(tmp_path),
        compile_cache_directory=str(tmp_path),
    )
    with Worker(spec, lambda *_: None) as worker:
        pass
    return worker


def test_a_worker_that_was_closed_leaves_no_file_open(closed):
    deadline_s = time.monotonic() + 10.0
    while not closed._process.stdout.closed and time.monotonic() < deadline_s:
        time.sleep(0.01)
    files = (closed._process.stdin, closed._process.stdout, closed._log)
    assert [file.closed for file in files] == [True, True, True]


def test_a_worker_that_was_closed_can_be_closed_and_asked_and_says_how_it_ended(closed):
    closed.close()
    with pytest.raises(WorkerError, match="SIGKILL"):
        closed.ask(Prepare())
