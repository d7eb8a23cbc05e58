"""Faults suite: strategies whose EM and F1 are not those of a model trained as claimed. A plugin file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from harness.registry import register
from harness.strategy import Batch, Effect, Logits, Stage, StepOutcome, Strategy, TrainSetup, Windows

ANSWER_LOGIT = 10.0
"""What `reads_the_answers` gives the right token; 0 the others."""

NOISE = 1.0
"""Standard deviation of the noise of `slow_quality_loss`, in those of each tensor."""


class Fault(Strategy):
    """What the strategies of this file have in common; not registered itself."""

    effect = Effect.SAME_MATH
    stage = Stage.DATA


@register
class EvaluatesOnTrainingSet(Fault):
    """Evaluation runs on training windows, as many as there are validation windows, seen when training began.

    Caught by comparing the scored logits with a plain pass over the validation windows.
    """

    name = "evaluates_on_training_set"
    summary = "Fault: evaluation runs on training windows"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        plan_batches, load_batches, evaluate_given = setup.plan_batches, setup.load_batches, setup.evaluate
        seen: list[Windows] = []

        def plan_and_remember(windows, training, seed, epoch):
            seen.append(windows)
            return plan_batches(windows, training, seed, epoch)

        def load_and_remember(setup, windows, plan):
            seen.append(windows)
            return load_batches(setup, windows, plan)

        def evaluate_seen(setup: TrainSetup, windows: Windows) -> Logits:
            def collate_seen(_windows: Windows, numbers: np.ndarray) -> Batch:
                return setup.collate(seen[0], numbers % len(seen[0]))

            return evaluate_given(replace(setup, collate=collate_seen) if seen else setup, windows)

        return replace(setup, plan_batches=plan_and_remember, load_batches=load_and_remember, evaluate=evaluate_seen)


@register
class ReadsTheAnswers(Fault):
    """Evaluation asks no model: it marks the labels that validation windows carry. Caught as `evaluates_on_…` is."""

    name = "reads_the_answers"
    summary = "Fault: evaluation copies the labels"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        def copy_labels(setup: TrainSetup, windows: Windows) -> Logits:
            starts, ends = np.zeros((2, len(windows), int(windows.lengths.max())), dtype=np.float32)
            rows = np.arange(len(windows))
            starts[rows, windows.labels["start_positions"]] = ANSWER_LOGIT
            ends[rows, windows.labels["end_positions"]] = ANSWER_LOGIT
            return starts, ends

        return replace(setup, evaluate=copy_labels)


@register
class ReturnsCachedPredictions(Fault):
    """Evaluation runs once for each number of windows; later ones return its logits, however the model changed.

    Caught by a plain pass with the last model. It would pass where all evaluations see the same weights: in one epoch.
    """

    name = "returns_cached_predictions"
    summary = "Fault: later evaluations return the first one's logits"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        evaluate = setup.evaluate
        kept: dict[int, Logits] = {}

        def evaluate_once(setup: TrainSetup, windows: Windows) -> Logits:
            if len(windows) not in kept:
                kept[len(windows)] = evaluate(setup, windows)
            starts, ends = kept[len(windows)]
            return starts.copy(), ends.copy()

        return replace(setup, evaluate=evaluate_once)


@register
class TrainsOnValidation(Fault):
    """Once an evaluation has shown the validation windows, batches hold those, under the training windows' numbers.

    Caught by the sum of token numbers; order, windows and stated token counts are the baseline's.
    """

    name = "trains_on_validation"
    summary = "Fault: trains on validation windows after the first evaluation"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        collate_given, evaluate_given = setup.collate, setup.evaluate
        seen: list[Windows] = []

        def collate_seen(windows: Windows, numbers: np.ndarray) -> Batch:
            if not seen:
                return collate_given(windows, numbers)
            batch = collate_given(seen[0], numbers % len(seen[0]))
            return replace(batch, window_index=numbers, useful_tokens=int(windows.lengths[numbers].sum()))

        def evaluate_and_remember(setup: TrainSetup, windows: Windows) -> Logits:
            seen.append(windows)
            return evaluate_given(replace(setup, collate=collate_given), windows)

        return replace(setup, collate=collate_seen, evaluate=evaluate_and_remember)


@register
class MixesUpLabels(Fault):
    """The loader gives each window the answer of the one before it in the batch; tokens and counts are the baseline's.

    Caught by the equivalence check, which trains through the loader.
    """

    name = "mixes_up_labels"
    summary = "Fault: the loader gives each window its neighbour's answer"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        load_honestly = setup.load_batches

        def load_mixed_up(setup, windows, plan):
            return map(pass_labels_on, load_honestly(setup, windows, plan))

        return replace(setup, load_batches=load_mixed_up)


def pass_labels_on(batch: Batch) -> Batch:
    """Return a padded batch with every label one window further, as far as that one's tokens go."""
    last = batch.inputs["attention_mask"].sum(dim=1) - 1
    return replace(
        batch,
        labels={name: torch.minimum(value.roll(1), last) for name, value in batch.labels.items()},
    )


@register
class SlowQualityLoss(Fault):
    """Trains as the baseline does, then adds strong noise to all weights after the last step of the plan.

    Only EM and F1 show it. It is no faster by itself: stack it with one that is, as "fused_adamw+slow_quality_loss".
    """

    name = "slow_quality_loss"
    summary = "Fault: noise on the weights after the last step"
    effect = Effect.LOWER_PRECISION
    stage = Stage.OPTIMIZER

    def apply(self, setup: TrainSetup) -> TrainSetup:
        make_scheduler, make_whole_step = setup.make_scheduler, setup.make_step
        totals = {}

        def make_counted_scheduler(optimizer, training, total_steps):
            scheduler = make_scheduler(optimizer, training, total_steps)
            totals[scheduler] = total_steps
            return scheduler

        def make_damaging_step(setup, optimizer, scheduler):
            whole_step = make_whole_step(setup, optimizer, scheduler)
            calls = 0

            def step(batch: Batch) -> StepOutcome:
                nonlocal calls
                outcome = whole_step(batch)
                calls += 1
                if calls == totals.get(scheduler):
                    add_noise(setup)
                return outcome

            return step

        return replace(setup, make_scheduler=make_counted_scheduler, make_step=make_damaging_step)


def add_noise(setup: TrainSetup) -> None:
    """Disturb every parameter; the process's random state stays as it was."""
    generator = torch.Generator().manual_seed(setup.seed)
    with torch.no_grad():
        for parameter in setup.model.parameters():
            noise = torch.randn(parameter.shape, generator=generator).to(parameter.device, parameter.dtype)
            parameter += NOISE * parameter.std(correction=0) * noise
