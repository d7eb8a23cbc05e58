"""Strategies that break, for the tests of the runner."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import torch

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup


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
