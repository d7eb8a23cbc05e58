"""channels_last: not for transformers, right on convolutions."""

from __future__ import annotations

import torch
from torch import nn

from harness import registry
from optimizations.channels_last import apply_channels_last, count_4d_parameters


def test_refuses_a_transformer_and_says_why(make_setup):
    reason = registry.get("channels_last")().not_applicable(make_setup())
    assert reason is not None
    assert "no 4-D weights" in reason


def test_convolutions_keep_their_results_in_the_new_layout():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    images = torch.randn(2, 3, 16, 16)
    expected = model(images)
    assert apply_channels_last(model) == 2
    weight = model[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    given = model(images.to(memory_format=torch.channels_last))
    assert given.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(given, expected)


def test_applies_to_a_setup_whose_model_has_convolutions(make_setup):
    from dataclasses import replace

    setup = replace(make_setup(), model=nn.Sequential(nn.Conv2d(3, 8, 3)))
    strategy = registry.get("channels_last")()
    assert strategy.not_applicable(setup) is None
    assert strategy.apply(setup).knobs["memory format"] == "channels-last (1 weights)"
    assert count_4d_parameters(setup.model) == 1
