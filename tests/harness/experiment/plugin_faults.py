"""Strategies that break, for the tests of the runner."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import torch

from harness.data.windows import Windows
from harness.registry import register
from harness.strategy import Effect, Logits, Stage, Strategy, TrainSetup
from harness.training.evaluation import evaluate_in_batches

SMOKE_QUALITY_WINDOWS = 14
"""More windows than the preset's validation set has, fewer than its quality set."""


class Fault(Strategy):
    """Base of the faults; not registered itself."""

    summary = "breaks on purpose"
    effect = Effect.SAME_MATH
    stage = Stage.MODEL


@register
class Raises(Fault):
    name = "raises"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        raise ValueError("broken on purpose\nsecond line")


@register
class Crashes(Fault):
    name = "crashes"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        os.abort()


@register
class Hangs(Fault):
    name = "hangs"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        time.sleep(600)
        return setup


@register
class Diverges(Fault):
    name = "diverges"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        def forward_loss(model, batch):
            return setup.forward_loss(model, batch) * torch.nan

        return replace(setup, forward_loss=forward_loss)


@register
class Refuses(Fault):
    name = "refuses"

    def not_applicable(self, setup: TrainSetup) -> str | None:
        return "this test wants it so"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return setup


@register
class CompilesAtOnce(Fault):
    """Builds its code while it is applied, as strategies with C++ kernels do."""

    name = "compiles_at_once"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        folder = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "library").write_text("compiled")
        return setup


@register
class ChoosesACache(Fault):
    """Has the compiler cache where its code is kept between runs."""

    name = "chooses_a_cache"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.environ["SPEEDPROOF_TEST_KEPT_CACHE"]
        return setup


@register
class SetsAVariable(Fault):
    """Starts its process with a variable of its own, and changes nothing else."""

    name = "sets_a_variable"

    def process_environment(self) -> dict[str, str]:
        return {"SPEEDPROOF_TEST_VARIABLE": "on"}

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return setup


class Wraps(Fault):
    """Changes nothing but who calls the step; not registered itself."""

    stage = Stage.OPTIMIZER

    def take(self, whole, number, optimizer, scheduler, batch):
        return whole(batch)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        make_whole_step = setup.make_step

        def make_step(setup, optimizer, scheduler):
            whole, calls = make_whole_step(setup, optimizer, scheduler), 0

            def step(batch):
                nonlocal calls
                calls += 1
                return self.take(whole, calls, optimizer, scheduler, batch)

            return step

        return replace(setup, make_step=make_step)


@register
class Honest(Wraps):
    name = "honest"


@register
class RepeatsGradients(Wraps):
    """Honest up to step 8; from then on every second step uses the gradient of the one before again."""

    name = "repeats_gradients"

    def take(self, whole, number, optimizer, scheduler, batch):
        if number <= 8 or number % 2 == 0:
            self.outcome = whole(batch)
        else:
            optimizer.step()
            scheduler.step()
        return self.outcome


@register
class AnswersByHeart(Fault):
    """Evaluates the validation set with its model, and makes up what it says of any larger one."""

    name = "answers_by_heart"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        def evaluate(setup: TrainSetup, windows: Windows) -> Logits:
            logits = evaluate_in_batches(setup, windows)
            is_small = len(windows) < SMOKE_QUALITY_WINDOWS
            return logits if is_small else tuple(values[::-1].copy() for values in logits)

        return replace(setup, evaluate=evaluate)
