"""The live baseline may die at any time: that says nothing of the contenders, and ends no run."""

from __future__ import annotations

import os
import signal

import pytest

from harness.analysis.evidence.sameness import judge_equivalence
from harness.cli.progress import describe_outcome
from harness.experiment.commands import Rest, TakeFootprint
from harness.experiment.goals import is_checked
from harness.experiment.process import Worker, WorkerError
from harness.experiment.speed import Duel
from harness.presets import preset
from harness.records.checks import SpeedRecord
from harness.records.serialise import override

pytestmark = pytest.mark.usefixtures("needs_bundled")


@pytest.fixture
def killed_in(monkeypatch):
    """Return a function that has the live baseline killed at the start, or after the end, of duels by number.

    Duels ask each worker once and time nothing.
    """

    def arrange(*, starts, ends):
        duels = []

        def kill(worker):
            os.kill(worker.pid, signal.SIGKILL)
            worker._process.wait()

        def measure(duel, _):
            duels.append(1)
            baseline, contender = (duel._workers[who] for who in ("baseline", "contender"))
            if len(duels) in starts:
                kill(baseline)
            for worker in (contender, baseline):
                worker.ask(Rest())
            if len(duels) in ends:
                kill(baseline)
            return SpeedRecord(blocks=(), stopped="at once", settle_s=0.0)

        monkeypatch.setattr(Duel, "measure", measure)
        return duels

    return arrange


def speed_of(run, contender):
    return next(t.record for t in run.trials if (t.record.contender, t.record.kind) == (contender, "speed"))


def test_a_baseline_that_dies_is_replaced_and_the_contender_timed(execute_on_copy, killed_in):
    duels = killed_in(starts=[1], ends=[2])
    run, _ = execute_on_copy(remove=["baseline/speed", "fused_adamw/speed"])
    assert len(duels) == 3, "one that failed, its repeat, and the other contender's"
    for contender in ("baseline", "fused_adamw"):
        record = speed_of(run, contender)
        assert (record.status, record.reason) == ("done", None)
        assert record.speed.stopped == "at once"


def test_a_baseline_that_dies_again_leaves_a_contender_untimed_but_not_failed(execute_on_copy, killed_in):
    killed_in(starts=[1, 2], ends=[])
    run, _ = execute_on_copy(remove=["fused_adamw/speed"])
    record = speed_of(run, "fused_adamw")
    assert (record.status, record.speed) == ("done", None)
    assert "the baseline beside it failed 2 times" in record.reason
    assert "SIGKILL" in record.reason
    assert judge_equivalence(record.equivalence).holds
    assert record.footprint is not None
    assert describe_outcome(record) == record.reason


def test_what_was_timed_stays_on_disk_when_a_check_fails_afterwards(execute_on_copy, killed_in, monkeypatch):
    killed_in(starts=[], ends=[])
    ask = Worker.ask

    def fail(worker, command):
        if isinstance(command, TakeFootprint) and worker.contender == "fused_adamw":
            raise WorkerError("out of memory", worker)
        return ask(worker, command)

    monkeypatch.setattr(Worker, "ask", fail)
    run, _ = execute_on_copy(remove=["fused_adamw/speed"])
    record = speed_of(run, "fused_adamw")
    assert (record.status, record.reason) == ("failed", "out of memory")
    assert record.speed.stopped == "at once"


@pytest.mark.parametrize(
    ("contender", "checked"),
    [
        ("fused_adamw", True),
        ("fused_adamw+sdpa", True),
        ("amp_bf16", True),
        ("unpadded+amp_bf16", True),
        ("amp_fp16", True),
        ("fused_adamw+larger_batches", False),
        ("amp_bf16+larger_batches", False),
        ("amp_bf16+frozen_embeddings", False),
        ("hf_trainer_best", False),
        ("baseline", True),
    ],
)
def test_updates_are_compared_of_the_baseline_and_of_those_who_promise_its_mathematics(contender, checked):
    assert is_checked(override(preset("smoke"), {"baseline": "amp_bf16"}), contender) is checked
