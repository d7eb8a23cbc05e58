"""The training loop, from the first step to the last, with what each step did."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from harness.data.windows import Windows
from harness.measurement.clocks import StepClock, make_step_clock
from harness.records.trial import WorkRecord
from harness.strategy import PreparedStep, StepFunction, TrainSetup
from harness.training.recorder import EpochRecorder, EpochResult, StepAudit

SAMPLED_ELEMENTS = 4096
"""Elements looked at in each tensor, evenly spread: in a word embedding they lie in as many different rows, of which a
training of some hundred windows touches enough."""


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
    """Samples of weights whose change shows that an update was applied, those nearest the loss first."""
    initial_sample: dict[str, Tensor]
    """A sample of every parameter before the first step."""
    total_steps: int


def set_process_flags(setup: TrainSetup) -> None:
    """Set what PyTorch keeps per process. Only a worker calls this: it ends with its trial.

    cuDNN's attention is off for everybody: it builds a plan for each new shape, so that batches of many lengths would
    be timed by their first steps, and its gradients are reported to be NaN with a mask and no dropout
    (pytorch/pytorch#196678). SDPA then takes the memory-efficient kernel, or flash where there is no mask.
    """
    tf32 = setup.fp32_matmul == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.enable_cudnn_sdp(False)


def make_trainer(setup: TrainSetup, windows: Windows, *, total_steps: int | None = None) -> Trainer:
    """Return the state that one training needs: optimizer, schedule, step function, clock.

    `total_steps` is the length of the schedule; by default that of the whole training.
    """
    optimizer = setup.make_optimizer(setup.model, setup.training)
    total_steps = count_steps(setup, windows) if total_steps is None else total_steps
    scheduler = setup.make_scheduler(optimizer, setup.training, total_steps)
    # Most rows of an embedding are not in a batch, and rightly don't change.
    looked_up = {id(module.weight) for module in setup.model.modules() if isinstance(module, nn.Embedding)}
    matrices = [p for p in setup.model.parameters() if p.requires_grad and p.dim() > 1 and id(p) not in looked_up]
    return Trainer(
        setup=setup,
        windows=windows,
        optimizer=optimizer,
        scheduler=scheduler,
        step=setup.make_step(setup, optimizer, scheduler),
        clock=make_step_clock(setup.device),
        probes=[spread_elements(matrix) for matrix in reversed(matrices)],
        initial_sample={name: spread_elements(p).clone() for name, p in setup.model.named_parameters()},
        total_steps=total_steps,
    )


def count_steps(setup: TrainSetup, windows: Windows) -> int:
    """Return how many steps the whole training has."""
    return len(plan_training(setup, windows))


def plan_epoch(setup: TrainSetup, windows: Windows, epoch: int) -> list[np.ndarray]:
    """Return the window numbers of each batch of an epoch (counted from 1)."""
    return setup.plan_batches(windows, setup.training, setup.seed, epoch)


def plan_training(setup: TrainSetup, windows: Windows, *, epochs: int | None = None) -> list[np.ndarray]:
    """Return the window numbers of every batch of the training, in order; of its first `epochs` if they are given."""
    training = setup.training
    last = training.epochs if epochs is None else epochs
    plan = [numbers for epoch in range(1, last + 1) for numbers in plan_epoch(setup, windows, epoch)]
    return plan[: training.max_steps] if epochs is None else plan


def warm_up(trainer: Trainer, plan: list[np.ndarray] | None = None, *, repeated: bool = False) -> int:
    """Run forward and backward once for each number of windows that a planned batch has, without an update.

    Compilers, library handles and allocators do their one-time work here, and a step that prepares itself for batch
    shapes does so for the whole plan: by default that of the training; see `prepare_step`. Random state and parameters
    are as before. Returns how many batches were run.
    """
    setup = trainer.setup
    plan = plan_training(setup, trainer.windows) if plan is None else plan
    sizes = {len(numbers): numbers for numbers in reversed(plan)}
    with _random_state_kept(setup.device):
        for batch in setup.load_batches(setup, trainer.windows, list(sizes.values())):
            with setup.autocast():
                loss = setup.forward_loss(setup.model, batch.to(setup.device))
            loss.backward()  # type: ignore[no-untyped-call]
            # What stays alive of the autograd graph would run on this stream in a capture, so nothing holds the loss.
            del loss
    trainer.optimizer.zero_grad(set_to_none=True)
    prepare_step(trainer, plan, repeated=repeated)
    _synchronise(setup.device)
    return len(sizes)


def prepare_step(trainer: Trainer, plan: list[np.ndarray], *, repeated: bool = False) -> None:
    """Have a step that prepares itself for batch shapes do so; for others there is nothing to do.

    `plan` holds every batch of the training, or, with `repeated`, batches that come again and again.
    """
    if not isinstance(trainer.step, PreparedStep):
        return
    setup, windows = trainer.setup, trainer.windows
    chosen = trainer.step.choose(windows, plan, repeated=repeated)
    with _random_state_kept(setup.device):
        trainer.step.prepare(batch.to(setup.device) for batch in setup.load_batches(setup, windows, chosen))
    trainer.optimizer.zero_grad(set_to_none=True)
    _synchronise(setup.device)


def describe_step(trainer: Trainer) -> dict[str, str]:
    """Return what the step has prepared, as the report prints it; nothing for one that prepares nothing."""
    return trainer.step.describe() if isinstance(trainer.step, PreparedStep) else {}


def _random_state_kept(device: torch.device) -> AbstractContextManager[None]:
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def train_epoch(
    trainer: Trainer,
    *,
    epoch: int,
    first_step: int,
    on_step: Callable[[int], None] | None = None,
    audit: StepAudit | None = None,
) -> EpochResult:
    """Train one epoch (or what `max_steps` leaves of it) and return its steps; `on_step` is told each step's number.

    On CUDA nothing of the harness waits for the device until the epoch's end; transformers looks at the attention mask
    on the host once in each eager forward pass.
    """
    plan = plan_epoch(trainer.setup, trainer.windows, epoch)[: trainer.total_steps - first_step + 1]
    recorder = EpochRecorder(
        clock=trainer.clock,
        scheduler=trainer.scheduler,
        probes=trainer.probes,
        first_step=first_step,
        on_step=on_step,
        audit=audit,
    )
    trainer.setup.run_epoch(trainer.setup, trainer.step, trainer.windows, plan, recorder)
    return recorder.finish(epoch)


def account_work(trainer: Trainer, results: list[EpochResult]) -> WorkRecord:
    """Sum up how much was trained, hash order and learning rates, and find the tensors that stayed as they were."""
    steps = [step for result in results for step in result.steps]
    order = np.concatenate([result.window_order for result in results]).astype("<i8")
    rates = ",".join(f"{step.learning_rate:.9g}" for step in steps)
    before, parameters = trainer.initial_sample, dict(trainer.setup.model.named_parameters())
    untrained = [
        name
        for name, parameter in parameters.items()
        if name not in before or torch.equal(spread_elements(parameter), before[name])
    ]
    sizes = {name: parameter.numel() for name, parameter in parameters.items()}
    return WorkRecord(
        updates=len(steps),
        updates_applied=sum(step.applied for step in steps),
        windows=sum(step.windows for step in steps),
        useful_tokens=sum(step.useful_tokens for step in steps),
        computed_tokens=sum(step.computed_tokens for step in steps),
        token_id_sum=sum(step.token_id_sum for step in steps),
        trained_parameters=sum(sizes.values()) - sum(sizes[name] for name in untrained),
        total_parameters=sum(sizes.values()),
        untrained_tensors=tuple(untrained),
        order_sha256=hashlib.sha256(order.tobytes()).hexdigest(),
        learning_rate_sha256=hashlib.sha256(rates.encode()).hexdigest(),
    )


def spread_elements(tensor: Tensor) -> Tensor:
    """Return a flat view on at most `SAMPLED_ELEMENTS` evenly spread elements; it follows the tensor's changes."""
    flat = tensor.detach()
    flat = flat.view(-1) if flat.is_contiguous() else flat.reshape(-1)
    return flat[:: max(1, -(-flat.numel() // SAMPLED_ELEMENTS))]
