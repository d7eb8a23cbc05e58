"""The training loop, from the first step to the last, with what each step did."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.profiler import record_function

from harness.data.batching import Batch
from harness.data.features import Windows
from harness.measurement.clocks import StepClock, make_step_clock
from harness.records import StepRecord, WorkRecord
from harness.strategy import StepFunction, StepOutcome, TrainSetup
from harness.training.changes import ChangeReport, report_changes, sample_parameters, spread_elements
from harness.training.step import autocast


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """What the loop holds between steps: made once per trial by `make_trainer`."""

    setup: TrainSetup
    windows: Windows
    optimizer: Optimizer
    scheduler: LRScheduler
    step: StepFunction
    clock: StepClock
    probes: list[Tensor]
    """Samples of weights whose change shows that an update was applied, those nearest the loss first: each step looks
    at the first and at one of the others in turn."""
    initial_sample: dict[str, Tensor]
    """A sample of every parameter before the first step."""
    total_steps: int


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One epoch's raw values."""

    steps: list[StepRecord]
    window_order: np.ndarray
    """Window numbers in the order they were trained on."""

    @property
    def time_s(self) -> float:
        """Training time: the sum over the steps."""
        return sum(step.time_s for step in self.steps)

    @property
    def loss(self) -> float:
        """Mean over the steps, each weighted with its windows."""
        windows = sum(step.windows for step in self.steps)
        return sum(step.loss * step.windows for step in self.steps) / windows


def set_process_flags(setup: TrainSetup) -> None:
    """Set what PyTorch keeps per process. Only a worker calls this: it ends with its trial."""
    tf32 = setup.fp32_matmul == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32


def make_trainer(setup: TrainSetup, windows: Windows, *, total_steps: int | None = None) -> Trainer:
    """Return the state that one training needs: optimizer, schedule, step function, clock.

    `total_steps` is the length of the schedule; by default that of the whole training.
    """
    optimizer = setup.make_optimizer(setup.model, setup.training)
    total_steps = count_steps(setup, windows) if total_steps is None else total_steps
    scheduler = setup.make_scheduler(optimizer, setup.training, total_steps)
    return Trainer(
        setup=setup,
        windows=windows,
        optimizer=optimizer,
        scheduler=scheduler,
        step=setup.make_step(setup, optimizer, scheduler),
        clock=make_step_clock(setup.device),
        probes=probe_weights(setup.model),
        initial_sample=sample_parameters(setup.model),
        total_steps=total_steps,
    )


def count_steps(setup: TrainSetup, windows: Windows) -> int:
    """Return how many steps the whole training has."""
    training = setup.training
    steps = sum(len(plan_epoch(setup, windows, epoch)) for epoch in range(1, training.epochs + 1))
    return steps if training.max_steps is None else min(steps, training.max_steps)


def plan_epoch(setup: TrainSetup, windows: Windows, epoch: int) -> list[np.ndarray]:
    """Return the window numbers of each batch of an epoch (counted from 1)."""
    return setup.plan_batches(windows, setup.training, setup.seed, epoch)


def probe_weights(model: nn.Module) -> list[Tensor]:
    """Return views on the trainable matrices, the answer head first, large ones at evenly spread elements.

    Embeddings are left out: most of their rows are not in a batch, and rightly don't change.
    """
    looked_up = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    matrices = [p for p in model.parameters() if p.requires_grad and p.dim() > 1 and id(p) not in looked_up]
    return [spread_elements(matrix.detach()) for matrix in reversed(matrices)]


def warm_up(trainer: Trainer) -> int:
    """Run forward and backward once for each batch shape of the first epoch, without an update; return how many.

    Compilers, library handles and allocators do their one-time work here. Random state and parameters are as before.
    """
    setup = trainer.setup
    plan = plan_epoch(setup, trainer.windows, epoch=1)
    sizes = {len(numbers): [numbers] for numbers in reversed(plan)}
    devices = [setup.device] if setup.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        for wanted in sizes.values():
            for batch in setup.load_batches(setup, trainer.windows, wanted):
                with autocast(setup):
                    loss = setup.forward_loss(setup.model, batch.to(setup.device))
                loss.backward()  # type: ignore[no-untyped-call]
    trainer.optimizer.zero_grad(set_to_none=True)
    if devices:
        torch.cuda.synchronize(setup.device)
    return len(sizes)


def train_epoch(
    trainer: Trainer, *, epoch: int, first_step: int, on_step: Callable[[int], None] | None = None
) -> EpochResult:
    """Train one epoch (or what `max_steps` leaves of it) and return its steps; `on_step` is told each step's number.

    On CUDA nothing waits for the device until the epoch's end.
    """
    plan = plan_epoch(trainer.setup, trainer.windows, epoch)[: trainer.total_steps - first_step + 1]
    marks: list[_StepMark] = []
    trainer.clock.start()
    for number, (batch, useful_tokens, token_id_sum) in enumerate(_on_device(trainer, plan), start=first_step):
        learning_rate = float(trainer.scheduler.get_last_lr()[0])
        probes = probes_of_step(trainer, number)
        before = [probe.clone() for probe in probes]
        outcome = trainer.step(batch)
        changed = torch.stack([has_changed(probe, old) for probe, old in zip(probes, before, strict=True)]).all()
        trainer.clock.mark()
        marks.append(
            _StepMark(
                outcome,
                learning_rate,
                changed,
                batch.window_index,
                useful_tokens,
                token_id_sum,
                batch.inputs["input_ids"].numel(),
            )
        )
        if on_step is not None:
            on_step(number)
    times_s = trainer.clock.read()
    return EpochResult(
        steps=[
            _step_record(mark, epoch=epoch, step=first_step + i, time_s=time_s)
            for i, (mark, time_s) in enumerate(zip(marks, times_s, strict=True))
        ],
        window_order=np.concatenate([mark.window_index for mark in marks]),
    )


def probes_of_step(trainer: Trainer, number: int) -> list[Tensor]:
    """Return what step `number` looks at: the head, and one of the other matrices in turn."""
    first, *others = trainer.probes
    return [first, others[number % len(others)]] if others else [first]


def has_changed(probe: Tensor, before: Tensor) -> Tensor:
    """Return whether any element took another value, a scalar on the device; NaN is no value."""
    return ((probe != before) & (probe == probe)).any()


class _StepMark(NamedTuple):
    """A step's values until the epoch's end; tensors are still on the device, the batch itself is let go."""

    outcome: StepOutcome
    learning_rate: float
    changed: Tensor
    window_index: np.ndarray
    useful_tokens: Tensor
    token_id_sum: Tensor
    computed_tokens: int


def _step_record(mark: _StepMark, *, epoch: int, step: int, time_s: float) -> StepRecord:
    return StepRecord(
        epoch=epoch,
        step=step,
        time_s=time_s,
        loss=float(mark.outcome.loss),
        learning_rate=mark.learning_rate,
        gradient_norm=float(mark.outcome.gradient_norm),
        windows=len(mark.window_index),
        useful_tokens=int(mark.useful_tokens),
        computed_tokens=mark.computed_tokens,
        token_id_sum=int(mark.token_id_sum),
        applied=bool(mark.changed),
    )


def count_tokens(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return how many tokens of the batch are not padding, and the sum of their numbers: scalars on its device.

    They are counted in the tensors, not taken from the batch's word: what is not there can't be trained on.
    """
    ids, mask = batch.inputs["input_ids"], batch.inputs.get("attention_mask")
    if mask is None or mask.shape != ids.shape:
        return torch.tensor(ids.numel()), ids.sum()
    return mask.sum(), (ids * mask).sum()


def _on_device(trainer: Trainer, plan: list[np.ndarray]) -> Iterator[tuple[Batch, Tensor, Tensor]]:
    """Yield each batch on the device, with its token counts."""
    batches = iter(trainer.setup.load_batches(trainer.setup, trainer.windows, plan))
    while True:
        with record_function("data"):
            batch = next(batches, None)
            if batch is None:
                return
            useful_tokens, token_id_sum = count_tokens(batch)
            batch = batch.to(trainer.setup.device)
        yield batch, useful_tokens, token_id_sum


def report_trained(trainer: Trainer) -> ChangeReport:
    """Return which parameters have changed since the trainer was made."""
    return report_changes(trainer.setup.model, trainer.initial_sample)


def account_work(results: list[EpochResult], changes: ChangeReport) -> WorkRecord:
    """Sum up how much was trained, and hash order and learning rates."""
    steps = [step for result in results for step in result.steps]
    order = np.concatenate([result.window_order for result in results]).astype("<i8")
    rates = ",".join(f"{step.learning_rate:.9g}" for step in steps)
    return WorkRecord(
        updates=len(steps),
        updates_applied=sum(step.applied for step in steps),
        windows=sum(step.windows for step in steps),
        useful_tokens=sum(step.useful_tokens for step in steps),
        computed_tokens=sum(step.computed_tokens for step in steps),
        token_id_sum=sum(step.token_id_sum for step in steps),
        trained_parameters=changes.trained,
        total_parameters=changes.total,
        untrained_tensors=changes.untrained,
        order_sha256=hashlib.sha256(order.tobytes()).hexdigest(),
        learning_rate_sha256=hashlib.sha256(rates.encode()).hexdigest(),
    )


def diverged(result: EpochResult) -> StepRecord | None:
    """Return the first step of the epoch whose loss is not a finite number."""
    return next((step for step in result.steps if not math.isfinite(step.loss)), None)
