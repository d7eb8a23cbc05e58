"""Faults suite: strategies that cost time, shift it by a known amount, or forge it. A plugin file.

The paced ones give a step a known, steady length: `paced` is the baseline of the others. Each replaces `load_batches`
whole, so that waits never add up, even in a stack.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from harness.data.batching import load_in_process
from harness.registry import register
from harness.strategy import Batch, Effect, Stage, StepOutcome, Strategy, TrainSetup

COLLATE_SLEEP_S = 0.040

STEP_VARIABLE = "SPEEDPROOF_FAULT_STEP_S"
"""Environment variable with the seconds of a step of `paced`."""

STEP_S = 0.040
"""A step of `paced` if the caller says nothing; the tiny model's own time is a quarter of it."""

SHIFT = 0.03

CLOCKS = ("perf_counter", "time", "monotonic")


class Fault(Strategy):
    """What the strategies of this file have in common; not registered itself."""

    effect = Effect.SAME_MATH
    stage = Stage.DATA


@register
class SleepsInCollate(Fault):
    """Each batch takes 40 ms more to make, and no operator shows it. Caught by the timed segments."""

    name = "sleeps_in_collate"
    summary = f"Fault: each collate sleeps {COLLATE_SLEEP_S * 1000:g} ms"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        collate = setup.collate

        def collate_late(windows, numbers):
            time.sleep(COLLATE_SLEEP_S)
            return collate(windows, numbers)

        return replace(setup, collate=collate_late)


@register
class SynchronisesEachStep(Fault):
    """Reads the loss after each step, so that the host waits for the device. On a processor nothing is lost."""

    name = "synchronises_each_step"
    summary = "Fault: waits for the device after each step"
    stage = Stage.OPTIMIZER

    def apply(self, setup: TrainSetup) -> TrainSetup:
        make_whole_step = setup.make_step

        def make_waiting_step(setup, optimizer, scheduler):
            whole_step = make_whole_step(setup, optimizer, scheduler)

            def step(batch: Batch) -> StepOutcome:
                outcome = whole_step(batch)
                outcome.loss.item()
                if setup.device.type == "cuda":
                    torch.cuda.synchronize(setup.device)
                return outcome

            return step

        return replace(setup, make_step=make_waiting_step)


@register
class SlowsTheClock(Fault):
    """The clocks of its own process run at half speed. Caught only by clocks that are not in its hands."""

    name = "slows_the_clock"
    summary = "Fault: its process's clocks run at half speed"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        for name in CLOCKS:
            clock = getattr(time, name)
            if not hasattr(clock, "real"):  # applied twice, they would run at a quarter
                setattr(time, name, at_half_speed(clock))
        return setup


def at_half_speed(clock: Callable[[], float]) -> Callable[[], float]:
    """Return a clock that agrees with `clock` now and falls behind from now on."""
    started_s = clock()

    def slow_clock() -> float:
        return started_s + (clock() - started_s) / 2

    slow_clock.real = clock
    return slow_clock


def pause(seconds: float) -> None:
    """Wait for `seconds`, to some microseconds; spinning, as after a sleep a virtual core is slow for a while."""
    deadline_s = time.perf_counter() + seconds
    while time.perf_counter() < deadline_s:
        pass


def beat_s(shift: float = 0.0) -> float:
    """Return the seconds of a step that lasts `shift` longer than one of `paced`."""
    return (1.0 + shift) * float(os.environ.get(STEP_VARIABLE, STEP_S))


class Metronome:
    """Ends each step on a beat, so that it has a known length, however long the model's own part takes."""

    def __init__(self, beat_s: float) -> None:
        self._beat_s = beat_s
        self._next_s = time.perf_counter()

    def wait(self) -> None:
        """Wait for the next beat; a late one is not caught up with."""
        now_s = time.perf_counter()
        self._next_s = max(now_s, self._next_s + self._beat_s)
        pause(self._next_s - now_s)


def load_paced(setup, windows, plan):
    """Yield each batch on the beat."""
    metronome = Metronome(beat_s())
    for batch in load_in_process(setup, windows, plan):
        metronome.wait()
        yield batch


def load_paced_again(setup, windows, plan):
    """Do as `load_paced` does, in other code."""
    metronome = Metronome(beat_s())
    batches = iter(load_in_process(setup, windows, plan))
    while (batch := next(batches, None)) is not None:
        metronome.wait()
        yield batch


def load_3_percent_faster(setup, windows, plan):
    """Yield each batch on a faster beat."""
    metronome = Metronome(beat_s(-SHIFT))
    for batch in load_in_process(setup, windows, plan):
        metronome.wait()
        yield batch


def load_3_percent_slower(setup, windows, plan):
    """Yield each batch on a slower beat."""
    metronome = Metronome(beat_s(SHIFT))
    for batch in load_in_process(setup, windows, plan):
        metronome.wait()
        yield batch


@register
class Paced(Fault):
    """The baseline of the paced strategies: each batch waits for a beat, so that a step has a known, steady length."""

    name = "paced"
    summary = "Each batch waits for a beat"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return replace(setup, load_batches=load_paced)


@register
class PacedAgain(Fault):
    """A/A with `paced`: other code, the same time. Must come out as no gain, neither as inert nor as a difference."""

    name = "paced_again"
    summary = "Each batch waits for a beat, in other code"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return replace(setup, load_batches=load_paced_again)


@register
class Paced3PercentFaster(Fault):
    """Its whole step is 3 % shorter than one of `paced`: no fault, but a small true gain that must be found."""

    name = "paced_3_percent_faster"
    summary = "A faster beat than `paced`: steps 3 % shorter"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return replace(setup, load_batches=load_3_percent_faster)


@register
class Paced3PercentSlower(Fault):
    """Its whole step is 3 % longer than one of `paced`: must be found to be slower."""

    name = "paced_3_percent_slower"
    summary = "A slower beat than `paced`: steps 3 % longer"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return replace(setup, load_batches=load_3_percent_slower)


@register
class SameAgain(Fault):
    """A/A with the plain baseline: the step is only called through. Must come out as no gain or inert."""

    name = "same_again"
    summary = "The baseline's step, called through one function more"
    stage = Stage.OPTIMIZER

    def apply(self, setup: TrainSetup) -> TrainSetup:
        make_whole_step = setup.make_step

        def make_same_step(setup, optimizer, scheduler):
            whole_step = make_whole_step(setup, optimizer, scheduler)

            def step(batch: Batch) -> StepOutcome:
                return whole_step(batch)

            return step

        return replace(setup, make_step=make_same_step)
