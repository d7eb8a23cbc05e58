"""Attention over segments of one long row of tokens, forward and backward, with the fused softmax.

Queries, keys and values of all heads come as one tensor `qkv` (tokens, 3, heads, head size), as one product makes them.
Each segment is attended to on its own: an example of a packed row, or a row of a padded batch, whose padding asks but
is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.profiler import record_function

from optimizations.native.kernels import Dropout, softmax_dropout, softmax_dropout_backward


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Tokens that attend to each other."""

    first: int
    """Its first token."""
    queries: int
    """Tokens, padding included."""
    keys: int
    """Of those, the ones at the front that are attended to."""


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """Views on a segment's share of a (tokens, 3, heads, head size) tensor, each (heads, its tokens, head size)."""

    query: Tensor
    key: Tensor
    value: Tensor


@record_function("attention")
def attend(qkv: Tensor, segments: list[Segment], dropouts: list[Dropout]) -> tuple[Tensor, list[Tensor]]:
    """Return context (tokens, heads, head size) and each segment's softmax (heads, queries, keys), undropped.

    The segments follow each other and cover all tokens. Scores are divided by the root of the head size.
    """
    tokens, _, heads, size = qkv.shape
    context = torch.empty(tokens, heads, size, dtype=qkv.dtype)
    softmaxes = []
    for segment, dropout in zip(segments, dropouts, strict=True):
        parts = _parts(qkv, segment)
        softmax = torch.bmm(parts.query, parts.key.mT)
        dropped = torch.empty_like(softmax) if dropout.keep_below else None
        softmax_dropout(softmax, dropped, scale=size**-0.5, dropout=dropout)
        result = torch.bmm(softmax if dropped is None else dropped, parts.value)
        _rows(context, segment.first, segment.queries).copy_(result)
        softmaxes.append(softmax)
    return context, softmaxes


@record_function("attention")
def attend_backward(
    qkv: Tensor,
    softmaxes: list[Tensor],
    context_gradient: Tensor,
    segments: list[Segment],
    dropouts: list[Dropout],
) -> Tensor:
    """Return the gradient of `qkv`."""
    gradient = torch.empty_like(qkv)
    size = qkv.shape[-1]
    for segment, softmax, dropout in zip(segments, softmaxes, dropouts, strict=True):
        parts, into = _parts(qkv, segment), _parts(gradient, segment)
        given = _rows(context_gradient, segment.first, segment.queries)
        scores_gradient = torch.bmm(given, parts.value.mT)
        dropped = torch.empty_like(softmax) if dropout.keep_below else None
        softmax_dropout_backward(softmax, scores_gradient, dropped, scale=size**-0.5, dropout=dropout)
        into.value.copy_(torch.bmm((softmax if dropped is None else dropped).mT, given))
        into.query.copy_(torch.bmm(scores_gradient, parts.key))
        into.key.copy_(torch.bmm(scores_gradient.mT, parts.query))
        gradient[segment.first + segment.keys : segment.first + segment.queries, 1:] = 0.0
    return gradient


def _parts(qkv: Tensor, segment: Segment) -> _Parts:
    query, key, value = qkv.unbind(1)
    return _Parts(
        query=_rows(query, segment.first, segment.queries),
        key=_rows(key, segment.first, segment.keys),
        value=_rows(value, segment.first, segment.keys),
    )


def _rows(tensor: Tensor, first: int, count: int) -> Tensor:
    """Return a view (heads, count, head size) on rows of (tokens, heads, head size)."""
    return tensor[first : first + count].transpose(0, 1)
