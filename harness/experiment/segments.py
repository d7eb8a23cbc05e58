"""The worker's side of the speed evidence: segments of training and of evaluation over the samples it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from harness.config import TrainingConfig
from harness.data.windows import Windows
from harness.experiment.auditor import Ask, Auditor
from harness.experiment.commands import SegmentWork
from harness.experiment.heap import settle_heap
from harness.experiment.inputs import Inputs
from harness.measurement.memory import read_allocator_retries
from harness.records.checks import BlockKind
from harness.records.trial import StepRecord
from harness.strategy import TrainSetup
from harness.training.evaluation import evaluate_in_batches
from harness.training.loop import Trainer, make_trainer, plan_training, prepare_step, train_epoch, warm_up

SCHEDULE_STEPS = 1_000_000
"""Length of the LR schedule that segments run under: so long that they never come to its end. It has no LR warm-up:
over as many steps that would begin at rates so small that bf16 weights lose the update."""


def segment_training(training: TrainingConfig) -> TrainingConfig:
    """Return the recipe that segments train by: the job's without LR warm-up."""
    return replace(training, lr_warmup_ratio=0.0)


class SegmentRunner:
    """Trains and evaluates on the samples of the present block, just as a job does."""

    def __init__(self, setup: TrainSetup, inputs: Inputs, *, baseline_batch_size: int, ask: Ask | None = None) -> None:
        self.setup = setup
        self.baseline_batch_size = baseline_batch_size
        self._inputs = inputs
        self._ask = ask
        self._trainer: Trainer | None = None
        self._windows: Windows | None = None
        self._kind: BlockKind = "training"
        self._one_shape: dict[BlockKind, bool] = {}
        self._run_sizes: dict[BlockKind, set[int]] = {"training": set(), "evaluation": set()}
        self._heap_kept = settle_heap() if setup.device.type == "cpu" else []

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
        self._windows = windows = self._source(kind).select(np.asarray(numbers))
        if kind == "training":
            # One trainer on all blocks' windows: optimizer and compiled code are kept. A step that prepares itself for
            # batch shapes does so here, untimed, and for each of them: how often a segment's batches come again says
            # nothing of a job's.
            plan = plan_training(self.setup, windows, epochs=repetitions)
            if self._trainer is None:
                scheduled = replace(self.setup, training=segment_training(self.setup.training))
                self._trainer = make_trainer(scheduled, windows, total_steps=SCHEDULE_STEPS)
                warm_up(self._trainer, plan, repeated=True)
            else:
                self._trainer = replace(self._trainer, windows=windows)
                prepare_step(self._trainer, plan, repeated=True)
        if rehearse and not (self._has_one_shape(kind) and self._sizes() <= self._run_sizes[kind]):
            self.run(repetitions=1)
        elif self.setup.device.type == "cuda":
            torch.cuda.synchronize(self.setup.device)

    def run(self, repetitions: int, *, audited: bool = False) -> SegmentWork:
        """Go through the samples `repetitions` times, to the end of the last kernel, and return what work that was.

        `audited`: the parent is asked about every step whether it is to be audited. Buffers for that are made now and
        go away again, so that timed segments don't have them.
        """
        if self._windows is None:
            raise RuntimeError("no block has been loaded")
        auditor = None
        if audited and self._trainer is not None and self._ask is not None:
            auditor = Auditor(self._trainer, self._ask)
        steps: list[StepRecord] = []
        for repetition in range(1, repetitions + 1):
            if self._kind == "training" and self._trainer is not None:
                steps += train_epoch(self._trainer, epoch=repetition, first_step=1, audit=auditor).steps
            else:
                self.setup.evaluate(self.setup, self._windows)
        if self.setup.device.type == "cuda":
            torch.cuda.synchronize(self.setup.device)
        self._run_sizes[self._kind] |= self._sizes()
        work = {
            "lost_updates": sum(not step.applied for step in steps),
            "useful_tokens": sum(step.useful_tokens for step in steps),
            "token_id_sum": sum(step.token_id_sum for step in steps),
        }
        retries = read_allocator_retries() if self.setup.device.type == "cuda" else None
        cost = None if auditor is None else auditor.cost()
        return SegmentWork(work=work if steps else {}, allocator_retries=retries, audit_cost=cost)

    def _sizes(self) -> set[int]:
        """Return how many windows the block's batches have: full ones, and what is left over."""
        training, windows = self.setup.training, len(self._windows or ())
        batch_size = training.batch_size if self._kind == "training" else training.eval_batch_size
        return {min(batch_size, windows), windows % batch_size} - {0}

    def _has_one_shape(self, kind: BlockKind) -> bool:
        """Whether batches of as many windows are of the same shape, whichever windows they are: padded to one length.

        What another evaluation than the baseline's makes of the windows is not known.
        """
        if kind not in self._one_shape:
            windows = self._source(kind)
            shapes = [
                {name: value.shape for name, value in self.setup.collate(windows, np.array([number])).inputs.items()}
                for number in (windows.lengths.argmin(), windows.lengths.argmax())
            ]
            is_known = kind == "training" or self.setup.evaluate is evaluate_in_batches
            self._one_shape[kind] = is_known and shapes[0] == shapes[1]
        return self._one_shape[kind]
