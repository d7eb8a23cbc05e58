"""bf16 autocast.

What it changes: forward passes run under `torch.autocast` to bfloat16; weights, gradients and the optimizer stay fp32.
Why it is faster: matrix units multiply bf16 2-16 times as fast as fp32, and activations take half the memory traffic.
When it is not: on processors without bf16 instructions (AVX512-BF16, AMX), and on GPUs at small batches, where the
extra cast kernels cost more launches than the products save.
What it does to the numbers: 8 bits of mantissa in products; the exponent range is fp32's, so no loss scaling.
Sources: PyTorch AMP notes; Micikevicius et al. 2018 (arXiv 1710.03740); Kalamkar et al. 2019 (arXiv 1905.12322).
"""

from __future__ import annotations

from dataclasses import replace

import torch

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup


@register
class AmpBf16(Strategy):
    """Autocast to bfloat16."""

    name = "amp_bf16"
    summary = "Forward passes under bf16 autocast, fp32 weights"
    effect = Effect.LOWER_PRECISION
    stage = Stage.PRECISION
    conflicts = ("amp_fp16",)

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """GPUs before Ampere only emulate bf16."""
        if setup.device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
            return "this GPU has no bf16 units (needs compute capability 8.0)"
        return None

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Set the autocast type."""
        return replace(setup, compute_dtype=torch.bfloat16)
