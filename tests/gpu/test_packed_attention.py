"""Attention over packed windows against plain attention, window by window; on a processor what runs there."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from harness import registry
from harness.experiment.deviation import scatter
from harness.experiment.equivalence import draw_losses
from optimizations.unpadded import ATTENTIONS, attend, attend_with_flash, choose_attention, set_packed_attention

HEADS = 3
HEAD_SIZE = 64
LENGTHS = ((1,), (384,), (64, 64), (1, 64, 384, 17, 100, 128), (384, 1, 1, 383))
TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 2e-2}
"""Root mean square of the error, relative to the window's own or the whole tensor's."""

CASES = [
    ("packed_one_by_one", torch.float32),
    ("packed_in_rows", torch.float32),
    ("packed_in_rows", torch.bfloat16),
    ("packed_varlen", torch.float32),
    ("packed_varlen", torch.float16),
    ("packed_varlen", torch.bfloat16),
]


def can_run(attention, dtype, device):
    """Whether this attention takes the type here; fp32 goes through padded rows anywhere."""
    if attention == "packed_one_by_one":
        return device.type == "cpu"
    flash = choose_attention(device, HEAD_SIZE) == "packed_varlen"
    return attention != "packed_varlen" or dtype == torch.float32 or flash


def random_packed(lengths, dtype, device):
    """Return query, key and value, (1, heads, T, d), what the output's gradient is, (1, T, heads, d), and borders."""
    generator = torch.Generator().manual_seed(sum(lengths))
    tokens = sum(lengths)
    shapes = [(1, tokens, HEADS, HEAD_SIZE)] * 4
    *parts, gradient = (torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes)
    borders = torch.tensor([0, *lengths]).cumsum(0).to(device, torch.int32)
    # As a model hands them over: heads are a view of the tokens' rows.
    return [part.requires_grad_() for part in parts], gradient, borders


def run_packed(attention, parts, borders, *, longest, dropout=0.0):
    """Return the output of one of `ATTENTIONS`, scaled as models scale it."""
    heads_first = [part.transpose(1, 2) for part in parts]
    return ATTENTIONS[attention](*heads_first, borders, longest=longest, scaling=HEAD_SIZE**-0.5, dropout=dropout)


def run_plainly(parts, lengths):
    """Return the output in fp32, each window by itself, and the parts that gradients come to."""
    exact = [part.detach().float().requires_grad_() for part in parts]
    windows = zip(*(part.split_with_sizes(lengths, dim=1) for part in exact), strict=True)
    outputs = [
        attend(*(part.transpose(1, 2) for part in window), scaling=HEAD_SIZE**-0.5, dropout=0.0).transpose(1, 2)
        for window in windows
    ]
    return torch.cat(outputs, dim=1), exact


def assert_close_in_each_window(given, expected, lengths, tolerance):
    """Compare (1, T, heads, d) window by window: long windows have the smaller values."""
    whole = expected.detach().square().mean().sqrt()
    pairs = zip(
        given.detach().float().split_with_sizes(lengths, dim=1),
        expected.detach().split_with_sizes(lengths, dim=1),
        strict=True,
    )
    for length, (ours, theirs) in zip(lengths, pairs, strict=True):
        error = (ours - theirs).square().mean().sqrt()
        # Of a window of one token query and key have no gradient, so only the others give a scale.
        scale = torch.maximum(theirs.square().mean().sqrt(), 2 * whole)
        assert torch.isfinite(ours).all()
        assert float(error) <= tolerance * float(scale) + 1e-6, f"window of {length}"


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize(("attention", "dtype"), CASES, ids=str)
def test_outputs_and_gradients_are_those_of_each_window_alone(attention, dtype, lengths, device):
    if not can_run(attention, dtype, device):
        pytest.skip(f"{attention} in {dtype} does not run on {device.type}")
    parts, gradient, borders = random_packed(lengths, dtype, device)
    # As long as a window can be, not as long as one is: that is what a model gives.
    output = run_packed(attention, parts, borders, longest=384)
    output.backward(gradient)
    expected, exact = run_plainly(parts, lengths)
    expected.backward(gradient.float())
    tolerance = TOLERANCE[dtype]
    assert output.shape == expected.shape
    assert_close_in_each_window(output, expected, lengths, tolerance)
    for part, plain in zip(parts, exact, strict=True):
        assert_close_in_each_window(part.grad, plain.grad, lengths, tolerance)


@pytest.mark.parametrize(("attention", "dtype"), CASES, ids=str)
def test_dropout_drops_the_same_weights_forward_and_backward(attention, dtype, device):
    if not can_run(attention, dtype, device):
        pytest.skip(f"{attention} in {dtype} does not run on {device.type}")
    lengths = (64, 384, 100)
    parts, gradient, borders = random_packed(lengths, dtype, device)
    torch.manual_seed(0)
    first, second = (run_packed(attention, parts, borders, longest=384, dropout=0.5) for _ in range(2))
    without = run_packed(attention, parts, borders, longest=384).detach()
    assert not torch.equal(first, second)
    assert not torch.equal(first, without)
    # The kept weights are doubled, so that the mean over draws is the output without dropout.
    draws = [run_packed(attention, parts, borders, longest=384, dropout=0.5).detach().float() for _ in range(64)]
    error = float((torch.stack(draws).mean(0) - without.float()).square().mean().sqrt())
    one = float((draws[0] - without.float()).square().mean().sqrt())
    assert error < 0.25 * one
    # The output is linear in the values: with other weights backward than forward the two products would differ.
    first.backward(gradient)
    forward = float((first.detach().double() * gradient.double()).sum())
    backward = float((parts[2].grad.double() * parts[2].detach().double()).sum())
    size = float((first.detach().double() * gradient.double()).abs().sum())
    assert abs(forward - backward) < TOLERANCE[dtype] * size


def attention_dropouts(model):
    """Return the modules whose probability attention takes."""
    return [module for name, module in model.named_modules() if name.endswith(("attention.dropout", "self.dropout"))]


@pytest.mark.parametrize("stack", ["unpadded", "unpadded+amp_bf16", "unpadded+bf16_weights"])
@pytest.mark.parametrize("source", ["distilbert-base-uncased", "bert-base-uncased"])
def test_losses_scatter_by_attention_dropout_as_the_padded_reference(stack, source, make_device_setup, windows):
    scatters = []
    for name in ("", stack):
        setup = make_device_setup(source, dropout=False)
        assert len(attention_dropouts(setup.model)) == 2
        for module in attention_dropouts(setup.model):
            module.p = 0.5
        for strategy in registry.resolve(name) if name else []:
            reason = strategy.not_applicable(setup)
            if reason is not None:
                pytest.skip(reason)
            setup = strategy.apply(setup)
        scatters.append(scatter(draw_losses(setup, windows)))
    expected, given = scatters
    assert expected > 0
    assert 0.5 < given / expected < 2.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_the_flash_path_reads_nothing_from_the_device(dtype):
    """Without a GPU: such tensors have no values, so that what reads one fails."""
    where = "cuda" if torch.backends.cuda.is_built() else "meta"
    with FakeTensorMode() if where == "cuda" else contextlib.nullcontext():
        query, key, value = (torch.empty(1, HEADS, 600, HEAD_SIZE, dtype=dtype, device=where) for _ in range(3))
        borders = torch.empty(6, dtype=torch.int32, device=where)
        output = attend_with_flash(query, key, value, borders, longest=384, scaling=0.125, dropout=0.1)
        assert output.shape == (1, 600, HEADS, HEAD_SIZE)
        assert (output.dtype, output.device.type) == (dtype, where)


@pytest.mark.parametrize("stack", ["unpadded+amp_bf16", "unpadded+bf16_weights"])
def test_in_half_precision_on_cuda_the_flash_kernel_is_what_runs(stack, make_cuda_setup, windows, monkeypatch):
    setup = make_cuda_setup(dropout=False)
    if choose_attention(setup.device, HEAD_SIZE) != "packed_varlen":
        pytest.skip("PyTorch's flash kernels don't run on this GPU")
    for strategy in registry.resolve(stack):
        setup = strategy.apply(setup)
    types = []

    def watched(query, *given, **named):
        types.append(query.dtype)
        return attend_with_flash(query, *given, **named)

    monkeypatch.setitem(ATTENTIONS, "packed_varlen", watched)
    set_packed_attention(setup.model, setup.model.config._attn_implementation, longest=setup.max_length)
    draw_losses(setup, windows)
    assert set(types) == {torch.bfloat16}
