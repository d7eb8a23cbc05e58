"""Every registered strategy on a CUDA device: the update it makes, finite training, evaluation's logits."""

from __future__ import annotations

import math
import runpy
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch

from harness import registry
from harness.data.windows import Windows
from harness.experiment.equivalence import draw_losses
from harness.experiment.trial import apply_strategies
from harness.strategy import Effect, TrainSetup
from harness.training.loop import make_trainer, plan_training, prepare_step, set_process_flags, train_epoch, warm_up
from harness.training.recorder import EpochResult
from optimizations.unpadded import ATTENTIONS

registry.load_all()
STACKS = runpy.run_path(str(Path(__file__).with_name("stacks.py")))["CHECKED"]
NAMES = [*STACKS, *registry.names()]
"""The stacks first: they are what is timed, and what a time limit cuts off is last."""

MODELS = ("distilbert-base-uncased", "bert-base-uncased")

TOLERANCE = {Effect.SAME_MATH: 1e-4, Effect.LOWER_PRECISION: 2e-2}
"""Relative difference of the loss and the gradient norm of one update from the baseline's, dropout off."""


CHECKED = [name for name in NAMES if all(strategy.effect in TOLERANCE for strategy in registry.resolve(name))]


def tolerance_of(name: str) -> float:
    """Return the largest tolerance of a contender's parts."""
    return max(TOLERANCE[strategy.effect] for strategy in registry.resolve(name))


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


def train_prepared(setup: TrainSetup, windows: Windows) -> EpochResult:
    """Train an epoch; a step that replays does so in each of its updates."""
    trainer = make_trainer(setup, windows)
    prepare_step(trainer, plan_training(setup, windows, epochs=1), repeated=True)
    return train_epoch(trainer, epoch=1, first_step=1)


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("source", MODELS)
def test_one_update_is_the_baselines(name, source, make_device_setup, device, windows):
    if device.type == "cpu" and name not in STACKS:
        pytest.skip("tests/strategies has this one on processors")
    tolerance = tolerance_of(name)
    reference, contender = (make_device_setup(source, dropout=False, batch_size=8) for _ in range(2))
    set_process_flags(reference)
    expected = train_prepared(reference, windows).steps[0]
    contender = applied(name, contender)
    given = train_prepared(contender, windows).steps[0]
    assert given.loss == pytest.approx(expected.loss, rel=tolerance)
    if not contender.gradient_scaling:
        assert given.gradient_norm == pytest.approx(expected.gradient_norm, rel=10 * tolerance)


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("source", MODELS)
def test_gradient_and_logits_are_the_baselines(name, source, make_cuda_setup, windows):
    reference, contender = (
        make_cuda_setup(source, dropout=False, attentive=True, epochs=1, batch_size=8) for _ in range(2)
    )
    contender = applied(name, contender)
    tolerance = 2.5 * tolerance_of(name)
    assert gradient_distance(contender, reference, windows) <= tolerance
    assert logit_distance(contender, reference, windows) <= tolerance


def gradient_distance(contender: TrainSetup, reference: TrainSetup, windows: Windows) -> float:
    """Return how far the gradient of a batch is from the reference's, as a share of the reference's length."""
    given, expected = (gradient(setup, windows) for setup in (contender, reference))
    assert given.keys() == expected.keys()
    off = sum(float((given[name] - value).square().sum()) for name, value in expected.items())
    return math.sqrt(off / sum(float(value.square().sum()) for value in expected.values()))


def gradient(setup: TrainSetup, windows: Windows) -> dict[str, torch.Tensor]:
    """Return the gradients of one batch, in fp32; those that would be too small for fp16 are scaled up meanwhile."""
    set_process_flags(setup)
    scale = 1024.0 if setup.gradient_scaling else 1.0
    with setup.autocast():
        loss = setup.forward_loss(setup.model, setup.collate(windows, np.arange(8)).to(setup.device))
    (scale * loss).backward()
    parameters = setup.model.named_parameters()
    found = {name: value.grad.float() / scale for name, value in parameters if value.grad is not None}
    setup.model.zero_grad(set_to_none=True)
    return found


def logit_distance(contender: TrainSetup, reference: TrainSetup, windows: Windows) -> float:
    """Return the largest difference of two logits as a share of the largest logit."""
    rows = [(row, slice(0, int(length))) for row, length in enumerate(windows.lengths)]
    given, expected = (
        np.concatenate([logits[place] for logits in setup.evaluate(setup, windows) for place in rows])
        for setup in (contender, reference)
    )
    return float(np.abs(given - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("source", MODELS)
def test_with_dropout_the_loss_scatters_as_the_baselines(name, source, make_cuda_setup, windows):
    """Packed attention draws a dropout of its own."""
    reference, contender = make_cuda_setup(source, attentive=True), make_cuda_setup(source, attentive=True)
    contender = applied(name, contender)
    expected, given = (draw(setup, windows) for setup in (reference, contender))
    spread = statistics.stdev(expected)
    # Means of so many draws differ by 4 standard errors once in ten thousand times; bf16 adds its own.
    error = 4 * spread * math.sqrt(2 / len(expected)) + tolerance_of(name) * abs(statistics.fmean(expected))
    assert statistics.fmean(given) == pytest.approx(statistics.fmean(expected), abs=error)
    assert 0.4 < statistics.stdev(given) / spread < 2.5


def draw(setup: TrainSetup, windows: Windows) -> list[float]:
    """Return losses of one window with dropout on."""
    set_process_flags(setup)
    setup.model.train()
    return draw_losses(setup, windows)


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


def see_each_other(attend):
    def attention(query, key, value, cu_seqlens, *, longest, **given):
        tokens = cu_seqlens[-1:]
        return attend(query, key, value, torch.cat([tokens * 0, tokens]), longest=int(tokens), **given)

    return attention


def with_another_scale(attend):
    return lambda *given, scaling, **more: attend(*given, scaling=1.5 * scaling, **more)


@pytest.mark.parametrize("fault", [None, see_each_other, with_another_scale])
@pytest.mark.parametrize("source", MODELS)
def test_these_checks_would_see_wrong_packed_attention(fault, source, make_host_setup, windows, monkeypatch):
    """On the processor: what the checks on a GPU are worth."""
    if fault is not None:
        monkeypatch.setitem(ATTENTIONS, "packed_one_by_one", fault(ATTENTIONS["packed_one_by_one"]))
    reference, contender = (make_host_setup(source, dropout=False, attentive=True, batch_size=8) for _ in range(2))
    contender = applied("unpadded", contender)
    loosest = 2.5 * TOLERANCE[Effect.LOWER_PRECISION]
    is_right = fault is None
    assert (gradient_distance(contender, reference, windows) <= loosest) is is_right
    assert (logit_distance(contender, reference, windows) <= loosest) is is_right
