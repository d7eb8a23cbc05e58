"""Faults suite: bugs of a training step as they happen, each claiming to change nothing but speed. A plugin file.

None of them means to cheat.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import mode

from torch import Tensor

from harness.registry import register
from harness.strategy import Batch, Effect, Stage, StepOutcome, Strategy, TrainSetup

EAGER_STEPS = 8
"""Steps before a graph is captured or a scale has grown: more than the equivalence check makes."""

BUCKET = 8
"""Padded lengths are multiples of so many tokens."""


class Fault(Strategy):
    """What the strategies of this file have in common; not registered itself."""

    effect = Effect.SAME_MATH
    stage = Stage.OPTIMIZER


def replay(setup: TrainSetup, key_of, is_stale) -> TrainSetup:
    """Return a setup that keeps the first batch of each key, and after some steps trains on that one where it is stale.

    `is_stale` is asked with the batch's key, and with the key that was the most frequent in the first steps.
    """
    make_whole_step = setup.make_step

    def make_replaying_step(setup, optimizer, scheduler):
        whole_step = make_whole_step(setup, optimizer, scheduler)
        static: dict[object, Batch] = {}
        seen: list[object] = []

        def step(batch: Batch) -> StepOutcome:
            key = key_of(batch)
            first = static.setdefault(key, batch)
            if len(seen) < EAGER_STEPS:
                seen.append(key)
                return whole_step(batch)
            return whole_step(first if is_stale(key, mode(seen)) else batch)

        return step

    return replace(setup, make_step=make_replaying_step)


@register
class StaleGraphInput(Fault):
    """Steps run eagerly at first; then the "graph" of a batch shape reads its static buffers, which nobody fills again.

    The classic bug of CUDA graphs, on any device: from the ninth step on the first batch of each shape is trained.
    """

    name = "stale_graph_input"
    summary = "Fault: from the ninth step on, the first batch of each shape is trained again and again"
    stage = Stage.GRAPH

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return replay(
            setup,
            key_of=lambda batch: batch.inputs["input_ids"].shape,
            is_stale=lambda key, frequent: True,
        )


def padded_length(batch: Batch) -> int:
    """Return the multiple of `BUCKET` that a padded batch's longest window needs."""
    return BUCKET * -(-int(batch.inputs["attention_mask"].sum(dim=1).max()) // BUCKET)


@register
class RecaptureLosesABucket(Fault):
    """Graphs are captured for each padded length; after a recapture one of them still reads the old batch.

    It is the length that was the most frequent before.
    """

    name = "recapture_loses_a_bucket"
    summary = "Fault: from the ninth step on, batches of one padded length are always the first of that length"
    stage = Stage.GRAPH

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return replay(
            setup,
            key_of=padded_length,
            is_stale=lambda key, frequent: key == frequent,
        )


def at_any_call(_calls: int, _batch: Batch) -> bool:
    """Hold always."""
    return True


def at_first(calls: int, _batch: Batch) -> bool:
    """Hold for the first steps."""
    return calls <= EAGER_STEPS


def with_plain_step(setup: TrainSetup, *, clears=at_any_call, updates=at_any_call) -> TrainSetup:
    """Return the setup with the baseline's step, which asks whether to clear old gradients, and whether to update.

    Both are asked with the step's number and its batch.
    """

    def make_plain_step(setup, optimizer, scheduler):
        trained = [parameter for parameter in setup.model.parameters() if parameter.requires_grad]
        calls = 0

        def step(batch: Batch) -> StepOutcome:
            nonlocal calls
            calls += 1
            if clears(calls, batch):
                optimizer.zero_grad(set_to_none=True)
            with setup.autocast():
                loss = setup.forward_loss(setup.model, batch)
            loss.backward()
            norm = setup.clip_gradients(trained, setup.training.max_grad_norm)
            if updates(calls, batch):
                optimizer.step()
            scheduler.step()
            return StepOutcome(loss=loss.detach(), gradient_norm=norm.detach())

        return step

    return replace(setup, make_step=make_plain_step)


@register
class ScalerSkips(Fault):
    """A gradient scaler's scale has grown until each step overflows, and no update is made from then on."""

    name = "scaler_skips"
    summary = "Fault: from the ninth step on, each update is skipped as if its gradients had overflowed"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return with_plain_step(setup, updates=at_first)


@register
class AccumulationForgetsToZero(Fault):
    """Gradients of one step after the other add up: a condition for an accumulation that never takes place."""

    name = "accumulation_forgets_to_zero"
    summary = "Fault: from the ninth step on, gradients are not cleared"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return with_plain_step(setup, clears=at_first)


@register
class LeftoverOfAnEpoch(Fault):
    """Gradients are cleared before whole batches only: the smaller last one of an epoch gets the one before it too.

    It touches one step of each epoch, or none where batches come out even.
    """

    name = "leftover_of_an_epoch"
    summary = "Fault: the last, smaller batch of an epoch is trained with the gradient of the one before it"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        whole = setup.training.batch_size
        return with_plain_step(setup, clears=lambda calls, batch: calls == 1 or len(batch.window_index) >= whole)


@register
class ScheduleOneStepLate(Fault):
    """Each update is made at the rate of the one before it, as if the schedule were read before it is moved on."""

    name = "schedule_one_step_late"
    summary = "Fault: each update at the learning rate of the one before it"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        make_whole_step = setup.make_step

        def make_late_step(setup, optimizer, scheduler):
            whole_step = make_whole_step(setup, optimizer, scheduler)
            used = [group["lr"] for group in optimizer.param_groups]

            def step(batch: Batch) -> StepOutcome:
                stated = [group["lr"] for group in optimizer.param_groups]
                for group, rate in zip(optimizer.param_groups, used, strict=True):
                    group["lr"] = rate
                used[:] = stated
                return whole_step(batch)

            return step

        return replace(setup, make_step=make_late_step)


@register
class UpdatesTiedWeightsTwice(Fault):
    """The word embedding is in the optimizer's list twice, as a tied weight that is named in two places."""

    name = "updates_tied_weights_twice"
    summary = "Fault: each step updates the word embedding twice"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        make_given = setup.make_optimizer

        def make_optimizer(model, training):
            optimizer = make_given(model, training)
            parameters: list[Tensor] = optimizer.param_groups[0]["params"]
            parameters.append(max(parameters, key=lambda parameter: parameter.shape[0]))
            return optimizer

        return replace(setup, make_optimizer=make_optimizer)
