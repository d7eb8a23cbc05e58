"""Faults suite: bugs of data, evaluation and model as they happen, each claiming to change nothing but speed.

A plugin file. None of them means to cheat.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from harness.registry import register
from harness.strategy import Batch, Effect, Stage, Strategy, TrainSetup, Windows


class Fault(Strategy):
    """What the strategies of this file have in common; not registered itself."""

    effect = Effect.SAME_MATH
    stage = Stage.DATA


@register
class IteratorStartsOver(Fault):
    """Batches are kept when they are first made, by their place: later epochs train the first one's again.

    They bear the plan's numbers, and over a whole epoch all counts are right.
    """

    name = "iterator_starts_over"
    summary = "Fault: each epoch trains the first one's batches, whatever was planned"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        run_given, load = setup.run_epoch, setup.load_batches
        of: list[Windows] = []
        kept: list[Batch] = []

        def load_kept(setup, windows, plan):
            for numbers, batch in zip(plan, kept, strict=True):
                yield replace(batch, window_index=numbers)

        def load_and_keep(setup, windows, plan):
            for batch in load(setup, windows, plan):
                kept.append(batch)
                yield batch

        def run_epoch(setup, step, windows, plan, recorder):
            if of and of[0] is windows and [len(batch.window_index) for batch in kept] == [*map(len, plan)]:
                loader = load_kept
            else:
                of[:], kept[:], loader = [windows], [], load_and_keep
            run_given(replace(setup, load_batches=loader), step, windows, plan, recorder)

        return replace(setup, run_epoch=run_epoch)


@register
class IteratorRunsDry(Fault):
    """The iterator over the data is made once and is at its end in the second epoch, which has no steps."""

    name = "iterator_runs_dry"
    summary = "Fault: from the second epoch on there are no batches"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        run_given = setup.run_epoch
        seen: list[Windows] = []

        def run_epoch(setup, step, windows, plan, recorder):
            is_dry = bool(seen) and seen[0] is windows
            seen[:] = [windows]
            run_given(setup, step, windows, [] if is_dry else plan, recorder)

        return replace(setup, run_epoch=run_epoch)


@register
class EvaluatesInTrainingMode(Fault):
    """Nobody calls `model.eval()`: answers are given with dropout on."""

    name = "evaluates_in_training_mode"
    summary = "Fault: evaluation with dropout on"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        evaluate_given = setup.evaluate

        def evaluate(setup, windows):
            model = setup.model
            model.eval = model.train
            try:
                return evaluate_given(setup, windows)
            finally:
                del model.eval

        return replace(setup, evaluate=evaluate)


@register
class LeavesAttentionDropoutOut(Fault):
    """Attention's own dropout is 0, as with a fused kernel that was not told of it; all other dropout is there."""

    name = "leaves_attention_dropout_out"
    summary = "Fault: no dropout on attention's weights"
    stage = Stage.MODEL

    def apply(self, setup: TrainSetup) -> TrainSetup:
        for name, module in setup.model.named_modules():
            if isinstance(module, nn.Dropout) and name.endswith(("attention.dropout", "attention.self.dropout")):
                module.p = 0.0
        return setup


def later_windows(windows: Windows) -> np.ndarray:
    """Return which windows are not the first of their example, bool (W,)."""
    return np.concatenate([[False], windows.example_index[1:] == windows.example_index[:-1]])


@register
class ShiftsLabelsOfLaterWindows(Fault):
    """In windows that begin inside of a passage, answers lie the question's length too far right.

    How many steps it touches depends on the data: those with such a window that holds its answer.
    """

    name = "shifts_labels_of_later_windows"
    summary = "Fault: answers in later windows of a passage are shifted by the question's length"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        collate_given = setup.collate

        def collate(windows: Windows, numbers: np.ndarray) -> Batch:
            later, batch = later_windows(windows), collate_given(windows, numbers)
            shifts = [
                int((windows.token_type_ids[windows.row(number)] == 0).sum()) if later[number] else 0
                for number in map(int, numbers)
            ]
            last = torch.from_numpy(windows.lengths[numbers]) - 1
            moved = {
                name: torch.where(value > 0, torch.minimum(value + torch.tensor(shifts), last), value)
                for name, value in batch.labels.items()
            }
            return replace(batch, labels=moved)

        return replace(setup, collate=collate)
