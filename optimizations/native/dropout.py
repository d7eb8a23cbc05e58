"""Dropout as a module, its mask made by the kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from optimizations.native.kernels import SUFFIXES, Dropout, draw_dropout, drop


class FusedDropout(nn.Dropout):
    """As `nn.Dropout`; the mask is not kept but made again in the backward pass.

    Types that the kernels don't take go PyTorch's way.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the input, each element dropped with the module's probability in training mode."""
        if not self.training or self.p == 0.0 or input.dtype not in SUFFIXES:
            return super().forward(input)
        output: Tensor = _Drop.apply(input, draw_dropout(self.p))  # type: ignore[no-untyped-call]
        return output


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, dropout: Dropout) -> Tensor:
        ctx.dropout = dropout
        return drop(values.contiguous(), dropout=dropout)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return drop(gradient.contiguous(), dropout=ctx.dropout), None
