"""TF32 matrix products.

What it changes: CUDA multiplies fp32 matrices in TensorFloat-32 (10 bits of mantissa); storage stays fp32.
Why it is faster: tensor cores, about 8 times the fp32 rate on Ampere and later.
When it is not: with autocast, whose products are not fp32 any more; on GPUs before Ampere and on processors.
What it does to the numbers: products are rounded to 10 bits before they are multiplied, sums stay fp32.
Sources: PyTorch "CUDA semantics: TensorFloat-32"; NVIDIA A100 white paper.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup


@register
class Tf32(Strategy):
    """fp32 products on tensor cores."""

    name = "tf32"
    summary = "fp32 matrix products in TF32"
    effect = Effect.LOWER_PRECISION
    stage = Stage.PRECISION
    addresses = ("fp32_products:tf32",)
    devices = ("cuda",)
    elsewhere = "TF32 is a mode of CUDA tensor cores"

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """TF32 came with Ampere."""
        reason = super().not_applicable(setup)
        if reason is None and torch.cuda.get_device_capability(setup.device) < (8, 0):
            reason = "this GPU has no TF32 units (needs compute capability 8.0)"
        return reason

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Choose TF32; the trial sets the flag in its own process."""
        return replace(setup, fp32_matmul="tf32")
