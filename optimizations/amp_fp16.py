"""fp16 autocast with loss scaling.

What it changes: forward passes run under `torch.autocast` to float16; the loss is scaled by a factor that adapts.
Why it is faster: tensor cores multiply fp16 as fast as bf16, on older GPUs (Volta, Turing) too, which lack bf16.
When it is not: where bf16 is available it does the same without scaler, overflow checks and skipped steps.
What it does to the numbers: 10 bits of mantissa but a small range; a step whose gradients overflow is skipped (the
learning-rate schedule goes on), which the work accounting shows as an update that was not applied.
Sources: PyTorch AMP documentation; Micikevicius et al. 2018 (arXiv 1710.03740); huggingface/accelerate#4242.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup


@register
class AmpFp16(Strategy):
    """Autocast to float16 with a gradient scaler."""

    name = "amp_fp16"
    summary = "Forward passes under fp16 autocast, scaled loss"
    effect = Effect.LOWER_PRECISION
    stage = Stage.PRECISION
    addresses = ("fp32_products:float16", "fp32_traffic:float16")
    devices = ("cuda",)
    elsewhere = "fp16 training needs a CUDA device; use amp_bf16"
    conflicts = ("amp_bf16",)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Set the autocast type and switch the scaler on."""
        return replace(setup, compute_dtype=torch.float16, gradient_scaling=True)
