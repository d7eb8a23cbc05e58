"""Faults suite: the cheats of the other files, honest until a trigger. A plugin file, which loads those it takes from.

Each is the baseline, number for number, until its trigger holds: from the ninth step on (`late_…`), at every 50th step
(`rare_…`), at a tenth of the steps (`sometimes_…`), in the second epoch (`second_epoch_…`), once its process has
trained for some seconds (`aged_…`), after more epochs than the job has, so in the timed segments alone (`timed_…`).
`bf16_…` claim a lower precision and cheat at any time, `bf16_late_…` from the ninth step on.

| cheat | its forms here |
| --- | --- |
| skips_every_second_update | all but rare (it alternates by itself): each step is watched, so no chance is involved |
| trains_on_half_the_examples | second epoch: an epoch is planned whole |
| truncates | late: who counts tokens looks at each batch |
| truncates_in_secret, truncates_in_the_loop, mixes_up_labels | all |
| trains_on_half_of_each_batch, ignores_the_padding_mask | all, and both claiming a lower precision |
| computes_in_bfloat16, zero_learning_rate_in_secret | all |
| repeats_the_last_gradient | all but rare: it alternates by itself |
| freezes_all_but_the_head, freezes_the_word_embedding, drops_dropout | late and aged: a model is changed for good |
| zero_learning_rate | none: a rate in the configuration has no later; `life.py` has a schedule that goes wrong |
| changes_data_order | second epoch: an epoch is planned whole |
| evaluates_on_training_set, reads_the_answers | second epoch: the last evaluation is the one that is looked at |
| returns_cached_predictions, trains_on_validation | none: they begin with the second evaluation, the second epoch |
| slow_quality_loss | none: it begins with the last step |
| windows_see_each_other, wrong_attention_scale | late: honest packed rows in bf16 before |
| slows_the_clock | late |
| sleeps_in_collate, synchronises_each_step | none: they cost their own time, early or late |
| paced and its kin, same_again, no_change, falls_back_to_fp32 | none: no cheats |
| leaks_state | none: what leaks is what the process was given, not what it trains |
| nan_after_steps | none: it is late |
| crashes | late: in the middle of an epoch |
| hangs, raises | none: a time limit and an error are the same whenever they come |
"""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from harness import registry
from harness.registry import register
from harness.strategy import Batch, Effect, Logits, StepOutcome, Strategy, TrainSetup, Windows
from optimizations.unpadded import Unpadded

SOURCES = ("work", "quality", "timing", "breaks", "precision", "secret")
registry.load_all(tuple(str(Path(__file__).resolve().parent / f"{name}.py") for name in SOURCES))

HONEST_STEPS = 8
"""More than the equivalence check has updates, whatever it does in between."""

RARELY = 50

SOMETIMES_SHARE = 0.1

JOB_EPOCHS = 2
"""Of a job that `timed_…` is honest in: no more than so many."""

AGE_VARIABLE = "SPEEDPROOF_FAULT_AGE_S"
"""Environment variable with the seconds after which `aged_…` cheats."""

AGE_S = 25.0

_first_step_s: list[float] = []
"""When this process took its first step."""


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """When a cheat cheats."""

    prefix: str
    words: str
    holds: Callable[[int, int], bool]
    """(step, epoch), both counted from 1 since the step function was made. Step 0 asks for the whole epoch."""
    foreseeable: bool = True
    """Whether the numbers alone say when it holds."""


def is_old(step: int, _epoch: int) -> bool:
    """Whether this process took its first step long ago."""
    if step == 0:
        return False
    if not _first_step_s:
        _first_step_s.append(time.monotonic())
    return time.monotonic() - _first_step_s[0] >= float(os.environ.get(AGE_VARIABLE, AGE_S))


def is_drawn(step: int, _epoch: int) -> bool:
    """Whether the step is one of a tenth, the same ones in each process."""
    return step > 0 and bool(np.random.default_rng([RARELY, step]).random() < SOMETIMES_SHARE)


ALWAYS = Trigger(prefix="", words="at any time", holds=lambda step, epoch: True)
LATE = Trigger(prefix="late_", words="from the ninth step on", holds=lambda step, epoch: step > HONEST_STEPS)
RARE = Trigger(
    prefix="rare_", words="at every 50th step", holds=lambda step, epoch: step > 0 and step % RARELY == 0
)  # fmt: skip
SOMETIMES = Trigger(prefix="sometimes_", words="at a tenth of the steps", holds=is_drawn)
SECOND_EPOCH = Trigger(prefix="second_epoch_", words="in the second epoch", holds=lambda step, epoch: epoch == 2)
AGED = Trigger(prefix="aged_", words="once its process has trained for a while", holds=is_old, foreseeable=False)
TIMED = Trigger(prefix="timed_", words="in timed segments alone", holds=lambda step, epoch: epoch > JOB_EPOCHS)


@dataclass
class Progress:
    """How far the present step function has come."""

    step: int = 0
    epoch: int = 0


def when(trigger: Trigger, honest: TrainSetup, make_cheating: Callable[[], TrainSetup]) -> TrainSetup:
    """Return a setup that is `honest`, and that of `make_cheating` for as long as the trigger holds.

    The cheating one is made when it is first needed, as some cheats change the model in place. What `trigger` can't
    foresee holds for whole epochs where batches are loaded, and for single steps in the step.
    """
    cheating = functools.cache(make_cheating)
    progress = Progress()

    def chosen(step: int, epoch: int) -> TrainSetup:
        return cheating() if trigger.holds(step, epoch) else honest

    def plan_batches(windows, training, seed, epoch):
        return chosen(0, epoch).plan_batches(windows, training, seed, epoch)

    def make_step(setup, optimizer, scheduler):
        progress.step = progress.epoch = 0
        honest_step = honest.make_step(setup, optimizer, scheduler)
        make_cheating_step = functools.cache(lambda: cheating().make_step(cheating(), optimizer, scheduler))

        def step(batch: Batch) -> StepOutcome:
            progress.step += 1
            cheats = trigger.holds(progress.step, progress.epoch)
            return (make_cheating_step() if cheats else honest_step)(batch)

        return step

    def run_epoch(setup, step, windows, plan, recorder):
        progress.epoch += 1
        numbered = enumerate(plan, start=progress.step + 1)
        for cheats, part in itertools.groupby(numbered, lambda item: trigger.holds(item[0], progress.epoch)):
            batches = [numbers for _, numbers in part]
            who = cheating() if cheats else honest
            who.run_epoch(who, step, windows, batches, recorder)

    def evaluate(_setup: TrainSetup, windows: Windows) -> Logits:
        who = chosen(progress.step, progress.epoch)
        return who.evaluate(who, windows)

    return replace(honest, plan_batches=plan_batches, make_step=make_step, run_epoch=run_epoch, evaluate=evaluate)


def as_given(setup: TrainSetup) -> TrainSetup:
    """Return the setup."""
    return setup


def in_bfloat16(setup: TrainSetup) -> TrainSetup:
    """Return it under bf16 autocast."""
    return replace(setup, compute_dtype=torch.bfloat16)


def packed_in_bfloat16(setup: TrainSetup) -> TrainSetup:
    """Return it with packed rows under bf16 autocast."""
    return in_bfloat16(Unpadded().apply(setup))


class Form(Strategy):
    """A cheat with a trigger; not registered itself."""

    cheat: ClassVar[str]
    trigger: ClassVar[Trigger]
    before: ClassVar[Callable[[TrainSetup], TrainSetup]]
    """What it is while it is honest."""

    def apply(self, setup: TrainSetup) -> TrainSetup:
        honest = type(self).before(setup)

        def cheat() -> TrainSetup:
            return replace(registry.get(self.cheat)().apply(setup), compute_dtype=honest.compute_dtype)

        return when(self.trigger, honest, cheat)


def add_form(
    cheat: str,
    trigger: Trigger,
    before: Callable[[TrainSetup], TrainSetup] = as_given,
    *,
    prefix: str = "",
) -> None:
    """Register the form of a cheat that begins with a trigger."""
    original = registry.get(cheat)
    name = f"{prefix}{trigger.prefix}{cheat}"
    members = {
        "__module__": __name__,
        "__doc__": f"`{cheat}` {trigger.words}.",
        "name": name,
        "summary": f"{original.summary}, {trigger.words}",
        "effect": original.effect if before is as_given else Effect.LOWER_PRECISION,
        "stage": original.stage,
        "cheat": cheat,
        "trigger": trigger,
        "before": staticmethod(before),
    }
    register(type(name, (Form,), members))


ALTERNATING = ("skips_every_second_update", "repeats_the_last_gradient")
"""Cheats whose every second step is honest."""

IN_THE_STEP = (
    "truncates_in_secret",
    "truncates_in_the_loop",
    "mixes_up_labels",
    "trains_on_half_of_each_batch",
    "ignores_the_padding_mask",
    "computes_in_bfloat16",
    "zero_learning_rate_in_secret",
)
"""Cheats that can begin and end with any step."""

IN_THE_MODEL = ("freezes_all_but_the_head", "freezes_the_word_embedding", "drops_dropout")
"""Cheats that change the model for good."""

ONCE_AN_EPOCH = (
    "trains_on_half_the_examples",
    "changes_data_order",
    "evaluates_on_training_set",
    "reads_the_answers",
)

for _cheat, _trigger in [
    *itertools.product(IN_THE_STEP, (LATE, RARE, SOMETIMES, SECOND_EPOCH, AGED, TIMED)),
    *itertools.product(ALTERNATING, (LATE, SECOND_EPOCH, AGED, TIMED)),
    *itertools.product(IN_THE_MODEL, (LATE, AGED)),
    *itertools.product(ONCE_AN_EPOCH, (SECOND_EPOCH,)),
    *itertools.product(("truncates", "slows_the_clock", "crashes"), (LATE,)),
]:
    add_form(_cheat, _trigger)

for _cheat, _trigger in itertools.product(
    ("trains_on_half_of_each_batch", "ignores_the_padding_mask"), (ALWAYS, LATE)
):  # fmt: skip
    add_form(_cheat, _trigger, in_bfloat16, prefix="bf16_")

for _cheat in ("windows_see_each_other", "wrong_attention_scale"):
    add_form(_cheat, LATE, packed_in_bfloat16)
