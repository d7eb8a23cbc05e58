"""Batches: padding, token types, order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.data.batching import make_padding_collate, plan_shuffled_batches


def test_padding_fills_up_to_the_length_and_is_masked(windows):
    batch = make_padding_collate(length=64, pad_id=7, token_types=False)(windows, np.array([2, 0]))
    for row, number in enumerate((2, 0)):
        count = int(windows.lengths[number])
        start = int(windows.row_starts[number])
        assert batch.inputs["input_ids"][row, :count].tolist() == windows.input_ids[start : start + count].tolist()
        assert set(batch.inputs["input_ids"][row, count:].tolist()) <= {7}
        assert batch.inputs["attention_mask"][row].tolist() == [1] * count + [0] * (64 - count)
    assert batch.useful_tokens == int(windows.lengths[[2, 0]].sum())
    assert batch.computed_tokens == 128
    assert batch.labels["start_positions"].tolist() == windows.labels["start_positions"][[2, 0]].tolist()


@pytest.mark.parametrize(("source", "wanted"), [("bert-base-uncased", True), ("distilbert-base-uncased", False)])
def test_token_types_go_to_models_that_know_them(source, wanted, make_setup, windows):
    setup = make_setup(source)
    assert ("token_type_ids" in setup.collate(windows, np.array([0])).inputs) is wanted


def test_plan_is_a_permutation_cut_into_batches(windows, make_setup):
    plan = plan_shuffled_batches(windows, make_setup(batch_size=7).training, seed=0, epoch=1)
    assert [len(numbers) for numbers in plan] == [7, 7, 7, 3]
    assert sorted(np.concatenate(plan)) == list(range(24))


def test_loader_yields_the_plan_in_order(windows, make_setup):
    setup = make_setup(batch_size=7)
    plan = setup.plan_batches(windows, setup.training, 0, 1)
    batches = list(setup.load_batches(setup, windows, plan))
    assert [batch.window_index.tolist() for batch in batches] == [numbers.tolist() for numbers in plan]


def test_moving_a_batch_keeps_everything_else(windows, make_setup):
    batch = make_setup().collate(windows, np.array([1, 2]))
    moved = batch.to(torch.device("cpu"))
    assert moved.inputs.keys() == batch.inputs.keys()
    assert (moved.useful_tokens, moved.computed_tokens) == (batch.useful_tokens, batch.computed_tokens)
    assert np.array_equal(moved.window_index, batch.window_index)
