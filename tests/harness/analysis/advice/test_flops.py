"""Operations of useful work, held against PyTorch's own counter and against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.analysis.advice.flops import (
    TRAINING_FACTOR,
    LengthSums,
    ModelSizes,
    inference_flops,
    read_length_sums,
    read_model_sizes,
)
from harness.training.sizes import model_sizes

DISTILBERT = ModelSizes(hidden_size=768, layers=6, intermediate_size=3072)


def windows_of(count, length):
    return LengthSums(tokens=count * length, squared_tokens=count * length**2)


@pytest.mark.parametrize("source", ["distilbert-base-uncased", "bert-base-uncased"])
def test_pytorch_counts_the_same(source, make_setup):
    model = make_setup(source).model
    sizes = read_model_sizes(model_sizes(model.config))
    batch = {
        "input_ids": torch.randint(1000, 2000, (3, 20)),
        "start_positions": torch.tensor([1, 2, 3]),
        "end_positions": torch.tensor([4, 5, 6]),
    }
    with FlopCounterMode(display=False) as counter:
        loss = model(**batch).loss
    assert counter.get_total_flops() == inference_flops(sizes, windows_of(3, 20))
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    total = counter.get_total_flops() + backward.get_total_flops()
    assert total == TRAINING_FACTOR * inference_flops(sizes, windows_of(3, 20))


def test_distilbert_at_384_tokens_and_at_squads_lengths():
    # 42.5 M weights of the encoder; the head has 1,536 more.
    assert DISTILBERT.linear_weights == 6 * (4 * 768**2 + 2 * 768 * 3072) + 1536 == 42_468_864
    padded = windows_of(1, 384)
    assert TRAINING_FACTOR * inference_flops(DISTILBERT, padded) / padded.tokens == pytest.approx(276e6, rel=0.001)
    # SQuAD's windows: mean 180, standard deviation 64.
    squad = LengthSums(tokens=180.0, squared_tokens=180.0**2 + 64.0**2)
    assert TRAINING_FACTOR * inference_flops(DISTILBERT, squad) / squad.tokens == pytest.approx(266e6, rel=0.001)


def test_attention_grows_with_the_square_of_the_length():
    sizes = ModelSizes(hidden_size=8, layers=2, intermediate_size=16)
    linear = 2 * (2 * (4 * 64 + 2 * 8 * 16) + 16)
    assert inference_flops(sizes, windows_of(1, 10)) == linear * 10 + 2 * 4 * 8 * 100
    assert inference_flops(sizes, windows_of(1, 20)) == linear * 20 + 2 * 4 * 8 * 400
    assert TRAINING_FACTOR * inference_flops(sizes, windows_of(5, 10)) == 15 * inference_flops(sizes, windows_of(1, 10))


def test_what_was_not_recorded_is_none():
    assert read_model_sizes({}) is None
    assert read_length_sums({"train_windows": 3}, "train") is None
    data = {"train_tokens": 12, "train_squared_tokens": 50}
    assert read_length_sums(data, "train") == LengthSums(tokens=12, squared_tokens=50)
    assert read_length_sums(data, "validation") is None
