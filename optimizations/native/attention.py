"""Attention over segments of one long row of tokens, forward and backward, with the fused softmax.

Queries, keys and values of all heads come as one tensor `qkv` (tokens, 3, heads, head size), as one product makes them.
Each segment is attended to on its own: an example of a packed row, or a row of a padded batch, whose padding asks but
is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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

    @property
    def tokens(self) -> slice:
        """Where they are in the row."""
        return slice(self.first, self.first + self.queries)


class Attended(NamedTuple):
    """What the backward pass needs of a segment."""

    parts: Tensor
    """(3, heads, queries, head size): its queries, keys and values, padding included."""
    softmax: Tensor
    """(heads, queries, keys), undropped."""


@record_function("attention")
def attend(qkv: Tensor, segments: list[Segment], dropouts: list[Dropout]) -> tuple[Tensor, list[Attended]]:
    """Return context (tokens, heads, head size) and what `attend_backward` needs of each segment.

    The segments follow each other and cover all tokens. Scores are divided by the root of the head size.
    """
    tokens, _, heads, size = qkv.shape
    context = torch.empty(tokens, heads, size, dtype=qkv.dtype)
    attended = []
    for segment, dropout in zip(segments, dropouts, strict=True):
        # One copy, head by head: products in bfloat16 would make one of each operand that lies otherwise.
        parts = qkv[segment.tokens].permute(1, 2, 0, 3).contiguous()
        query, key, value = parts.unbind()
        softmax = torch.bmm(query, key[:, : segment.keys].mT)
        dropped = torch.empty_like(softmax) if dropout.keep_below else None
        softmax_dropout(softmax, dropped, scale=size**-0.5, dropout=dropout)
        result = torch.bmm(softmax if dropped is None else dropped, value[:, : segment.keys])
        context[segment.tokens] = result.transpose(0, 1)
        attended.append(Attended(parts=parts, softmax=softmax))
    return context, attended


@record_function("attention")
def attend_backward(
    attended: list[Attended], context_gradient: Tensor, segments: list[Segment], dropouts: list[Dropout]
) -> Tensor:
    """Return the gradient of `qkv` (tokens, 3, heads, head size)."""
    tokens, heads, size = context_gradient.shape
    gradient = torch.empty(tokens, 3, heads, size, dtype=context_gradient.dtype)
    for kept, segment, dropout in zip(attended, segments, dropouts, strict=True):
        query, key, value = kept.parts.unbind()
        into = torch.zeros_like(kept.parts) if segment.keys < segment.queries else torch.empty_like(kept.parts)
        query_gradient, key_gradient, value_gradient = into.unbind()
        given = context_gradient[segment.tokens].transpose(0, 1).contiguous()
        scores_gradient = torch.bmm(given, value[:, : segment.keys].mT)
        dropped = torch.empty_like(kept.softmax) if dropout.keep_below else None
        softmax_dropout_backward(kept.softmax, scores_gradient, dropped, scale=size**-0.5, dropout=dropout)
        weights = kept.softmax if dropped is None else dropped
        torch.bmm(weights.mT, given, out=value_gradient[:, : segment.keys])
        torch.bmm(scores_gradient, key[:, : segment.keys], out=query_gradient)
        torch.bmm(scores_gradient.mT, query, out=key_gradient[:, : segment.keys])
        gradient[segment.tokens] = into.permute(2, 0, 1, 3)
    return gradient
