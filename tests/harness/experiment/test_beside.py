"""What is measured beside the replays of a lower precision: kept as long as a twin may need it, and no longer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.experiment import beside
from harness.experiment.auditor import Auditor
from harness.experiment.audits import AuditDesk
from harness.experiment.beside import Beside, load_kept, load_twin, save_twin
from harness.experiment.commands import CompareTwin, EndReplays, KeptStep, MakeTwin, Perturbed, Replay
from harness.experiment.process import WorkerError
from harness.experiment.referee import replay_step
from harness.experiment.snapshot import used_gradient
from harness.experiment.twin import TwinGradients
from harness.records.perturbation import PerturbationRecord
from harness.training.loop import make_trainer, train_epoch


@pytest.fixture
def replay_job(make_setup, windows, tmp_path):
    """Return a function that trains an epoch in bf16, replays its steps as they go by, and returns `Beside`."""

    def run(*, same_numbers, steps=3, seed=0, gathered=None, end=True, lowers_precision=True):
        path = tmp_path / "c-step.safetensors"
        gathered = gathered or Beside()
        reference = make_setup(batch_size=4, epochs=2)
        setup = make_setup(batch_size=4, epochs=2, seed=seed)
        if lowers_precision:
            setup = replace(setup, compute_dtype=torch.bfloat16)
        if not same_numbers:
            forward_loss = setup.forward_loss

            def draw_first(model, batch):
                torch.rand(1)
                return forward_loss(model, batch)

            setup = replace(setup, forward_loss=draw_first)
        done = 0

        def ask(message):
            nonlocal done
            if message["event"] == "step_over":
                done += 1
                return str(path) if done <= steps else None
            asked = Replay(
                path=str(path), where="job", seed=seed, step=done, block=(), repetitions=1,
                lowers_precision=lowers_precision, measured=True,
            )  # fmt: skip
            replay_step(asked, reference, windows, gathered)
            return None

        trainer = make_trainer(setup, windows)
        train_epoch(trainer, epoch=1, first_step=1, audit=Auditor(trainer, ask))
        path.unlink()
        return gathered.end() if end else gathered

    return run


def test_rounding_is_measured_at_once_where_dropout_is_the_references(replay_job, tmp_path):
    measured = replay_job(same_numbers=True)
    assert measured.record.steps == (1, 2, 3)
    assert measured.kept == ()
    assert list(tmp_path.iterdir()) == []


def test_steps_are_kept_for_a_twin_where_dropout_differs(replay_job, tmp_path):
    measured = replay_job(same_numbers=False)
    assert [step.step for step in measured.kept] == [1, 2, 3]
    assert len(measured.kept[0].numbers) == 4
    kept = load_kept(measured.kept[1])
    assert set(used_gradient(kept)) == set(kept.before)
    assert not {path.name for path in tmp_path.iterdir()} - {Path(step.path).name for step in measured.kept}


def test_in_full_precision_steps_are_kept_for_a_twin_where_dropout_differs_and_else_nothing_is_measured(replay_job):
    found = replay_job(same_numbers=False, lowers_precision=False)
    assert [step.step for step in found.kept] == [1, 2, 3]
    assert replay_job(same_numbers=True, lowers_precision=False) == Perturbed(record=None, kept=())


def test_what_a_failed_job_left_is_no_part_of_the_next(replay_job, tmp_path):
    failed = replay_job(same_numbers=False, end=False)
    measured = replay_job(same_numbers=False, steps=2, seed=1, gathered=failed)
    assert measured.record.steps == (1, 2)
    assert len(list(tmp_path.iterdir())) == 2


def test_no_more_steps_lie_on_the_disk_than_are_measured(replay_job, tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "MOST_MEASURED", 2)
    assert replay_job(same_numbers=False, steps=4).record.steps == (1, 2)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_twins_gradients_survive_the_way_through_a_file(tmp_path):
    made = {"a": torch.randn(3), "b": torch.randn(2, 2)}
    twin = TwinGradients(
        with_dropout=[made, None], again=None, without=[None, {name: value.clone() for name, value in made.items()}]
    )
    save_twin(twin, tmp_path / "twin")
    back = load_twin(tmp_path / "twin", 2)
    assert [row is None for row in (*back.with_dropout, back.again, *back.without)] == [False, True, True, True, False]
    assert torch.equal(back.without[1]["b"], made["b"])


RECORD = PerturbationRecord(
    tensors=("a",), steps=(1,), reference=(1.0,), scatter=(1.0,), scatter_degrees=2, deviations=((0.5,),),
    products=((0.25,),),
)  # fmt: skip


class FakeReferee:
    def __init__(self, kept):
        self.kept = kept
        self.asked = []

    def ask(self, command):
        self.asked.append(type(command))
        return Perturbed(record=RECORD, kept=(self.kept,)) if isinstance(command, EndReplays) else "compared"


class DyingTwin:
    """A twin whose process ends."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def ask(self, command):
        assert isinstance(command, MakeTwin)
        raise WorkerError("the process ended with signal SIGKILL")


def test_a_twin_that_dies_takes_nothing_with_it(tmp_path):
    file = tmp_path / "c-step-1.safetensors"
    file.write_text("tensors")
    asked = Replay(
        path=str(tmp_path / "c-step.safetensors"), where="job", seed=0, step=0, block=(), repetitions=1,
        lowers_precision=True, measured=True,
    )  # fmt: skip
    referee = FakeReferee(KeptStep(path=str(file), epoch=1, step=1, numbers=(0,)))
    desk = AuditDesk(referee, asked, (1,), DyingTwin)
    desk.audits.append("audit")
    assert desk.record(None).perturbation == RECORD
    assert CompareTwin not in referee.asked
    assert list(tmp_path.iterdir()) == []
