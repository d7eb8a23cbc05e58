"""Faults suite: strategies that do nothing, leave traces in their process, or break. A plugin file."""

from __future__ import annotations

import os
import random
import time
import warnings
from dataclasses import replace

import numpy as np
import torch

from harness.registry import register
from harness.strategy import Batch, Effect, Stage, StepOutcome, Strategy, TrainSetup

LEAKED_ENVIRONMENT = {"SPEEDPROOF_FAULT_LEAKED": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

STEPS_BEFORE_NAN = 3

HANGING_S = 10_000.0


class Fault(Strategy):
    """What the strategies of this file have in common; not registered itself."""

    effect = Effect.SAME_MATH
    stage = Stage.MODEL


@register
class NoChange(Fault):
    """Changes nothing at all. Must come out as inert."""

    name = "no_change"
    summary = "Fault: changes nothing"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return setup


@register
class FallsBackToFp32(Fault):
    """Claims lower precision and computes in the baseline's. Must come out as inert, whatever the clock says."""

    name = "falls_back_to_fp32"
    summary = "Fault: claims lower precision, computes in fp32"
    effect = Effect.LOWER_PRECISION
    stage = Stage.PRECISION

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return replace(setup, compute_dtype=torch.float32)


@register
class LeaksState(Fault):
    """Changes what a whole process shares: threads, denormals, environment, warnings, random numbers.

    Nothing of it may reach another contender; the changed flags must show.
    """

    name = "leaks_state"
    summary = "Fault: sets one thread, flushed denormals and more for its whole process"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        os.environ.update(LEAKED_ENVIRONMENT)
        warnings.simplefilter("ignore")
        random.seed(0)
        np.random.seed(0)  # the global state is the point
        torch.manual_seed(12345)
        return setup


@register
class NanAfterSteps(Fault):
    """After three steps the answer head's weights are not numbers. Must come out as failed, with the reason."""

    name = "nan_after_steps"
    summary = f"Fault: weights are NaN after {STEPS_BEFORE_NAN} steps"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        make_whole_step = setup.make_step

        def make_diverging_step(setup, optimizer, scheduler):
            whole_step = make_whole_step(setup, optimizer, scheduler)
            weights = [parameter for parameter in setup.model.parameters() if parameter.dim() > 1][-1]
            calls = 0

            def step(batch: Batch) -> StepOutcome:
                nonlocal calls
                outcome = whole_step(batch)
                calls += 1
                if calls >= STEPS_BEFORE_NAN:  # each time: weights may be restored between segments
                    weights.detach().mul_(torch.nan)
                return outcome

            return step

        return replace(setup, make_step=make_diverging_step)


@register
class Crashes(Fault):
    """Its process dies by a signal before the first step. Must come out as failed; the others go on."""

    name = "crashes"
    summary = "Fault: its process dies"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        def make_crashing_step(setup, optimizer, scheduler):
            os.abort()

        return replace(setup, make_step=make_crashing_step)


@register
class Hangs(Fault):
    """Its first step never ends. Must come out as failed once the time limit is over."""

    name = "hangs"
    summary = "Fault: its first step never ends"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        make_whole_step = setup.make_step

        def make_hanging_step(setup, optimizer, scheduler):
            whole_step = make_whole_step(setup, optimizer, scheduler)

            def step(batch: Batch) -> StepOutcome:
                time.sleep(HANGING_S)
                return whole_step(batch)

            return step

        return replace(setup, make_step=make_hanging_step)


@register
class Raises(Fault):
    """Can't be applied. Must come out as failed, with the error's first line."""

    name = "raises"
    summary = "Fault: raises an error while it is applied"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        raise ValueError("broken on purpose\nsecond line")
