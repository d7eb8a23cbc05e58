"""The two halves of a transformer block as autograd functions with their own backward passes.

Matrix products stay PyTorch's. Everything between two of them is one C++ kernel: softmax+dropout, bias+GELU,
bias+dropout+residual+norm. Dropout masks are not kept but made again from their seeds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
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


def run_block(layers: BlockLayers, hidden_states: Tensor, segments: list[Segment], *_: Any, **__: Any) -> Tensor:
    """Return the block's output for `hidden_states` (…, width), whose tokens, in a row, the segments divide among them.

    The type is autocast's if that is on, else that of `hidden_states`; dropout follows the layers' training mode. What
    else transformers hands to its blocks is not needed.
    """
    if torch.is_autocast_enabled("cpu"):
        hidden_states = hidden_states.to(torch.get_autocast_dtype("cpu"))
    rows = hidden_states.reshape(-1, hidden_states.shape[-1])
    attention = _AttentionSettings(
        segments=segments,
        heads=layers.heads,
        dropouts=[_draw(layers.attention_dropout) for _ in segments],
        output=_NormSettings.of(layers.attention_norm, layers.attention_output_dropout),
    )
    feed_forward = _NormSettings.of(layers.outer_norm, layers.outer_dropout)
    with torch.autocast("cpu", enabled=False):
        middle = _Attention.apply(  # type: ignore[no-untyped-call]
            attention,
            rows,
            *_parameters(layers.query, layers.key, layers.value, layers.attention_output, layers.attention_norm),
        )
        output: Tensor = _FeedForward.apply(  # type: ignore[no-untyped-call]
            feed_forward, middle, *_parameters(layers.inner, layers.outer, layers.outer_norm)
        )
    return output.view_as(hidden_states)


def _parameters(*layers: nn.Linear | nn.LayerNorm) -> list[Tensor]:
    return [parameter for layer in layers for parameter in (layer.weight, layer.bias)]


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
    def forward(ctx: Any, settings: _AttentionSettings, hidden: Tensor, *parameters: Tensor) -> Tensor:
        *qkv_parameters, weight, bias, scale, shift = parameters
        qkv_weight, qkv_bias = (join_rows(qkv_parameters[part::2]).to(hidden.dtype) for part in (0, 1))
        weight = weight.to(hidden.dtype)
        qkv = torch.addmm(qkv_bias, hidden, qkv_weight.t()).view(len(hidden), 3, settings.heads, -1)
        context, attended = attend(qkv, settings.segments, settings.dropouts)
        context = context.view_as(hidden)
        normalised = torch.mm(context, weight.t())
        output, inverse_deviation = bias_dropout_residual_norm(
            normalised, bias, hidden, scale, shift, epsilon=settings.output.epsilon, dropout=settings.output.dropout
        )
        ctx.settings = settings
        kept = itertools.chain.from_iterable(attended)
        ctx.save_for_backward(hidden, qkv_weight, weight, scale, context, normalised, inverse_deviation, *kept)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, output_gradient: Tensor) -> Gradients:
        settings: _AttentionSettings = ctx.settings
        hidden, qkv_weight, weight, scale, context, normalised, inverse_deviation, *kept = ctx.saved_tensors
        attended = [Attended(*pair) for pair in zip(kept[::2], kept[1::2], strict=True)]
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
        of_query, of_key, of_value = zip(qkv_weight_gradients, qkv_bias_gradients, strict=True)
        of_output = (weight_gradient, bias_gradient, scale_gradient, shift_gradient)
        return (None, hidden_gradient, *of_query, *of_key, *of_value, *of_output)


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
        of_inner = (inner_weight_gradient, inner_bias_gradient)
        of_outer = (outer_weight_gradient, outer_bias_gradient, scale_gradient, shift_gradient)
        return (None, hidden_gradient, *of_inner, *of_outer)


def lay_side_by_side(layers: tuple[nn.Linear, ...]) -> None:
    """Move the layers' weights into one piece of memory, and their biases: then `join_rows` needs no copy.

    They stay parameters of their own, for the optimizer and for saving.
    """
    for name in ("weight", "bias"):
        parameters = [getattr(layer, name) for layer in layers]
        joined = torch.cat([parameter.detach() for parameter in parameters])
        for parameter, rows in zip(parameters, joined.split_with_sizes([len(one) for one in parameters]), strict=True):
            parameter.data = rows


def join_rows(tensors: Sequence[Tensor]) -> Tensor:
    """Return the tensors below each other: a view where they lie so in memory, else a copy."""
    first = tensors[0]
    expected = first.data_ptr()
    for tensor in tensors:
        same_storage = tensor.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        if not same_storage or not tensor.is_contiguous() or tensor.data_ptr() != expected:
            return torch.cat(list(tensors))
        expected += tensor.numel() * tensor.element_size()
    return first.as_strided((sum(map(len, tensors)), *first.shape[1:]), first.stride())
