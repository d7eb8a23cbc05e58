"""Every registered strategy on a CUDA device: the update it makes, finite training, evaluation's logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harness import registry
from harness.experiment.trial import apply_strategies
from harness.strategy import Effect, TrainSetup
from harness.training.loop import make_trainer, plan_training, prepare_step, set_process_flags, train_epoch, warm_up
from harness.training.recorder import EpochResult

registry.load_all()
NAMES = registry.names()
MODELS = ("distilbert-base-uncased", "bert-base-uncased")

STACKS = (
    "unpadded+amp_bf16",
    "unpadded+bf16_weights",
    "unpadded+amp_bf16+fused_adamw+foreach_clipping+fast_evaluation",
    "unpadded+amp_bf16+cuda_graphs+device_resident_data+fast_evaluation+fast_startup",
    "unpadded+bf16_weights+cuda_graphs+device_resident_data+fast_evaluation+fast_startup",
)
"""Stacks whose whole is more than its parts: packed attention in half precision has a kernel of its own."""

TOLERANCE = {Effect.SAME_MATH: 1e-4, Effect.LOWER_PRECISION: 2e-2}
"""Relative difference of the loss and the gradient norm of one update from the baseline's, dropout off."""


def applied(name: str, setup: TrainSetup) -> TrainSetup:
    """Apply a contender, or skip with the reason why it does not apply on this device."""
    result, refusal = apply_strategies(setup, registry.resolve(name))
    if refusal is not None:
        pytest.skip(refusal)
    set_process_flags(result)
    return result


@pytest.mark.parametrize("name", [*NAMES, *STACKS])
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


def train_prepared(setup: TrainSetup, windows) -> EpochResult:
    """Train an epoch; a step that replays does so in each of its updates."""
    trainer = make_trainer(setup, windows)
    prepare_step(trainer, plan_training(setup, windows, epochs=1), repeated=True)
    return train_epoch(trainer, epoch=1, first_step=1)


@pytest.mark.parametrize("name", [*(name for name in NAMES if registry.get(name).effect in TOLERANCE), *STACKS])
@pytest.mark.parametrize("source", MODELS)
def test_one_update_is_the_baselines(name, source, make_device_setup, device, windows):
    if device.type == "cpu" and name not in STACKS:
        pytest.skip("tests/strategies has this one on processors")
    tolerance = max(TOLERANCE[strategy.effect] for strategy in registry.resolve(name))
    reference, contender = (make_device_setup(source, dropout=False, batch_size=8) for _ in range(2))
    set_process_flags(reference)
    expected = train_prepared(reference, windows).steps[0]
    contender = applied(name, contender)
    given = train_prepared(contender, windows).steps[0]
    assert given.loss == pytest.approx(expected.loss, rel=tolerance)
    if not contender.gradient_scaling:
        assert given.gradient_norm == pytest.approx(expected.gradient_norm, rel=10 * tolerance)


@pytest.mark.parametrize("name", [*NAMES, *STACKS])
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
