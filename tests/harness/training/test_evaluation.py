"""Evaluation's forward passes."""

from __future__ import annotations

import numpy as np
import torch

from harness.training.evaluation import evaluate_in_batches


def test_logits_do_not_depend_on_the_batch_size(make_setup, windows):
    setup = make_setup(eval_batch_size=24)
    one = evaluate_in_batches(setup, windows)
    many = evaluate_in_batches(make_setup(eval_batch_size=5), windows)
    for whole, parts in zip(one, many, strict=True):
        np.testing.assert_allclose(whole, parts, atol=1e-5)
        assert whole.shape == (24, 64)


def test_dropout_is_off_and_training_mode_comes_back(make_setup, windows):
    setup = make_setup()
    first, second = (evaluate_in_batches(setup, windows)[0] for _ in range(2))
    assert np.array_equal(first, second)
    assert setup.model.training


def test_logits_are_those_of_the_model_on_one_window(make_setup, windows):
    setup = make_setup()
    starts, ends = evaluate_in_batches(setup, windows)
    row = torch.from_numpy(windows.input_ids[windows.row_starts[3] : windows.row_starts[4]].astype(np.int64))[None]
    with torch.no_grad():
        expected = setup.model.eval()(input_ids=row)
    length = row.shape[1]
    np.testing.assert_allclose(starts[3, :length], expected.start_logits[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(ends[3, :length], expected.end_logits[0].numpy(), atol=1e-5)
