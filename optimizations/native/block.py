"""The two halves of a transformer block as autograd functions with their own backward passes.

Matrix products stay PyTorch's. Everything between two of them is one C++ kernel: softmax+dropout, bias+GELU,
bias+dropout+residual+norm. Dropout masks are not kept but made again from their seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from optimizations.native.attention import Attended, Segment, attend, attend_backward
from optimizations.native.kernels import (
    NO_DROPOUT,
    Dropout,
    bias_dropout_residual_norm,
    bias_dropout_residual_norm_backward,
    bias_gelu,
    bias_gelu_backward,
    draw_dropout,
    sum_rows,
)
from optimizations.native.layers import BlockLayers

Gradients = tuple[Tensor | None, ...]


def run_block(layers: BlockLayers, hidden: Tensor, segments: list[Segment]) -> Tensor:
    """Return the block's output for `hidden` (…, width), whose tokens, in a row, the segments divide among them.

    The type is autocast's if that is on, else that of `hidden`; dropout follows the layers' training mode.
    """
    if torch.is_autocast_enabled("cpu"):
        hidden = hidden.to(torch.get_autocast_dtype("cpu"))
    rows = hidden.reshape(-1, hidden.shape[-1])
    with torch.autocast("cpu", enabled=False):
        middle = run_attention(layers, rows, segments)
        return run_feed_forward(layers, middle).view_as(hidden)


def run_attention(layers: BlockLayers, hidden: Tensor, segments: list[Segment]) -> Tensor:
    """Return norm(dropout(attention(hidden)) + hidden), both (tokens, width)."""
    projections = (layers.query, layers.key, layers.value)
    settings = _AttentionSettings(
        segments=segments,
        heads=layers.heads,
        dropouts=[_draw(layers.attention_dropout) for _ in segments],
        output=_NormSettings.of(layers.attention_norm, layers.attention_output_dropout),
    )
    output: Tensor = _Attention.apply(  # type: ignore[no-untyped-call]
        settings,
        hidden,
        *(layer.weight for layer in projections),
        *(layer.bias for layer in projections),
        layers.attention_output.weight,
        layers.attention_output.bias,
        layers.attention_norm.weight,
        layers.attention_norm.bias,
    )
    return output


def run_feed_forward(layers: BlockLayers, hidden: Tensor) -> Tensor:
    """Return norm(dropout(outer(gelu(inner(hidden)))) + hidden), both (tokens, width)."""
    output: Tensor = _FeedForward.apply(  # type: ignore[no-untyped-call]
        _NormSettings.of(layers.outer_norm, layers.outer_dropout),
        hidden,
        layers.inner.weight,
        layers.inner.bias,
        layers.outer.weight,
        layers.outer.bias,
        layers.outer_norm.weight,
        layers.outer_norm.bias,
    )
    return output


@dataclass(frozen=True, kw_only=True)
class _NormSettings:
    epsilon: float
    dropout: Dropout

    @classmethod
    def of(cls, norm: nn.LayerNorm, dropout: nn.Dropout | None) -> _NormSettings:
        return cls(epsilon=norm.eps, dropout=_draw(dropout))


@dataclass(frozen=True, kw_only=True)
class _AttentionSettings:
    segments: list[Segment]
    heads: int
    dropouts: list[Dropout]
    """One mask for each segment."""
    output: _NormSettings


def _draw(layer: nn.Dropout | None) -> Dropout:
    return NO_DROPOUT if layer is None or not layer.training else draw_dropout(layer.p)


class _Attention(torch.autograd.Function):
    """Attention with its output projection, residual and norm. Weights are float32, activations of hidden's type."""

    @staticmethod
    def forward(
        ctx: Any,
        settings: _AttentionSettings,
        hidden: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        query, key, value, query_bias, key_bias, value_bias, weight, bias, scale, shift = parameters
        qkv_weight = join_rows((query, key, value)).to(hidden.dtype)
        qkv_bias = join_rows((query_bias, key_bias, value_bias)).to(hidden.dtype)
        weight = weight.to(hidden.dtype)
        qkv = torch.addmm(qkv_bias, hidden, qkv_weight.t()).view(len(hidden), 3, settings.heads, -1)
        context, attended = attend(qkv, settings.segments, settings.dropouts)
        context = context.view_as(hidden)
        normalised = torch.mm(context, weight.t())
        output, inverse_deviation = bias_dropout_residual_norm(
            normalised, bias, hidden, scale, shift, epsilon=settings.output.epsilon, dropout=settings.output.dropout
        )
        ctx.settings = settings
        kept = [tensor for segment in attended for tensor in (segment.parts, segment.softmax)]
        ctx.save_for_backward(hidden, qkv_weight, weight, scale, context, normalised, inverse_deviation, *kept)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, output_gradient: Tensor) -> Gradients:
        settings: _AttentionSettings = ctx.settings
        hidden, qkv_weight, weight, scale, context, normalised, inverse_deviation, *kept = ctx.saved_tensors
        attended = [
            Attended(parts=parts, softmax=softmax) for parts, softmax in zip(kept[::2], kept[1::2], strict=True)
        ]
        hidden_gradient, projected_gradient, sums = bias_dropout_residual_norm_backward(
            normalised, inverse_deviation, scale, output_gradient.contiguous(), dropout=settings.output.dropout
        )
        weight_gradient = torch.mm(projected_gradient.t(), context).float()
        context_gradient = torch.mm(projected_gradient, weight).view(len(hidden), settings.heads, -1)
        qkv_gradient = attend_backward(attended, context_gradient, settings.segments, settings.dropouts)
        qkv_gradient = qkv_gradient.view(len(hidden), -1)
        qkv_weight_gradients = torch.mm(qkv_gradient.t(), hidden).float().chunk(3)
        qkv_bias_gradients = sum_rows(qkv_gradient).chunk(3)
        hidden_gradient = torch.addmm(hidden_gradient, qkv_gradient, qkv_weight)
        scale_gradient, shift_gradient, bias_gradient = sums
        return (
            None,
            hidden_gradient,
            *qkv_weight_gradients,
            *qkv_bias_gradients,
            weight_gradient,
            bias_gradient,
            scale_gradient,
            shift_gradient,
        )


class _FeedForward(torch.autograd.Function):
    """Both feed-forward layers with residual and norm. Weights are float32, activations of hidden's type."""

    @staticmethod
    def forward(ctx: Any, settings: _NormSettings, hidden: Tensor, *parameters: Tensor) -> Tensor:
        inner_weight, inner_bias, outer_weight, outer_bias, scale, shift = parameters
        inner_weight, outer_weight = inner_weight.to(hidden.dtype), outer_weight.to(hidden.dtype)
        inner = torch.mm(hidden, inner_weight.t())
        activated = bias_gelu(inner, inner_bias)
        normalised = torch.mm(activated, outer_weight.t())
        output, inverse_deviation = bias_dropout_residual_norm(
            normalised, outer_bias, hidden, scale, shift, epsilon=settings.epsilon, dropout=settings.dropout
        )
        ctx.settings = settings
        ctx.save_for_backward(
            hidden, inner_weight, inner_bias, outer_weight, scale, inner, activated, normalised, inverse_deviation
        )
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, output_gradient: Tensor) -> Gradients:
        settings: _NormSettings = ctx.settings
        hidden, inner_weight, inner_bias, outer_weight, scale, inner, activated, normalised, inverse_deviation = (
            ctx.saved_tensors
        )
        hidden_gradient, outer_gradient, sums = bias_dropout_residual_norm_backward(
            normalised, inverse_deviation, scale, output_gradient.contiguous(), dropout=settings.dropout
        )
        outer_weight_gradient = torch.mm(outer_gradient.t(), activated).float()
        inner_gradient = torch.mm(outer_gradient, outer_weight)
        inner_bias_gradient = bias_gelu_backward(inner, inner_bias, inner_gradient)
        inner_weight_gradient = torch.mm(inner_gradient.t(), hidden).float()
        hidden_gradient = torch.addmm(hidden_gradient, inner_gradient, inner_weight)
        scale_gradient, shift_gradient, outer_bias_gradient = sums
        return (
            None,
            hidden_gradient,
            inner_weight_gradient,
            inner_bias_gradient,
            outer_weight_gradient,
            outer_bias_gradient,
            scale_gradient,
            shift_gradient,
        )


def lay_side_by_side(layers: tuple[nn.Linear, ...]) -> None:
    """Move the layers' weights into one piece of memory, and their biases: then `join_rows` needs no copy.

    They stay parameters of their own, for the optimizer and for saving.
    """
    for name in ("weight", "bias"):
        parameters = [getattr(layer, name) for layer in layers]
        joined = torch.cat([parameter.detach() for parameter in parameters])
        first = 0
        for parameter in parameters:
            parameter.data = joined[first : first + len(parameter)]
            first += len(parameter)


def join_rows(tensors: tuple[Tensor, ...]) -> Tensor:
    """Return the tensors below each other: a view where they lie so in memory, else a copy."""
    first = tensors[0]
    expected = first.data_ptr()
    for tensor in tensors:
        same_storage = tensor.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        if not same_storage or not tensor.is_contiguous() or tensor.data_ptr() != expected:
            return torch.cat(tensors)
        expected += tensor.numel() * tensor.element_size()
    return first.as_strided((sum(map(len, tensors)), *first.shape[1:]), first.stride())
