"""Sizes from configurations, held against the models that transformers builds from them."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForQuestionAnswering

from harness.config import ModelConfig
from harness.training.model import load_model_config
from harness.training.sizes import SIZE_NAMES, model_sizes

SMALL = (32, 3, 4, 48)


@pytest.mark.parametrize("model_type", SIZE_NAMES)
def test_sizes_and_parameters_are_the_models(model_type):
    names = dict(zip(SIZE_NAMES[model_type], SMALL, strict=True))
    config = AutoConfig.for_model(model_type, vocab_size=120, max_position_embeddings=40, **names)
    with torch.device("meta"):
        model = AutoModelForQuestionAnswering.from_config(config)
    sizes = model_sizes(config, head_parameters=lambda hidden: 2 * hidden + 2)
    assert (sizes["hidden_size"], sizes["layers"], sizes["heads"], sizes["intermediate_size"]) == SMALL
    assert sizes["parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_the_reference_model_has_66_million_parameters():
    config = load_model_config(ModelConfig(source="distilbert-base-uncased", weights="random"))
    assert model_sizes(config, head_parameters=lambda hidden: 2 * hidden + 2)["parameters"] == 66_364_418


def test_an_unknown_architecture_has_no_sizes():
    assert model_sizes(AutoConfig.for_model("albert")) == {}
