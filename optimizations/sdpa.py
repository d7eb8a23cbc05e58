"""Scaled dot-product attention in one call.

What it changes: attention goes through `torch.nn.functional.scaled_dot_product_attention` instead of three eager steps.
Why it is faster: on CUDA the memory-efficient kernel never writes the length x length scores (with a padding mask it is
that one, not flash attention).
When it is not: on processors attention dropout forces SDPA's math fallback, which is slower than eager attention; where
short sequences make attention a small share.
What it does to the numbers: the same formula, other order of sums; dropout draws other random numbers.
Sources: PyTorch SDPA documentation; Dao et al. 2022 (arXiv 2205.14135); Rabe and Staats 2021 (arXiv 2112.05682).
"""

from __future__ import annotations

from typing import Any

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup


@register
class Sdpa(Strategy):
    """Attention through `scaled_dot_product_attention`."""

    name = "sdpa"
    summary = "Attention in one scaled_dot_product_attention call"
    effect = Effect.SAME_MATH
    stage = Stage.MODEL
    addresses = ("eager_attention",)
    conflicts = ("fused_blocks",)

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """Models must be written for it."""
        model = setup.model
        if not getattr(model, "_supports_sdpa", False) or not hasattr(model, "set_attn_implementation"):
            return f"{type(setup.model).__name__} has no SDPA attention"
        return super().not_applicable(setup)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Switch the model's attention function."""
        model: Any = setup.model
        model.set_attn_implementation("sdpa")
        return setup
