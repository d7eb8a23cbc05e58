"""What each step of an epoch did: time, loss, learning rate, work, and whether its update was applied."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from harness.data.batching import Batch
from harness.measurement.clocks import StepClock
from harness.records.trial import StepRecord
from harness.strategy import StepOutcome
from harness.training.applied import UpdateWatch


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One epoch's raw values."""

    steps: list[StepRecord]
    window_order: np.ndarray
    """Window numbers in the order they were trained on."""
    paused_s: float = 0.0
    """Time within the epoch that was the harness's own, for audits; no part of any step's."""
    noting_s: float = 0.0
    """Time of the host within the steps for noting what they did."""

    @property
    def time_s(self) -> float:
        """Training time: the sum over the steps."""
        return sum(step.time_s for step in self.steps)

    @property
    def loss(self) -> float:
        """Mean over the steps, each weighted with its windows."""
        windows = sum(step.windows for step in self.steps)
        return sum(step.loss * step.windows for step in self.steps) / windows


class StepAudit(Protocol):
    """Looks at the training's state around every step, while the clocks stand still."""

    def before(self) -> None:
        """Keep the state: a step begins."""

    def after(self, outcome: StepOutcome) -> None:
        """Find out whether this step, which is over, is to be audited, and see to it."""


class EpochRecorder:
    """Notes the steps of one epoch as they go by; nothing waits for the device until `finish`.

    `probes` are samples of weights: each step looks at the first and at one of the others in turn.
    """

    def __init__(
        self,
        *,
        clock: StepClock,
        scheduler: LRScheduler,
        probes: list[Tensor],
        first_step: int,
        on_step: Callable[[int], None] | None = None,
        audit: StepAudit | None = None,
    ) -> None:
        self._clock = clock
        self._scheduler = scheduler
        self._updates = UpdateWatch(probes)
        self._first_step = first_step
        self._on_step = on_step
        self._audit = audit
        self._noting_s = 0.0
        """The host's time in `begin` and `end`, over all steps, without audits."""
        self._marks: list[tuple[_OpenStep, StepOutcome]] = []
        """What is known of each step until the epoch's end."""
        self._open: _OpenStep | None = None
        self._clock.start()

    @property
    def _number(self) -> int:
        return self._first_step + len(self._marks)

    def begin(self, batch: Batch) -> None:
        """Note what the step starts from.

        Tokens are counted in the tensors, not taken from the batch's word: what is not there can't be trained on.
        """
        if self._audit is not None:
            with self._clock.pause():
                self._audit.before()
        with self._noting():
            self._updates.begin(self._number)
            ids, mask = batch.inputs["input_ids"], batch.inputs.get("attention_mask")
            if mask is None or mask.shape != ids.shape:
                useful_tokens, token_id_sum = torch.tensor(ids.numel()), ids.sum()
            else:
                useful_tokens, token_id_sum = mask.sum(), (ids * mask).sum()
            self._open = _OpenStep(
                learning_rate=float(self._scheduler.get_last_lr()[0]),
                window_index=batch.window_index,
                useful_tokens=useful_tokens,
                token_id_sum=token_id_sum,
                computed_tokens=ids.numel(),
            )

    def end(self, outcome: StepOutcome) -> None:
        """Note what the step did."""
        if self._open is None:
            raise RuntimeError("a step ends that has not begun")
        with self._noting():
            self._updates.end()
            self._clock.mark()
        if self._audit is not None:
            with self._clock.pause():
                self._audit.after(outcome)
        with self._noting():
            number = self._number
            self._marks.append((self._open, outcome))
            self._open = None
            if self._on_step is not None:
                self._on_step(number)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        start_s = time.perf_counter()
        yield
        self._noting_s += time.perf_counter() - start_s

    def finish(self, epoch: int) -> EpochResult:
        """Return the epoch's steps; waits for the device, once for each kind of value and not once a step."""
        times_s, applied = self._clock.read(), self._updates.read()
        columns = (
            [outcome.loss for _, outcome in self._marks],
            [outcome.gradient_norm for _, outcome in self._marks],
            [start.useful_tokens for start, _ in self._marks],
            [start.token_id_sum for start, _ in self._marks],
        )
        losses, norms, useful_tokens, token_id_sums = (
            torch.stack([torch.as_tensor(value).reshape(()) for value in column]).tolist() for column in columns
        )
        steps = [
            StepRecord(
                epoch=epoch,
                step=self._first_step + i,
                time_s=times_s[i],
                loss=losses[i],
                learning_rate=start.learning_rate,
                gradient_norm=norms[i],
                windows=len(start.window_index),
                useful_tokens=useful_tokens[i],
                computed_tokens=start.computed_tokens,
                token_id_sum=token_id_sums[i],
                applied=applied[i],
            )
            for i, (start, _) in enumerate(self._marks)
        ]
        return EpochResult(
            steps=steps,
            window_order=np.concatenate([start.window_index for start, _ in self._marks]),
            paused_s=self._clock.read_paused_s(),
            noting_s=self._noting_s,
        )


class _OpenStep(NamedTuple):
    """What a step starts from; tensors are still on the device, the batch itself is let go."""

    learning_rate: float
    window_index: np.ndarray
    useful_tokens: Tensor
    """Tokens that are not padding, a scalar."""
    token_id_sum: Tensor
    """Of their numbers, a scalar."""
    computed_tokens: int
