"""One contract over every registered strategy, on tiny real models."""

from __future__ import annotations

import importlib
import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import optimizations
from harness import registry
from harness.errors import StrategyError
from harness.experiment.trial import apply_strategies
from harness.strategy import Effect, Stage, Strategy, TrainSetup, Windows
from harness.training.loop import make_trainer, train_epoch, warm_up

registry.load_all()
NAMES = registry.names()
FILES = sorted(
    path.stem
    for folder in (".", "peers")
    for path in Path(optimizations.__file__).parent.joinpath(folder).glob("*.py")
    if path.stem != "__init__"
)
CARD = ("What it changes:", "Why it is faster:", "When it is not:", "What it does to the numbers:", "Sources:")
MODELS = ("distilbert-base-uncased", "bert-base-uncased")
COMPILED = {"compile", "compile_cached"}
ASK_THE_MACHINE = {"amp_bf16", "bf16_weights"}
"""They ask which instructions it has, and not only what kind of device it is."""


def applied(name: str, setup: TrainSetup) -> TrainSetup:
    """Apply a contender, or skip with the reason why it does not apply here."""
    result, refusal = apply_strategies(setup, registry.resolve(name))
    if refusal is not None:
        pytest.skip(refusal)
    return result


def test_every_file_holds_the_strategy_of_its_name():
    assert NAMES == FILES


@pytest.mark.parametrize("name", NAMES)
def test_card_says_what_why_when_not_effect_and_sources(name):
    card = importlib.import_module(registry.get(name).__module__).__doc__ or ""
    assert [part for part in CARD if part not in card] == []


@pytest.mark.parametrize("name", NAMES)
def test_class_attributes_are_of_the_contract(name):
    strategy = registry.get(name)
    assert isinstance(strategy.effect, Effect)
    assert isinstance(strategy.stage, Stage)
    assert strategy.summary
    assert all(other in NAMES for other in strategy.conflicts)
    assert all(name not in registry.get(other).conflicts for other in strategy.conflicts), "one of two is enough"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ASK_THE_MACHINE])
def test_it_is_advised_on_processors_where_it_works_there(name, make_setup):
    torch.set_num_threads(2)  # split_batch asks for two
    strategy = registry.get(name)
    if strategy.addresses:
        assert (strategy().not_applicable(make_setup()) is None) == ("cpu" in strategy.devices)


@pytest.mark.parametrize("name", [name for name in NAMES if "cuda" not in registry.get(name).devices])
def test_what_is_for_processors_refuses_a_gpu(name, make_setup):
    on_gpu = replace(make_setup(), device=torch.device("cuda"))
    assert registry.get(name)().not_applicable(on_gpu) is not None


def test_it_is_enough_to_declare_the_devices_and_why_not_elsewhere(make_setup):
    class OnGpus(Strategy):
        devices = ("cuda",)
        elsewhere = "it needs tensor cores"

        def apply(self, setup):
            return setup

    assert OnGpus().not_applicable(make_setup()) == "it needs tensor cores; this device is cpu"
    assert OnGpus().not_applicable(replace(make_setup(), device=torch.device("cuda"))) is None


@pytest.mark.parametrize("name", NAMES)
def test_refusal_is_a_reason_in_words_or_none(name, make_setup):
    reason = registry.get(name)().not_applicable(make_setup())
    assert reason is None or len(reason.split()) > 3


@pytest.mark.parametrize("name", [name for name in NAMES if name not in COMPILED])
@pytest.mark.parametrize("source", MODELS)
def test_training_goes_on_with_finite_loss_and_applied_updates(name, source, make_setup, windows):
    setup = applied(name, make_setup(source, epochs=1))
    trainer = make_trainer(setup, windows)
    warm_up(trainer)
    result = train_epoch(trainer, epoch=1, first_step=1)
    assert all(math.isfinite(step.loss) for step in result.steps)
    assert all(step.applied for step in result.steps)
    assert sorted(result.window_order) == list(range(len(windows)))


@pytest.mark.parametrize("name", [n for n in NAMES if registry.get(n).effect is Effect.SAME_MATH and n not in COMPILED])
@pytest.mark.parametrize("source", MODELS)
def test_same_math_makes_the_update_of_the_baseline(name, source, make_setup, assert_same_update):
    contender = applied(name, make_setup(source, dropout=False))
    assert_same_update(make_setup(source, dropout=False), contender)


@pytest.mark.parametrize("name", [n for n in NAMES if registry.get(n).effect is Effect.LOWER_PRECISION])
@pytest.mark.parametrize("source", MODELS)
def test_lower_precision_rounds_but_stays_near_the_baseline(name, source, make_setup, windows):
    reference = first_loss(make_setup(source, dropout=False), windows)
    given = first_loss(applied(name, make_setup(source, dropout=False)), windows)
    # bf16 keeps 8 bits of mantissa: 2^-8 = 0.4 % a rounding; 2 % leaves room for the sums of two layers.
    assert given == pytest.approx(reference, rel=0.02)
    assert given != reference, "nothing was rounded: the strategy did nothing"


def first_loss(setup: TrainSetup, windows: Windows) -> float:
    with torch.no_grad(), setup.autocast():
        return float(setup.forward_loss(setup.model, setup.collate(windows, np.arange(8))))


def compatible_pairs() -> list[str]:
    pairs = itertools.combinations([name for name in NAMES if not registry.get(name).is_peer], 2)
    return [f"{a}+{b}" for a, b in pairs if not registry.exclude_each_other(registry.get(a), registry.get(b))]


@pytest.mark.parametrize("stack", compatible_pairs())
def test_pairs_that_claim_to_be_compatible_train_together(stack, make_setup, windows, monkeypatch):
    # Composition is what this tests; what the compiler makes of it has a test of its own.
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    if "split_batch" in stack:
        torch.set_num_threads(2)  # with one it does not apply; the next test has one again
    setup = applied(stack, make_setup(epochs=1))
    result = train_epoch(make_trainer(setup, windows), epoch=1, first_step=1)
    assert all(math.isfinite(step.loss) and step.applied for step in result.steps)


def test_conflicting_stack_is_refused_by_name():
    with pytest.raises(StrategyError, match="amp_bf16 can't be combined with amp_fp16"):
        registry.resolve("amp_bf16+amp_fp16")


def test_applying_leaves_the_given_setup_as_it_was(make_setup):
    setup = make_setup()
    before = replace(setup)
    for name in NAMES:
        strategy = registry.get(name)()
        if strategy.not_applicable(setup) is None and name not in {"sdpa", *COMPILED}:
            strategy.apply(setup)
    assert setup == before
