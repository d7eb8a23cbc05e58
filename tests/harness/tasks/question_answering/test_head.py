"""The loss: padding is no answer, and how much of it there is changes nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from harness.presets import preset
from harness.records.serialise import override
from harness.tasks.question_answering import head
from harness.tasks.question_answering.head import row_loss
from harness.tasks.question_answering.task import TASK
from harness.training.baseline import build_baseline
from harness.training.model import load_model

window_loss = partial(head.window_loss, longest=64)


@pytest.fixture
def batch_of(make_setup, windows):
    setup = make_setup(dropout=False)
    return setup.model, lambda count: setup.collate(windows, np.arange(count))


def cut(batch, length):
    return replace(batch, inputs={name: value[:, :length] for name, value in batch.inputs.items()})


def test_loss_over_windows_does_not_depend_on_how_far_a_batch_is_padded(batch_of):
    model, batches = batch_of
    batch = batches(6)
    longest = int(batch.inputs["attention_mask"].sum(dim=1).max())
    assert longest < batch.inputs["input_ids"].shape[1]
    whole, trimmed = window_loss(model, batch), window_loss(model, cut(batch, longest))
    torch.testing.assert_close(trimmed, whole, rtol=1e-6, atol=1e-6)
    assert abs((row_loss(model, cut(batch, longest)) - row_loss(model, batch)).item()) > 1e-3


def test_without_padding_both_losses_are_the_same(batch_of):
    model, batches = batch_of
    batch = batches(1)
    batch = cut(batch, int(batch.inputs["attention_mask"].sum()))
    torch.testing.assert_close(window_loss(model, batch), row_loss(model, batch), rtol=1e-6, atol=1e-6)


def test_a_label_beyond_the_row_counts_for_nothing_as_in_transformers(batch_of):
    model, batches = batch_of
    batch = batches(4)
    batch = cut(batch, int(batch.inputs["attention_mask"].sum(dim=1).min()))  # without padding
    assert (batch.labels["end_positions"] >= batch.inputs["input_ids"].shape[1]).any()
    torch.testing.assert_close(window_loss(model, batch), row_loss(model, batch), rtol=1e-6, atol=1e-6)


def test_loss_over_windows_has_finite_gradients(batch_of):
    model, batches = batch_of
    window_loss(model, batches(6)).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(("choice", "loss"), [("window", head.window_loss), ("row", row_loss)])
def test_configuration_chooses_the_loss(choice, loss):
    config = override(preset("smoke"), {"training.loss_over": choice})
    model = load_model(config.model, head=TASK.head(), seed=0, device=torch.device("cpu"))
    setup = build_baseline(config, model=model, pad_id=0, seed=0, device=torch.device("cpu"))
    assert getattr(setup.forward_loss, "func", setup.forward_loss) is loss
