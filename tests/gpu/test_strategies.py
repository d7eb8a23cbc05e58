"""Every registered strategy on a CUDA device: the update it makes, finite training, evaluation's logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harness import registry
from harness.experiment.trial import apply_strategies
from harness.strategy import Effect, TrainSetup
from harness.training.loop import make_trainer, set_process_flags, train_epoch, warm_up

registry.load_all()
NAMES = registry.names()
MODELS = ("distilbert-base-uncased", "bert-base-uncased")

TOLERANCE = {Effect.SAME_MATH: 1e-4, Effect.LOWER_PRECISION: 2e-2}
"""Relative difference of the loss and the gradient norm of one update from the baseline's, dropout off."""


def applied(name: str, setup: TrainSetup) -> TrainSetup:
    """Apply a contender, or skip with the reason why it does not apply on this device."""
    result, refusal = apply_strategies(setup, registry.resolve(name))
    if refusal is not None:
        pytest.skip(refusal)
    set_process_flags(result)
    return result


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("source", MODELS)
def test_training_is_finite_and_every_update_is_applied(name, source, make_cuda_setup, windows):
    setup = applied(name, make_cuda_setup(source, epochs=1))
    trainer = make_trainer(setup, windows)
    warm_up(trainer)
    result = train_epoch(trainer, epoch=1, first_step=1)
    assert all(math.isfinite(step.loss) for step in result.steps)
    # A gradient scaler begins too high: the first gradients overflow, and it rightly skips their updates.
    if not setup.gradient_scaling:
        assert all(math.isfinite(step.gradient_norm) for step in result.steps)
        assert all(step.applied for step in result.steps)
    assert all(step.time_s > 0 for step in result.steps)


@pytest.mark.parametrize("name", [name for name in NAMES if registry.get(name).effect in TOLERANCE])
@pytest.mark.parametrize("source", MODELS)
def test_one_update_is_the_baselines(name, source, make_cuda_setup, windows):
    tolerance = TOLERANCE[registry.get(name).effect]
    reference, contender = (make_cuda_setup(source, dropout=False, batch_size=8) for _ in range(2))
    set_process_flags(reference)
    expected = train_epoch(make_trainer(reference, windows), epoch=1, first_step=1).steps[0]
    contender = applied(name, contender)
    given = train_epoch(make_trainer(contender, windows), epoch=1, first_step=1).steps[0]
    assert given.loss == pytest.approx(expected.loss, rel=tolerance)
    if not contender.gradient_scaling:
        assert given.gradient_norm == pytest.approx(expected.gradient_norm, rel=10 * tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_gives_a_row_of_finite_logits_for_each_window(name, make_cuda_setup, windows):
    setup = applied(name, make_cuda_setup(epochs=1))
    starts, ends = setup.evaluate(setup, windows)
    assert len(starts) == len(ends) == len(windows)
    for row, length in enumerate(windows.lengths):
        assert np.isfinite(starts[row, :length]).all()
        assert np.isfinite(ends[row, :length]).all()


def test_matrix_products_are_ieee_until_a_strategy_says_otherwise(make_cuda_setup):
    make_cuda_setup()
    assert not torch.backends.cuda.matmul.allow_tf32
