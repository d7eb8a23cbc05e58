"""fast_evaluation: the same logits in the windows' order, from batches of similar length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness import registry
from harness.training.evaluation import evaluate_in_batches
from harness.training.evaluation_check import logits_error

MODELS = ("distilbert-base-uncased", "bert-base-uncased")


def evaluated(contender, setup, windows):
    for strategy in registry.resolve(contender):
        setup = strategy.apply(setup)
    return setup.evaluate(setup, windows)


def forward_sizes(model):
    """Return a list to which every forward pass adds how many tokens it computes."""
    sizes = []
    model.get_input_embeddings().register_forward_hook(lambda _module, inputs, _output: sizes.append(inputs[0].numel()))
    return sizes


@pytest.mark.parametrize("stack", ["fast_evaluation", "fast_evaluation+unpadded", "fast_evaluation+dynamic_padding"])
@pytest.mark.parametrize("source", MODELS)
def test_logits_are_the_baselines_in_the_same_order(stack, source, make_setup, windows):
    expected = evaluate_in_batches(make_setup(source), windows)
    given = evaluated(stack, make_setup(source, eval_batch_size=5), windows)
    assert all(logits.dtype == np.float32 and len(logits) == len(windows) for logits in given)
    assert logits_error(windows, expected, given) < 1e-5


def test_best_answers_takes_the_logits(make_setup, windows):
    start_logits, end_logits = evaluated("fast_evaluation", make_setup(eval_batch_size=5), windows)
    assert start_logits.shape == end_logits.shape == (len(windows), windows.lengths.max())


def test_fewer_tokens_are_computed_than_with_padding_in_the_given_order(make_setup, windows):
    counts = {}
    for contender in ("dynamic_padding", "fast_evaluation", "fast_evaluation+unpadded"):
        setup = make_setup(eval_batch_size=4)
        sizes = forward_sizes(setup.model)
        evaluated(contender, setup, windows)
        counts[contender] = sum(sizes)
    assert counts["fast_evaluation"] < counts["dynamic_padding"] < len(windows) * 64
    assert counts["fast_evaluation+unpadded"] == windows.lengths.sum() < counts["fast_evaluation"]


def test_the_longest_windows_come_first(make_setup, windows):
    """What does not fit into memory fails at once and not at the end."""
    setup = make_setup(eval_batch_size=4)
    sizes = forward_sizes(setup.model)
    evaluated("fast_evaluation", setup, windows)
    assert sizes == sorted(sizes, reverse=True)


def test_training_mode_is_restored_and_no_gradient_is_kept(make_setup, windows):
    setup = make_setup()
    evaluated("fast_evaluation", setup, windows)
    assert setup.model.training
    assert all(parameter.grad is None for parameter in setup.model.parameters())
    assert torch.is_grad_enabled()
