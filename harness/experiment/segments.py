"""The worker's side of the speed evidence: segments of training and of evaluation over the samples it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from harness.data.windows import Windows
from harness.experiment.inputs import Inputs
from harness.records.checks import BlockKind
from harness.strategy import TrainSetup
from harness.training.evaluation import evaluate_in_batches
from harness.training.loop import Trainer, make_trainer, plan_training, prepare_step, train_epoch, warm_up
from harness.training.recorder import EpochResult

SCHEDULE_STEPS = 1_000_000
"""Length of the LR schedule that segments run under: so long that they never come to its end. It has no LR warm-up:
over as many steps that would begin at rates so small that bf16 weights lose the update."""


def count_work(results: list[EpochResult]) -> dict[str, int]:
    """Sum up what a segment trained, as it is held against the other worker's."""
    steps = [step for result in results for step in result.steps]
    if not steps:
        return {}
    return {
        "lost_updates": sum(not step.applied for step in steps),
        "useful_tokens": sum(step.useful_tokens for step in steps),
        "token_id_sum": sum(step.token_id_sum for step in steps),
    }


def has_one_shape(setup: TrainSetup, windows: Windows, kind: BlockKind) -> bool:
    """Whether batches of as many windows are of the same shape, whichever windows they are: padded to one length.

    What another evaluation than the baseline's makes of the windows is not known.
    """
    if kind == "evaluation" and setup.evaluate is not evaluate_in_batches:
        return False
    shapes = [
        {name: tuple(value.shape) for name, value in setup.collate(windows, np.array([number])).inputs.items()}
        for number in (windows.lengths.argmin(), windows.lengths.argmax())
    ]
    return shapes[0] == shapes[1]


def sizes_of_batches(windows: int, batch_size: int) -> set[int]:
    """Return how many windows the batches of so many windows have: full ones, and what is left over."""
    return {min(batch_size, windows), windows % batch_size} - {0}


class SegmentRunner:
    """Trains and evaluates on the samples of the present block, just as a job does."""

    def __init__(self, setup: TrainSetup, inputs: Inputs, *, baseline_batch_size: int) -> None:
        self.setup = setup
        self.baseline_batch_size = baseline_batch_size
        self._inputs = inputs
        self._trainer: Trainer | None = None
        self._windows: Windows | None = None
        self._kind: BlockKind = "training"
        self._one_shape: dict[BlockKind, bool] = {}
        self._run_sizes: dict[BlockKind, set[int]] = {"training": set(), "evaluation": set()}
        self.last_work: dict[str, int] = {}
        """Of the last training segment: updates that changed nothing, tokens, and the sum of their numbers."""

    def numbers(self, kind: BlockKind) -> list[int]:
        """Return the numbers of all windows that blocks of this kind may take."""
        return list(range(len(self._source(kind))))

    def _source(self, kind: BlockKind) -> Windows:
        return self._inputs.train_windows if kind == "training" else self._inputs.validation_windows

    def load_block(self, kind: BlockKind, numbers: Sequence[int], *, rehearse: bool, repetitions: int = 1) -> None:
        """Take up the samples of the next block; `rehearse` runs them once untimed, if their shapes may be new.

        `repetitions`: how often a segment will go through them, each time in another order.
        """
        self._kind = kind
        self._windows = self._source(kind).select(np.asarray(numbers))
        if kind == "training":
            self._trainer = self._make_trainer(self._windows, repetitions)
        if rehearse and not self._shapes_were_run():
            self.run(repetitions=1)
        elif self.setup.device.type == "cuda":
            torch.cuda.synchronize(self.setup.device)

    def run(self, repetitions: int) -> None:
        """Go through the samples `repetitions` times, to the end of the last kernel, and count the work."""
        if self._windows is None:
            raise RuntimeError("no block has been loaded")
        results = []
        for repetition in range(1, repetitions + 1):
            if self._kind == "training" and self._trainer is not None:
                results.append(train_epoch(self._trainer, epoch=repetition, first_step=1))
            else:
                self.setup.evaluate(self.setup, self._windows)
        if self.setup.device.type == "cuda":
            torch.cuda.synchronize(self.setup.device)
        self.last_work = count_work(results)
        self._run_sizes[self._kind] |= self._sizes()

    def allocator_retries(self) -> int | None:
        """Return how often the device's allocator had to start again so far; None without CUDA."""
        if self.setup.device.type != "cuda":
            return None
        return int(torch.cuda.memory_stats(self.setup.device).get("num_alloc_retries", 0))

    def _sizes(self) -> set[int]:
        training = self.setup.training
        batch_size = training.batch_size if self._kind == "training" else training.eval_batch_size
        return sizes_of_batches(len(self._windows or ()), batch_size)

    def _shapes_were_run(self) -> bool:
        """Whether all batches of the present block are of shapes that this process has run."""
        if self._kind not in self._one_shape:
            self._one_shape[self._kind] = has_one_shape(self.setup, self._source(self._kind), self._kind)
        return self._one_shape[self._kind] and self._sizes() <= self._run_sizes[self._kind]

    def _make_trainer(self, windows: Windows, repetitions: int) -> Trainer:
        """Return the one trainer, on these windows: optimizer and compiled code are kept from block to block.

        A step that prepares itself for batch shapes does so here, untimed, and for each of them: how often a segment's
        batches come again says nothing of a job's.
        """
        plan = plan_training(self.setup, windows, epochs=repetitions)
        if self._trainer is not None:
            trainer = replace(self._trainer, windows=windows)
            prepare_step(trainer, plan, repeated=True)
            return trainer
        training = replace(self.setup.training, lr_warmup_ratio=0.0)
        trainer = make_trainer(replace(self.setup, training=training), windows, total_steps=SCHEDULE_STEPS)
        warm_up(trainer, plan, repeated=True)
        return trainer
