"""Each kernel against autograd in float64, and what dropout keeps."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from harness.errors import StrategyError
from optimizations.native.kernels import (
    NO_DROPOUT,
    Dropout,
    bias_dropout_residual_norm,
    bias_dropout_residual_norm_backward,
    bias_gelu,
    bias_gelu_backward,
    draw_dropout,
    drop,
    softmax_dropout,
    softmax_dropout_backward,
    sum_rows,
)

SHAPES = [(1, 1), (3, 7), (32, 64), (67, 100), (5, 771)]
"""Less than a vector, whole vectors, and some elements more; fewer rows than parts of a sum, and more."""

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""Of the largest value. A bfloat16 result is rounded once or twice to 8 bits of mantissa (2^-8 = 0.4 % each)."""

TYPES = list(TOLERANCE)
PROBABILITIES = [0.0, 0.1]


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape).to(dtype)


def mask_of(dropout: Dropout, rows: int, width: int) -> Tensor:
    """Return the factors of a mask: 0 or 1 / (1 - p). The softmax of zeros is the same everywhere."""
    if not dropout.keep_below:
        return torch.ones(rows, width)
    scores, dropped = torch.zeros(rows, width), torch.empty(rows, width)
    softmax_dropout(scores, dropped, scale=1.0, dropout=dropout)
    return dropped * width


def assert_near(given: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    assert given.shape == expected.shape
    limit = TOLERANCE[dtype] * float(expected.abs().max()) + 1e-12
    assert float((given.double() - expected).abs().max()) <= limit


def double(tensor: Tensor) -> Tensor:
    return tensor.double().requires_grad_()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("probability", PROBABILITIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_softmax_with_dropout_equals_autograd(shape, probability, dtype):
    scores, given = random(*shape, dtype=dtype) * 4, random(*shape, dtype=dtype)
    dropout = draw_dropout(probability)
    wanted = double(scores)
    softmax = (wanted * 0.25).softmax(-1)
    result = softmax * mask_of(dropout, *shape).double()
    (expected,) = torch.autograd.grad(result, wanted, given.double())

    kept, dropped, gradient = scores.clone(), torch.empty_like(scores), given.clone()
    softmax_dropout(kept, dropped, scale=0.25, dropout=dropout)
    assert_near(kept, softmax.detach(), dtype)
    if probability:
        assert_near(dropped, result.detach(), dtype)
    made_again = torch.empty_like(scores)
    softmax_dropout_backward(kept, gradient, made_again, scale=0.25, dropout=dropout)
    # The gradients of a row sum to 0: what is rounded is the terms, not their small differences.
    scale = 0.25 * float((softmax.detach() * given.double()).abs().max())
    assert float((gradient.double() - expected).abs().max()) <= TOLERANCE[dtype] * scale
    if probability:
        assert torch.equal(made_again != 0, dropped != 0)
        assert_near(made_again, result.detach(), dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_bias_with_gelu_equals_autograd(shape, dtype):
    values, bias, given = random(*shape, dtype=dtype) * 2, random(shape[1]), random(*shape, dtype=dtype)
    wanted_values, wanted_bias = double(values), double(bias)
    expected = functional.gelu(wanted_values + wanted_bias)
    expected_gradients = torch.autograd.grad(expected, (wanted_values, wanted_bias), given.double())

    assert_near(bias_gelu(values, bias), expected.detach(), dtype)
    gradient = given.clone()
    bias_gradient = bias_gelu_backward(values, bias, gradient)
    assert_near(gradient, expected_gradients[0], dtype)
    assert_near(bias_gradient, expected_gradients[1], dtype)


def test_gelu_is_exact_far_from_zero_too():
    values = torch.linspace(-5.0, 40.0, 20_000)[None]
    given = bias_gelu(values, torch.zeros(20_000)).double()
    expected = functional.gelu(values.double())
    assert float((given - expected).abs().max()) < 4e-6
    assert float((given / expected - 1).abs()[expected != 0].max()) < 2e-6
    assert float(bias_gelu(torch.full((1, 1), -100.0), torch.zeros(1)).abs()) < 1e-30


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("probability", PROBABILITIES)
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[1] > 1])
def test_bias_dropout_residual_and_norm_equal_autograd(shape, probability, dtype):
    values, residual, given = (random(*shape, dtype=dtype) for _ in range(3))
    bias, weight, shift = (random(shape[1]) for _ in range(3))
    dropout = draw_dropout(probability)
    inputs = [double(tensor) for tensor in (residual, values, weight, shift, bias)]
    dropped = (inputs[1] + inputs[4]) * mask_of(dropout, *shape).double()
    expected = functional.layer_norm(dropped + inputs[0], shape[1:], inputs[2], inputs[3], eps=1e-12)
    expected_gradients = torch.autograd.grad(expected, inputs, given.double())

    normalised = values.clone()
    output, inverse = bias_dropout_residual_norm(
        normalised, bias, residual, weight, shift, epsilon=1e-12, dropout=dropout
    )
    assert_near(output, expected.detach(), dtype)
    residual_gradient, values_gradient, sums = bias_dropout_residual_norm_backward(
        normalised, inverse, weight, given, dropout=dropout
    )
    for ours, wanted in zip((residual_gradient, values_gradient, *sums), expected_gradients, strict=True):
        assert_near(ours, wanted, dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_dropout_alone_is_the_mask_times_the_values(shape, dtype):
    values, dropout = random(*shape, dtype=dtype), draw_dropout(0.3)
    given = drop(values, dropout=dropout)
    assert given.dtype == dtype
    assert_near(given, values.double() * mask_of(dropout, *shape).double(), dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_over_rows_are_made_in_float(shape, dtype):
    values = random(*shape, dtype=dtype)
    given = sum_rows(values)
    assert given.dtype == torch.float32
    # Not in the storage type, whose rounding would be a hundred times as large.
    torch.testing.assert_close(given.double(), values.double().sum(0), rtol=1e-5, atol=1e-5)


def test_bfloat16_rounds_to_nearest_even_as_pytorch_does():
    # GELU is the identity above 6, so the last four lie halfway between two neighbours.
    halfway = [8 * (1 + odd / 256) for odd in (1, 3, 5, 7)]
    values = torch.cat([torch.randn(5000), torch.tensor([0.0, -0.0, 3e38, *halfway])])
    given = bias_gelu(torch.zeros(1, len(values), dtype=torch.bfloat16), values)
    in_float = bias_gelu(torch.zeros(1, len(values)), values)
    assert in_float[0, -4:].tolist() == halfway
    assert torch.equal(given, in_float.bfloat16())


@pytest.mark.parametrize("dtype", TYPES)
def test_what_is_not_a_number_stays_visible(dtype):
    # All bits set but the sign: adding to this one carelessly gives -0.
    nan = torch.tensor([0x7FFFFFFF], dtype=torch.int32).view(torch.float32)
    assert bias_gelu(torch.zeros(1, 1, dtype=dtype), nan).isnan().all()
    broken = torch.ones(2, 9, dtype=dtype)
    broken[0, 4] = nan
    assert bias_gelu(broken, torch.zeros(9)).isnan().sum() == 1
    scores = broken.clone()
    softmax_dropout(scores, None, scale=1.0, dropout=NO_DROPOUT)
    ones = torch.ones(9)
    output, _ = bias_dropout_residual_norm(
        broken.clone(), ones, broken.clone(), ones, ones, epsilon=1e-6, dropout=NO_DROPOUT
    )
    for result in (scores, output):
        assert result[0].isnan().all()
        assert not result[1].isnan().any()


def test_no_rows_are_no_work():
    output = bias_gelu(torch.empty(0, 8), torch.zeros(8))
    assert output.shape == (0, 8)
    assert bias_gelu_backward(torch.empty(0, 8), torch.zeros(8), torch.empty(0, 8)).abs().max() == 0
    assert sum_rows(torch.empty(0, 8)).abs().max() == 0
    assert drop(torch.empty(0, 8), dropout=draw_dropout(0.1)).shape == (0, 8)
    softmax_dropout(torch.empty(4, 0), None, scale=1.0, dropout=NO_DROPOUT)


def run_everything(seed: int) -> list[Tensor]:
    """Run every kernel on the same inputs, masks from `seed`."""
    generator = torch.Generator().manual_seed(seed)
    values, residual, given = (torch.randn(83, 131, generator=generator) for _ in range(3))
    columns = [torch.randn(131, generator=generator) for _ in range(3)]
    dropout = Dropout(seed, 2**31, 2.0)
    softmax, dropped, scores_gradient = values.clone(), torch.empty_like(values), given.clone()
    softmax_dropout(softmax, dropped, scale=0.5, dropout=dropout)
    softmax_dropout_backward(softmax, scores_gradient, dropped, scale=0.5, dropout=dropout)
    gelu_gradient, normalised = given.clone(), values.clone()
    gelu_bias_gradient = bias_gelu_backward(values, columns[0], gelu_gradient)
    norm = bias_dropout_residual_norm(normalised, *columns[:1], residual, *columns[1:], epsilon=1e-12, dropout=dropout)
    back = bias_dropout_residual_norm_backward(normalised, norm[1], columns[1], given, dropout=dropout)
    gelu = bias_gelu(values, columns[0])
    alone = [drop(values, dropout=dropout), sum_rows(values)]
    return [
        *alone,
        softmax,
        dropped,
        scores_gradient,
        gelu,
        gelu_gradient,
        gelu_bias_gradient,
        normalised,
        *norm,
        *back,
    ]


def test_results_do_not_depend_on_the_number_of_threads():
    alone = run_everything(1)
    torch.set_num_threads(3)
    try:
        together = run_everything(1)
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_two_python_threads_do_not_disturb_each_other():
    expected = {seed: run_everything(seed) for seed in (1, 2)}
    wrong: list[int] = []

    def repeat(seed: int) -> None:
        for _ in range(20):
            given = run_everything(seed)
            if not all(torch.equal(a, b) for a, b in zip(given, expected[seed], strict=True)):
                wrong.append(seed)

    threads = [threading.Thread(target=repeat, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_dropout_drops_with_its_probability_and_scales_what_it_keeps(probability):
    dropout = draw_dropout(probability)
    mask = mask_of(dropout, 1000, 1000)
    kept = mask != 0
    # Six standard deviations of the mean of a million draws.
    assert float(kept.double().mean()) == pytest.approx(
        1 - probability, abs=6e-3 * (probability * (1 - probability)) ** 0.5
    )
    assert mask[kept].unique().numpy() == pytest.approx(1 / (1 - probability), rel=1e-6)
    assert dropout.keep_below / 2**32 == pytest.approx(1 - probability, abs=1e-9)
    for axis in (0, 1):
        spread = kept.double().mean(axis)
        assert float(spread.var() / (probability * (1 - probability) / 1000)) == pytest.approx(1.0, abs=0.3)


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten().double(), b.flatten().double()]))[0, 1])


def test_elements_rows_and_calls_are_independent():
    first, second = (mask_of(draw_dropout(0.1), 1000, 1000) != 0 for _ in range(2))
    pairs = [(first[:, lag:], first[:, :-lag]) for lag in (1, 2, 8, 16, 256)]
    pairs += [(first[lag:], first[:-lag]) for lag in (1, 2, 16)]
    # Rows whose keys are near each other must not be shifted copies of each other.
    pairs += [(first[1:, lag:], first[:-1, :-lag]) for lag in (1, 3)]
    pairs += [(first, second), (first, first.T)]
    # Six standard deviations of the correlation of a million independent pairs.
    assert max(abs(correlation(a, b)) for a, b in pairs) < 6e-3


def test_no_row_is_another_one_shifted():
    mask = mask_of(Dropout(1, 2**31, 2.0), 60_000, 64).numpy() != 0
    bits = mask.astype(np.uint64) << np.arange(64, dtype=np.uint64)
    rows = np.bitwise_or.reduce(bits, axis=1)
    # 48 draws from each of 17 places; by chance any two of the million are equal once in 500 runs.
    parts = np.concatenate([(rows >> np.uint64(shift)) & np.uint64(2**48 - 1) for shift in range(17)])
    assert len(np.unique(parts)) == len(parts)


def test_the_mask_comes_from_pytorchs_generator():
    torch.manual_seed(5)
    first, second = (mask_of(draw_dropout(0.5), 4, 64) for _ in range(2))
    torch.manual_seed(5)
    assert torch.equal(mask_of(draw_dropout(0.5), 4, 64), first)
    assert not torch.equal(first, second)


def test_no_dropout_draws_no_random_number():
    before = torch.get_rng_state()
    assert draw_dropout(0.0).keep_below == 0
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("probability", [-0.1, 1.0, float("nan")])
def test_impossible_probabilities_are_refused(probability):
    with pytest.raises(StrategyError, match="not in"):
        draw_dropout(probability)


@pytest.mark.parametrize(
    ("values", "bias", "what"),
    [
        (torch.zeros(4, 8).t(), torch.zeros(4), "contiguous"),
        (torch.zeros(4, 8), torch.zeros(7), "float32"),
        (torch.zeros(4, 8), torch.zeros(8).double(), "float32"),
    ],
)
def test_tensors_that_a_pointer_would_misread_are_refused(values, bias, what):
    with pytest.raises(ValueError, match=what):
        bias_gelu(values, bias)


def test_other_storage_types_are_refused():
    with pytest.raises(ValueError, match="float64"):
        bias_gelu(torch.zeros(4, 8).double(), torch.zeros(8))
    with pytest.raises(ValueError, match="differ"):
        bias_gelu_backward(torch.zeros(4, 8), torch.zeros(8), torch.zeros(4, 8).bfloat16())
