"""Attention over segments against autograd: padded rows, packed rows, nothing to attend to."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from optimizations.native.attention import Segment, attend, attend_backward
from optimizations.native.kernels import NO_DROPOUT, draw_dropout

HEADS, SIZE = 3, 5
PADDED = [
    Segment(first=0, queries=7, keys=7),
    Segment(first=7, queries=7, keys=2),
    Segment(first=14, queries=7, keys=6),
]
PACKED = [
    Segment(first=0, queries=4, keys=4),
    Segment(first=4, queries=1, keys=1),
    Segment(first=5, queries=16, keys=16),
]


def reference(qkv: Tensor, segments: list[Segment]) -> Tensor:
    """Attention of the whole row at once: a token sees the keys of its own segment."""
    tokens = len(qkv)
    sees = torch.zeros(tokens, tokens, dtype=torch.bool)
    for segment in segments:
        sees[segment.first : segment.first + segment.queries, segment.first : segment.first + segment.keys] = True
    query, key, value = (tensor.transpose(0, 1) for tensor in qkv.unbind(1))
    scores = (query @ key.mT / SIZE**0.5).masked_fill(~sees, -torch.inf)
    return (scores.softmax(-1) @ value).transpose(0, 1)


@pytest.mark.parametrize("segments", [PADDED, PACKED], ids=["padded", "packed"])
def test_each_segment_is_attended_to_on_its_own(segments):
    qkv, given = torch.randn(21, 3, HEADS, SIZE), torch.randn(21, HEADS, SIZE)
    wanted = qkv.double().requires_grad_()
    expected = reference(wanted, segments)
    (expected_gradient,) = torch.autograd.grad(expected, wanted, given.double())

    dropouts = [NO_DROPOUT] * len(segments)
    context, attended = attend(qkv, segments, dropouts)
    gradient = attend_backward(attended, given, segments, dropouts)
    torch.testing.assert_close(context.double(), expected.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-5, atol=1e-6)


def test_padded_keys_and_values_get_no_gradient():
    qkv = torch.randn(21, 3, HEADS, SIZE)
    dropouts = [NO_DROPOUT] * len(PADDED)
    _, attended = attend(qkv, PADDED, dropouts)
    gradient = attend_backward(attended, torch.ones(21, HEADS, SIZE), PADDED, dropouts)
    assert torch.count_nonzero(gradient[9:14, 1:]) == 0
    assert torch.count_nonzero(gradient[9:14, 0]) > 0


def test_a_window_without_keys_gives_zeros_and_no_nan():
    segments = [Segment(first=0, queries=3, keys=0)]
    qkv = torch.randn(3, 3, HEADS, SIZE)
    context, attended = attend(qkv, segments, [NO_DROPOUT])
    gradient = attend_backward(attended, torch.ones(3, HEADS, SIZE), segments, [NO_DROPOUT])
    assert torch.count_nonzero(context) == 0
    assert torch.count_nonzero(gradient) == 0


def test_backward_drops_what_forward_dropped():
    segments = [Segment(first=0, queries=40, keys=40)]
    qkv, given = torch.randn(40, 3, HEADS, SIZE), torch.randn(40, HEADS, SIZE)
    dropouts = [draw_dropout(0.5)]
    context, attended = attend(qkv, segments, dropouts)
    gradient = attend_backward(attended, given, segments, dropouts)
    # The context is linear in the values: with the same mask, its product with `given` is that of values and gradient.
    along_context = (context.double() * given).sum()
    along_values = (qkv[:, 2].double() * gradient[:, 2]).sum()
    torch.testing.assert_close(along_values, along_context, rtol=1e-5, atol=1e-6)
    other, _ = attend(qkv, segments, [draw_dropout(0.5)])
    assert not torch.allclose(other, context)
