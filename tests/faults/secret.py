"""Faults suite: steps that are given the baseline's batches and train something else on them. A plugin file.

At any time the equivalence check sees it; `late.py` makes forms of them that begin after it has looked.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from harness.registry import register
from harness.strategy import Batch, Effect, Stage, StepOutcome, Strategy, TrainSetup


class Fault(Strategy):
    """What the strategies of this file have in common; not registered itself."""

    effect = Effect.SAME_MATH
    stage = Stage.MODEL


@register
class RepeatsTheLastGradient(Fault):
    """Every second step leaves its batch alone and updates with the gradient of the step before.

    The parameters change in each step, as they should, so counting updates shows nothing.
    """

    name = "repeats_the_last_gradient"
    summary = "Fault: every second step updates with the gradient of the one before"
    stage = Stage.OPTIMIZER

    def apply(self, setup: TrainSetup) -> TrainSetup:
        make_whole_step = setup.make_step

        def make_repeating_step(setup, optimizer, scheduler):
            whole_step = make_whole_step(setup, optimizer, scheduler)
            kept: list[StepOutcome] = []

            def step(batch: Batch) -> StepOutcome:
                if not kept:
                    kept.append(whole_step(batch))
                    return kept[0]
                optimizer.step()
                scheduler.step()
                return kept.pop()

            return step

        return replace(setup, make_step=make_repeating_step)


def with_step_on(setup: TrainSetup, change) -> TrainSetup:
    """Return the setup with a step that trains on `change(batch)`."""
    make_whole_step = setup.make_step

    def make_changed_step(setup, optimizer, scheduler):
        whole_step = make_whole_step(setup, optimizer, scheduler)
        return lambda batch: whole_step(change(batch))

    return replace(setup, make_step=make_changed_step)


def halve(batch: Batch) -> Batch:
    """Return the first half of a padded batch's windows; its own counts stay those of the whole one."""
    kept = max(1, len(batch.window_index) // 2)
    return batch.map(lambda value: value[:kept])


@register
class TrainsOnHalfOfEachBatch(Fault):
    """The step drops the second half of its windows: half of the work, and nobody who looks at batches sees it."""

    name = "trains_on_half_of_each_batch"
    summary = "Fault: the step drops half of its windows"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return with_step_on(setup, halve)


def attend_to_padding(batch: Batch) -> Batch:
    """Return a padded batch whose mask lets through what is padding."""
    return replace(batch, inputs={**batch.inputs, "attention_mask": torch.ones_like(batch.inputs["attention_mask"])})


@register
class IgnoresThePaddingMask(Fault):
    """Attention goes over padding too, which spares the mask."""

    name = "ignores_the_padding_mask"
    summary = "Fault: the step attends to padding"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return with_step_on(setup, attend_to_padding)


@register
class FreezesTheWordEmbedding(Fault):
    """The word embedding is not trained. Counting applied updates looks at matrices other than embeddings."""

    name = "freezes_the_word_embedding"
    summary = "Fault: the word embedding is not trained"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        tables = [module for module in setup.model.modules() if isinstance(module, nn.Embedding)]
        max(tables, key=lambda table: table.num_embeddings).requires_grad_(False)
        return setup


@register
class ComputesInBfloat16(Fault):
    """Claims the baseline's precision and runs its forward pass under bf16 autocast, without saying so."""

    name = "computes_in_bfloat16"
    summary = "Fault: states fp32 and trains in bf16"
    stage = Stage.PRECISION

    def apply(self, setup: TrainSetup) -> TrainSetup:
        make_whole_step = setup.make_step

        def make_rounding_step(setup, optimizer, scheduler):
            return make_whole_step(replace(setup, compute_dtype=torch.bfloat16), optimizer, scheduler)

        return replace(setup, make_step=make_rounding_step)
