"""dynamic_padding: no column without a token, the same logits, the same work."""

from __future__ import annotations

import numpy as np

from harness import registry
from harness.training.evaluation import evaluate_in_batches
from harness.training.evaluation_check import logits_error
from harness.training.loop import make_trainer, train_epoch

NUMBERS = np.arange(8)


def dynamic(setup):
    return registry.get("dynamic_padding")().apply(setup)


def test_a_batch_is_as_long_as_its_longest_window(make_setup, windows):
    batch = dynamic(make_setup()).collate(windows, NUMBERS)
    assert batch.inputs["input_ids"].shape[1] == windows.lengths[NUMBERS].max()
    assert batch.inputs["attention_mask"].sum() == windows.lengths[NUMBERS].sum()


def test_logits_are_those_of_full_padding(make_setup, windows):
    expected = evaluate_in_batches(make_setup(), windows)
    given = evaluate_in_batches(dynamic(make_setup()), windows)
    assert given[0].shape[1] < expected[0].shape[1]
    assert logits_error(windows, expected, given) < 1e-5


def test_refuses_a_loss_that_runs_over_the_padding(make_setup):
    assert "loss_over" in registry.get("dynamic_padding")().not_applicable(make_setup(loss_over="row"))


def test_trains_the_same_windows_in_fewer_places(make_setup, windows):
    baseline = train_epoch(make_trainer(make_setup(epochs=1), windows), epoch=1, first_step=1)
    cut = train_epoch(make_trainer(dynamic(make_setup(epochs=1)), windows), epoch=1, first_step=1)
    assert cut.window_order.tolist() == baseline.window_order.tolist()
    for ours, theirs in zip(baseline.steps, cut.steps, strict=True):
        assert (theirs.useful_tokens, theirs.token_id_sum) == (ours.useful_tokens, ours.token_id_sum)
        assert theirs.computed_tokens < ours.computed_tokens
