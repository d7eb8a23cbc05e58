"""The generated questions tell a trainer that works from one that doesn't."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.experiment.inputs import load_inputs, load_tokenised
from harness.experiment.job import validate
from harness.measurement.clocks import PhaseClock
from harness.presets import preset
from harness.records.serialise import override
from harness.strategy import StartUp
from harness.tasks.question_answering.task import TASK
from harness.training.baseline import build_baseline
from harness.training.loop import make_trainer, train_epoch
from harness.training.model import load_model

pytestmark = [pytest.mark.usefixtures("needs_bundled"), pytest.mark.timeout(600)]

CONFIG = override(preset("quick"), {"training.epochs": 2})
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    train, validation = load_inputs(CONFIG)
    return load_tokenised(CONFIG, train, validation, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def setup(inputs):
    model = load_model(CONFIG.model, head=TASK.head(), seed=0, device=CPU)
    return build_baseline(CONFIG, model=model, pad_id=inputs.tokenizer.pad_id, seed=0, device=CPU)


@pytest.fixture
def _all_cores():
    """The only trainings of the tests that are long enough to gain from threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def f1_of(setup, inputs):
    return validate(setup, inputs, CONFIG.data, PhaseClock(), StartUp()).scores["f1"]


def f1_after_training(setup, inputs):
    trainer, done = make_trainer(setup, inputs.train_windows), 0
    torch.manual_seed(0)
    for epoch in range(1, setup.training.epochs + 1):
        done += len(train_epoch(trainer, epoch=epoch, first_step=done + 1).steps)
    return f1_of(setup, inputs)


@pytest.mark.usefixtures("_all_cores")
def test_a_trained_baseline_scores_far_above_the_untrained_one(setup, inputs):
    untrained = f1_of(setup, inputs)
    trained = f1_after_training(setup, inputs)
    assert untrained < 20
    assert trained > untrained + 15


@pytest.mark.usefixtures("_all_cores")
def test_a_trainer_with_shifted_labels_stays_near_the_untrained_one(setup, inputs):
    def forward_loss(model, batch):
        shifted = replace(batch, labels={name: value.roll(1) for name, value in batch.labels.items()})
        return setup.forward_loss(model, shifted)

    untrained = f1_of(setup, inputs)
    assert f1_after_training(replace(setup, forward_loss=forward_loss), inputs) < untrained + 10
