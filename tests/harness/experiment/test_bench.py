"""The live baseline may die at any time: that says nothing of the contenders, and ends no run."""

from __future__ import annotations

import os
import signal

import pytest

from harness.analysis.sameness import judge_equivalence
from harness.experiment.speed import Duel
from harness.progress import describe_outcome

pytestmark = pytest.mark.usefixtures("needs_bundled")


@pytest.fixture
def kill_baseline(monkeypatch):
    """Return a function that has the live baseline killed before or after the first so many duels."""
    measure = Duel.measure

    def arrange(*, before=0, after=0):
        duels = []

        def measure_and_kill(duel, on_progress):
            duels.append(1)
            baseline = duel._workers["baseline"]
            if len(duels) <= before:
                os.kill(baseline.pid, signal.SIGKILL)
            record = measure(duel, on_progress)
            if len(duels) <= after:
                os.kill(baseline.pid, signal.SIGKILL)
                baseline._process.wait()
            return record

        monkeypatch.setattr(Duel, "measure", measure_and_kill)
        return duels

    return arrange


def records_of(run, contender):
    return {trial.record.kind: trial.record for trial in run.trials if trial.record.contender == contender}


def test_a_baseline_that_dies_in_a_duel_is_replaced_and_the_contender_timed(execute_on_copy, kill_baseline):
    duels = kill_baseline(before=1)
    run, _ = execute_on_copy(remove=["fused_adamw/speed"])
    record = records_of(run, "fused_adamw")["speed"]
    assert len(duels) == 2
    assert (record.status, record.reason) == ("done", None)
    assert record.speed.blocks


def test_a_baseline_that_dies_again_leaves_a_contender_untimed_but_not_failed(execute_on_copy, kill_baseline):
    kill_baseline(before=2)
    run, _ = execute_on_copy(remove=["fused_adamw/speed"])
    record = records_of(run, "fused_adamw")["speed"]
    assert (record.status, record.speed) == ("done", None)
    assert "the baseline beside it failed 2 times" in record.reason
    assert "SIGKILL" in record.reason
    assert judge_equivalence(record.equivalence).holds
    assert record.footprint is not None
    assert describe_outcome(record) == record.reason


def test_a_baseline_that_is_dead_when_the_next_contender_starts_does_not_end_the_run(execute_on_copy, kill_baseline):
    duels = kill_baseline(after=1)
    run, listener = execute_on_copy(remove=["baseline/speed", "fused_adamw/0", "fused_adamw/speed"])
    assert len(duels) == 2
    assert ("fused_adamw/0", "done", False) in listener.ended
    assert records_of(run, "fused_adamw")["speed"].speed.blocks
