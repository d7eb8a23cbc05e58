"""channels-last memory format.

What it changes: 4-D weights and activations are stored with the channel innermost (NHWC).
Why it is faster: convolution kernels on tensor cores and in oneDNN want that layout and transpose otherwise.
When it is not: a transformer has no 4-D weights, so there is nothing to lay out anew: not applicable.
What it does to the numbers: nothing; only the order in memory changes.
Sources: PyTorch "Channels Last Memory Format" tutorial.
"""

from __future__ import annotations

import torch
from torch import nn

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup


def apply_channels_last(model: nn.Module) -> int:
    """Lay out all 4-D parameters and buffers channels-last, in place; return how many parameters that were."""
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return count_4d_parameters(model)


def count_4d_parameters(model: nn.Module) -> int:
    """How many parameters have four dimensions (weights of 2-D convolutions)."""
    return sum(parameter.dim() == 4 for parameter in model.parameters())


@register
class ChannelsLast(Strategy):
    """Convolution weights in NHWC order."""

    name = "channels_last"
    summary = "4-D weights and activations with channels innermost"
    effect = Effect.SAME_MATH
    stage = Stage.MODEL

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """Only 4-D weights have channels."""
        if count_4d_parameters(setup.model) == 0:
            return f"{type(setup.model).__name__} has no 4-D weights (no convolutions) to lay out channels-last"
        return super().not_applicable(setup)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Change the layout in place."""
        count = apply_channels_last(setup.model)
        return setup.with_knobs({"memory format": f"channels-last ({count} weights)"})
