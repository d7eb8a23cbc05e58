"""batch_finder: the largest batch that a training pass fits for, with its learning rate."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness import registry
from optimizations import batch_finder
from optimizations.batch_finder import training_pass_fits


@pytest.mark.parametrize(("limit", "factor"), [(1, 1), (3, 2), (4, 4), (7, 4), (100, 8)])
def test_takes_the_largest_power_of_two_that_fits(limit, factor, make_setup, monkeypatch):
    tried = []

    def fits(_setup, windows_per_update):
        tried.append(windows_per_update // 3)
        return windows_per_update <= 3 * limit

    monkeypatch.setattr(batch_finder, "training_pass_fits", fits)
    found = registry.get("batch_finder")().apply(make_setup(batch_size=3))
    assert found.training.batch_size == 3 * factor
    assert tried == [times for times in (2, 4, 8) if times <= 2 * factor]


def test_tries_windows_of_full_length(make_setup):
    setup = make_setup(batch_size=3)
    assert setup.max_length == 64
    tried = []

    def watched_loss(model, batch):
        tried.append(batch)
        return setup.forward_loss(model, batch)

    assert training_pass_fits(replace(setup, forward_loss=watched_loss), 3)
    assert tried[0].inputs["attention_mask"].sum() == 3 * 64
    assert tried[0].labels.keys() == {"start_positions", "end_positions"}


def test_a_pass_that_fits_leaves_the_model_as_it_was(make_setup):
    setup = make_setup()
    before = {name: value.clone() for name, value in setup.model.state_dict().items()}
    assert training_pass_fits(setup, 2)
    assert all(parameter.grad is None for parameter in setup.model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in setup.model.state_dict().items())


def test_full_memory_is_noticed(make_setup):
    def fill_memory(_model, _batch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert not training_pass_fits(replace(make_setup(), forward_loss=fill_memory), 2)


def test_batch_and_learning_rate_grow_together(make_setup):
    setup = make_setup(batch_size=4, learning_rate=1e-4)

    def small_memory(model, batch):
        if len(batch.window_index) > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return setup.forward_loss(model, batch)

    found = registry.get("batch_finder")().apply(replace(setup, forward_loss=small_memory))
    assert found.training.batch_size == 16
    assert found.training.learning_rate == pytest.approx(2e-4)
    assert found.knobs["batch size found"] == "4 × 4"


def test_refuses_processors_and_says_what_to_use(make_setup):
    assert "use larger_batches" in registry.get("batch_finder")().not_applicable(make_setup())
