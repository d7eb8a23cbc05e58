"""Gradient checkpointing.

What it changes: a transformer block keeps only its input from the forward pass; backward computes the block again.
Why it is faster: by itself it never is. It gives memory, for batches or models that don't fit otherwise.
When it is not: wherever everything fits: one forward pass more makes a step about a third longer.
What it does to the numbers: nothing; dropout draws the same numbers again.
Sources: Chen et al. 2016 (arXiv 1604.06174); PyTorch `torch.utils.checkpoint`; transformers activation checkpointing.
"""

from __future__ import annotations

from typing import Any

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup


@register
class GradientCheckpointing(Strategy):
    """Blocks computed twice, kept once."""

    name = "gradient_checkpointing"
    summary = "Blocks are computed again in backward: memory for time"
    effect = Effect.SAME_MATH
    stage = Stage.MODEL
    addresses = ("allocator_retries",)
    conflicts = ("bf16_weights", "cuda_graphs")

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """A model must say where its blocks begin."""
        if not getattr(setup.model, "supports_gradient_checkpointing", False):
            return f"{type(setup.model).__name__} does not support gradient checkpointing"
        return super().not_applicable(setup)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Have a transformers model compute its blocks again (non-reentrant), in training mode only."""
        model: Any = setup.model
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
        return setup.with_knobs({"gradient checkpointing": "every block"})
