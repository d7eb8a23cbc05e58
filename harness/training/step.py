"""The plain step: forward, backward, clip, update, one after the other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.profiler import record_function

from harness.data.batching import Batch
from harness.strategy import StepFunction, StepOutcome, TrainSetup


def clip_one_by_one(parameters: list[nn.Parameter], max_norm: float) -> Tensor:
    """Clip the gradients in a loop over the tensors, two operators for each, and return their norm."""
    return nn.utils.clip_grad_norm_(parameters, max_norm, foreach=False)


def make_eager_step(setup: TrainSetup, optimizer: Optimizer, scheduler: LRScheduler) -> StepFunction:
    """Return the step of the baseline. Itself it waits for the device in a gradient scaler only, which must."""
    scaler = torch.amp.GradScaler(setup.device.type, enabled=setup.gradient_scaling)
    parameters = [parameter for parameter in setup.model.parameters() if parameter.requires_grad]

    def step(batch: Batch) -> StepOutcome:
        optimizer.zero_grad(set_to_none=True)
        with record_function("forward"), setup.autocast():
            loss = setup.forward_loss(setup.model, batch)
        with record_function("backward"):
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        with record_function("optimizer"):
            scaler.unscale_(optimizer)
            norm = setup.clip_gradients(parameters, setup.training.max_grad_norm)
            scaler.step(optimizer)
            scaler.update()
            scheduler.step()
        return StepOutcome(loss=loss.detach(), gradient_norm=norm.detach())

    return step
