"""A fused block against the layers that it is made of."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from optimizations.native.attention import Segment
from optimizations.native.block import BlockLayers, join_rows, lay_side_by_side, run_block

WIDTH, HEADS, INNER = 24, 3, 52
WINDOWS, LENGTH = 3, 11
KEYS = (11, 4, 7)
SEGMENTS = [Segment(first=i * LENGTH, queries=LENGTH, keys=keys) for i, keys in enumerate(KEYS)]


def make_layers(*, dropout: float = 0.0, output_dropout: float | None = None) -> BlockLayers:
    norms = [nn.LayerNorm(WIDTH, eps=1e-12) for _ in range(2)]
    for norm in norms:
        nn.init.normal_(norm.weight, 1.0, 0.3)
        nn.init.normal_(norm.bias, 0.0, 0.3)
    return BlockLayers(
        query=nn.Linear(WIDTH, WIDTH),
        key=nn.Linear(WIDTH, WIDTH),
        value=nn.Linear(WIDTH, WIDTH),
        attention_dropout=nn.Dropout(dropout),
        attention_output=nn.Linear(WIDTH, WIDTH),
        attention_output_dropout=None if output_dropout is None else nn.Dropout(output_dropout),
        attention_norm=norms[0],
        inner=nn.Linear(WIDTH, INNER),
        outer=nn.Linear(INNER, WIDTH),
        outer_dropout=nn.Dropout(dropout),
        outer_norm=norms[1],
        heads=HEADS,
    )


def modules_of(layers: BlockLayers) -> nn.ModuleDict:
    return nn.ModuleDict({name: value for name, value in vars(layers).items() if isinstance(value, nn.Module)})


def plain_block(layers: BlockLayers, hidden: Tensor) -> Tensor:
    """The block in PyTorch's own operators, without dropout."""

    def by_head(tensor: Tensor) -> Tensor:
        return tensor.view(WINDOWS, LENGTH, HEADS, -1).transpose(1, 2)

    query, key, value = (by_head(layer(hidden)) for layer in (layers.query, layers.key, layers.value))
    hidden_keys = torch.arange(LENGTH) >= torch.tensor(KEYS)[:, None, None, None]
    scores = (query @ key.mT / (WIDTH // HEADS) ** 0.5).masked_fill(hidden_keys, -torch.inf)
    context = (scores.softmax(-1) @ value).transpose(1, 2).reshape(hidden.shape)
    middle = layers.attention_norm(layers.attention_output(context) + hidden)
    return layers.outer_norm(layers.outer(functional.gelu(layers.inner(middle))) + middle)


def test_output_and_all_gradients_equal_autograd():
    layers = make_layers()
    parameters = dict(modules_of(layers).named_parameters())
    hidden, given = torch.randn(WINDOWS, LENGTH, WIDTH, requires_grad=True), torch.randn(WINDOWS, LENGTH, WIDTH)
    expected = plain_block(layers, hidden)
    expected_gradients = torch.autograd.grad(expected, [hidden, *parameters.values()], given)
    output = run_block(layers, hidden, SEGMENTS)
    gradients = torch.autograd.grad(output, [hidden, *parameters.values()], given)

    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)
    scale = max(float(gradient.abs().max()) for gradient in expected_gradients)
    for name, ours, wanted in zip(["hidden", *parameters], gradients, expected_gradients, strict=True):
        # A key's bias has no gradient in exact arithmetic: hence the floor.
        assert float((ours - wanted).abs().max()) <= 1e-5 * max(float(wanted.abs().max()), 1e-2 * scale), name


def test_under_autocast_values_are_bfloat16_and_near_float32():
    layers = make_layers()
    parameters = list(modules_of(layers).parameters())
    hidden, given = torch.randn(WINDOWS, LENGTH, WIDTH, requires_grad=True), torch.randn(WINDOWS, LENGTH, WIDTH)
    expected = run_block(layers, hidden, SEGMENTS)
    expected_gradients = torch.autograd.grad(expected, [hidden, *parameters], given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = run_block(layers, hidden, SEGMENTS)
    gradients = torch.autograd.grad(output, [hidden, *parameters], given.bfloat16())

    assert output.dtype == torch.bfloat16
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    # Some ten roundings of 2^-8 one after the other, partly cancelling.
    assert float((output - expected).detach().norm() / expected.detach().norm()) < 0.02
    norms = [float(wanted.norm()) for wanted in expected_gradients]
    for ours, wanted, norm in zip(gradients, expected_gradients, norms, strict=True):
        assert float((ours - wanted).norm()) < 0.04 * max(norm, 0.01 * max(norms))


def test_gradient_is_that_of_the_dropped_function():
    layers = make_layers(dropout=0.2, output_dropout=0.3)
    hidden, direction, given = (torch.randn(WINDOWS, LENGTH, WIDTH) for _ in range(3))

    def value_at(step: float) -> Tensor:
        torch.manual_seed(3)
        return (run_block(layers, hidden + step * direction, SEGMENTS).double() * given).sum()

    hidden.requires_grad_()
    (gradient,) = torch.autograd.grad(value_at(0.0), hidden)
    with torch.no_grad():
        slope = (value_at(1e-3) - value_at(-1e-3)) / 2e-3
    assert float((gradient.double() * direction).sum()) == pytest.approx(float(slope), rel=1e-2)


@pytest.mark.parametrize("where", ["attention_dropout", "attention_output_dropout", "outer_dropout"])
def test_every_dropout_acts_in_training_mode_only(where):
    layers = replace(make_layers(output_dropout=0.0), **{where: nn.Dropout(0.5)})
    hidden = torch.randn(WINDOWS, LENGTH, WIDTH)
    plain = plain_block(layers, hidden)
    first, second = (run_block(layers, hidden, SEGMENTS) for _ in range(2))
    assert not torch.allclose(first, second)
    assert not torch.allclose(first, plain)
    getattr(layers, where).eval()
    torch.testing.assert_close(run_block(layers, hidden, SEGMENTS), plain, rtol=1e-5, atol=1e-5)


def test_layers_side_by_side_are_joined_without_a_copy_and_stay_parameters():
    layers = (nn.Linear(4, 6), nn.Linear(4, 2), nn.Linear(4, 3))
    before = [[parameter.detach().clone() for parameter in layer.parameters()] for layer in layers]
    kept = [layer.weight for layer in layers]
    lay_side_by_side(layers)
    weights = tuple(layer.weight for layer in layers)
    assert all(a is b for a, b in zip(weights, kept, strict=True))
    joined = join_rows(weights)
    assert joined.data_ptr() == layers[0].weight.data_ptr()
    assert torch.equal(joined, torch.cat(weights))
    with torch.no_grad():
        layers[1].weight.fill_(7.0)
    assert torch.equal(joined[6:8], torch.full((2, 4), 7.0))
    assert torch.equal(layers[2].bias, before[2][1])


def test_tensors_that_lie_elsewhere_are_copied():
    together = torch.arange(12.0).view(6, 2)
    apart = (together[:2], together[4:6], together[2:4])
    joined = join_rows(apart)
    assert torch.equal(joined, torch.cat(apart))
    assert joined.data_ptr() != together.data_ptr()


def test_a_second_derivative_is_refused():
    hidden = torch.randn(WINDOWS, LENGTH, WIDTH, requires_grad=True)
    output = run_block(make_layers(), hidden, SEGMENTS)
    (gradient,) = torch.autograd.grad(output.sum(), hidden, create_graph=True)
    with pytest.raises(RuntimeError, match=r"differentiate twice|does not require grad"):
        gradient.sum().backward()
