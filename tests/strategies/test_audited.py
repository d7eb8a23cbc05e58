"""Audited steps of every strategy that claims the reference's: none is called anything else."""

from __future__ import annotations

import pytest
import torch

from harness import registry
from harness.analysis.evidence.audits import judge_audits
from harness.experiment.auditor import Auditor
from harness.experiment.commands import Replay
from harness.experiment.referee import replay_step
from harness.experiment.trial import apply_strategies
from harness.records.checks import AuditsRecord
from harness.records.trial import TrialRecord
from harness.strategy import Effect
from harness.training.loop import make_trainer, set_process_flags, train_epoch, warm_up

registry.load_all()
COMPILED = {"compile", "compile_cached"}
CLAIMS = {Effect.SAME_MATH, Effect.LOWER_PRECISION}
NAMES = [name for name in registry.names() if registry.get(name).effect in CLAIMS and name not in COMPILED]
AUDITED = (1, 3, 5)


@pytest.mark.parametrize("name", NAMES)
def test_its_steps_are_the_references(name, make_setup, windows, tmp_path):
    recipe = {"batch_size": 4, "epochs": 2}
    setup, refusal = apply_strategies(make_setup(**recipe), registry.resolve(name))
    if refusal is not None:
        pytest.skip(refusal)
    set_process_flags(setup)
    reference, path, lowers = make_setup(**recipe), tmp_path / "step", registry.get(name).effect is not Effect.SAME_MATH
    found, done, problem = [], 0, None

    def ask(message):
        nonlocal done, problem
        if message["event"] == "step_over":
            done += 1
            return str(path) if done in AUDITED else None
        problem = problem or message["problem"]
        # In a run the referee is another process.
        with torch.random.fork_rng(devices=[]):
            asked = Replay(
                path=str(path), where="job", seed=0, step=done, block=(), repetitions=1, lowers_precision=lowers
            )
            found.append(replay_step(asked, reference, windows))
        return None

    trainer = make_trainer(setup, windows)
    warm_up(trainer)
    train_epoch(trainer, epoch=1, first_step=1, audit=Auditor(trainer, ask))
    record = AuditsRecord(audits=tuple(found), drawn=AUDITED, problem=problem)
    trial = TrialRecord(contender=name, kind="job", seed=0, status="done", audits=record)
    judged = judge_audits([trial], lowers_precision=lowers)
    assert judged.problems == ()
    assert judged.agree
    assert judged.largest_update.update < 1e-5
