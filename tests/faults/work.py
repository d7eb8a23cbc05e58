"""Faults suite: strategies that do less work, or other work, than they claim. A plugin file: `--plugin work.py`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from harness.registry import register
from harness.strategy import Batch, Effect, Stage, StepOutcome, Strategy, TrainSetup

KEPT_SHARE = 3
"""Truncated batches keep one token position in so many: 128 of 384."""


class Fault(Strategy):
    """What the strategies of this file have in common; not registered itself."""

    effect = Effect.SAME_MATH
    stage = Stage.DATA


@register
class SkipsEverySecondUpdate(Fault):
    """Every second step computes its gradients and throws them away; the schedule goes on.

    Caught by the parameters, which don't change in half of the steps. The first update is an honest one.
    """

    name = "skips_every_second_update"
    summary = "Fault: every second step leaves the parameters as they are"
    stage = Stage.OPTIMIZER

    def apply(self, setup: TrainSetup) -> TrainSetup:
        make_whole_step = setup.make_step

        def make_skipping_step(setup, optimizer, scheduler):
            whole_step = make_whole_step(setup, optimizer, scheduler)
            trained = [parameter for parameter in setup.model.parameters() if parameter.requires_grad]
            calls = 0

            def step(batch: Batch) -> StepOutcome:
                nonlocal calls
                calls += 1
                if calls % 2:
                    return whole_step(batch)
                optimizer.zero_grad(set_to_none=True)
                with setup.autocast():
                    loss = setup.forward_loss(setup.model, batch)
                loss.backward()
                norm = nn.utils.clip_grad_norm_(trained, setup.training.max_grad_norm, foreach=False)
                scheduler.step()
                return StepOutcome(loss=loss.detach(), gradient_norm=norm.detach())

            return step

        return replace(setup, make_step=make_skipping_step)


@register
class TrainsOnHalfTheExamples(Fault):
    """Each epoch ends after half of its batches. Caught by the windows, tokens and updates counted."""

    name = "trains_on_half_the_examples"
    summary = "Fault: each epoch ends after half of its batches"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        plan_whole_epoch = setup.plan_batches

        def plan_half_an_epoch(windows, training, seed, epoch):
            plan = plan_whole_epoch(windows, training, seed, epoch)
            return plan[: (len(plan) + 1) // 2]

        return replace(setup, plan_batches=plan_half_an_epoch)


def truncate(batch: Batch) -> Batch:
    """Cut a batch to a third of its length; its own token counts stay those of the whole one."""
    length = batch.inputs["input_ids"].shape[1] // KEPT_SHARE

    def within(positions):
        return torch.where(positions < length, positions, 0)

    return replace(
        batch,
        inputs={name: tensor[:, :length].contiguous() for name, tensor in batch.inputs.items()},
        labels={name: within(value) for name, value in batch.labels.items()},
    )


@register
class Truncates(Fault):
    """Training batches are cut to a third when they are made, and state the counts of whole ones.

    Caught by the tokens counted in the tensors. Evaluation is left whole: shorter logits would be an error at once.
    """

    name = "truncates"
    summary = "Fault: training batches are cut to a third"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        collate_whole, evaluate_whole = setup.collate, setup.evaluate

        def collate_third(windows, numbers):
            return truncate(collate_whole(windows, numbers))

        def evaluate(setup, windows):
            return evaluate_whole(replace(setup, collate=collate_whole), windows)

        return replace(setup, collate=collate_third, evaluate=evaluate)


@register
class TruncatesInSecret(Fault):
    """Batches are whole where they can be counted, and cut inside of the step, before the forward pass.

    Caught by the equivalence check (loss and gradients of one batch), or by the shapes that the operators see.
    """

    name = "truncates_in_secret"
    summary = "Fault: the step cuts its batch to a third"
    stage = Stage.MODEL

    def apply(self, setup: TrainSetup) -> TrainSetup:
        make_whole_step = setup.make_step

        def make_truncating_step(setup, optimizer, scheduler):
            whole_step = make_whole_step(setup, optimizer, scheduler)

            def step(batch: Batch) -> StepOutcome:
                return whole_step(truncate(batch))

            return step

        return replace(setup, make_step=make_truncating_step)


@register
class TruncatesInTheLoop(Fault):
    """The loop tells of whole batches and takes its steps on cut ones; loader, collate and step are honest.

    Caught by the equivalence check, which trains through the loop.
    """

    name = "truncates_in_the_loop"
    summary = "Fault: the loop cuts each batch to a third before its step"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        def run_truncated(setup, step, windows, plan, recorder):
            for batch in setup.load_batches(setup, windows, plan):
                recorder.begin(batch)
                recorder.end(step(truncate(batch.to(setup.device))))

        return replace(setup, run_epoch=run_truncated)


@register
class FreezesAllButTheHead(Fault):
    """Only the last linear layer is trained. Caught by the tensors that no update changes, and by the gradients."""

    name = "freezes_all_but_the_head"
    summary = "Fault: only the answer head is trained"
    stage = Stage.MODEL

    def apply(self, setup: TrainSetup) -> TrainSetup:
        head = [module for module in setup.model.modules() if isinstance(module, nn.Linear)][-1]
        setup.model.requires_grad_(False)
        head.requires_grad_(True)
        return setup


@register
class DropsDropout(Fault):
    """Trains without dropout. Caught by the loss of one window, which no longer scatters."""

    name = "drops_dropout"
    summary = "Fault: no dropout"
    stage = Stage.MODEL

    def apply(self, setup: TrainSetup) -> TrainSetup:
        for module in setup.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return setup


@register
class ZeroLearningRate(Fault):
    """Trains with learning rate 0. Caught by the learning rates, and by parameters that never change."""

    name = "zero_learning_rate"
    summary = "Fault: learning rate 0"
    stage = Stage.OPTIMIZER

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return replace(setup, training=replace(setup.training, learning_rate=0.0))


@register
class ZeroLearningRateInSecret(Fault):
    """The schedule states the baseline's rates, but the optimizer holds 0 whenever it updates.

    Caught by parameters that never change, not by the learning rates.
    """

    name = "zero_learning_rate_in_secret"
    summary = "Fault: learning rate 0, behind an honest schedule"
    stage = Stage.OPTIMIZER

    def apply(self, setup: TrainSetup) -> TrainSetup:
        make_whole_step = setup.make_step

        def make_idle_step(setup, optimizer, scheduler):
            whole_step = make_whole_step(setup, optimizer, scheduler)

            def step(batch: Batch) -> StepOutcome:
                for group in optimizer.param_groups:
                    group["lr"] = 0.0  # the scheduler's own step writes the stated rate again
                return whole_step(batch)

            return step

        return replace(setup, make_step=make_idle_step)


@register
class ChangesDataOrder(Fault):
    """Each epoch runs backwards: same work, other updates. Caught by the hash over the order."""

    name = "changes_data_order"
    summary = "Fault: each epoch's windows in reverse"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        plan_forwards = setup.plan_batches

        def plan_backwards(windows, training, seed, epoch):
            plan = plan_forwards(windows, training, seed, epoch)
            stops = np.cumsum([len(numbers) for numbers in plan])
            return np.split(np.concatenate(plan)[::-1].copy(), stops[:-1])

        return replace(setup, plan_batches=plan_backwards)
