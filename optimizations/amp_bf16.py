"""bf16 autocast.

What it changes: forward passes run under `torch.autocast` to bfloat16; weights, gradients and the optimizer stay fp32.
Why it is faster: matrix units multiply bf16 2-16 times as fast as fp32, and activations take half the memory traffic.
When it is not: on GPUs at small batches, where the extra cast kernels cost more launches than the products save; on
processors with AVX-512 but no bf16 instructions (AVX512-BF16, AMX). Where oneDNN has no bf16 products at all (x86 with
AVX2 only) PyTorch falls back to plain loops, 12 times slower than fp32 on a Zen 3: that is refused.
Measured on two Zen 5 cores (AVX512-BF16, DistilBERT's sizes, batch 4): 2.09 times the baseline's steps (1.97 to 2.21),
though products run 4.5 times as fast: eager attention over padding stays. On top of an unpadded, fused fp32 stack
(MiniLM, batch 16) 2.61 times, EM +0.1 points (at worst -1.0) over five seeds; both as published at commit 82104e8.
What it does to the numbers: 8 bits of mantissa in products; the exponent range is fp32's, so no loss scaling.
Sources: PyTorch AMP notes; Micikevicius et al. 2018 (arXiv 1710.03740); Kalamkar et al. 2019 (arXiv 1905.12322).
"""

from __future__ import annotations

from dataclasses import replace

import torch

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup


def multiplies_bf16(device: torch.device) -> bool:
    """Whether products in bf16 run on units made for them, and not by emulation."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@register
class AmpBf16(Strategy):
    """Autocast to bfloat16."""

    name = "amp_bf16"
    summary = "Forward passes under bf16 autocast, fp32 weights"
    effect = Effect.LOWER_PRECISION
    stage = Stage.PRECISION
    addresses = ("fp32_products:bfloat16", "fp32_traffic:bfloat16")

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """GPUs before Ampere and processors without AVX-512 only emulate bf16."""
        if multiplies_bf16(setup.device):
            return super().not_applicable(setup)
        if setup.device.type == "cuda":
            return "this GPU has no bf16 units (needs compute capability 8.0)"
        return "oneDNN has no bf16 products for this processor (needs AVX-512, AVX512-BF16 or AMX)"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Set the autocast type."""
        return replace(setup, compute_dtype=torch.bfloat16)
