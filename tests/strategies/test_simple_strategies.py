"""What each of the smaller strategies changes, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from harness import registry
from harness.training.baseline import describe


def apply(name, setup):
    return registry.get(name)().apply(setup)


def knobs_of(setup):
    return describe(setup, setup.make_optimizer(setup.model, setup.training))


def test_fused_adamw_really_is_fused(make_setup):
    baseline = make_setup()
    assert knobs_of(baseline)["optimizer"] == "AdamW, foreach=False, fused=False"
    assert knobs_of(apply("fused_adamw", baseline))["optimizer"] == "AdamW, foreach=False, fused=True"


def test_fused_adamw_keeps_learning_rate_and_weight_decay(make_setup):
    setup = make_setup(learning_rate=0.25, weight_decay=0.125)
    optimizer = apply("fused_adamw", setup).make_optimizer(setup.model, setup.training)
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.25, 0.125)


def test_sdpa_switches_the_attention_function(make_setup):
    setup = make_setup()
    assert knobs_of(setup)["attention"] == "eager"
    assert knobs_of(apply("sdpa", setup))["attention"] == "sdpa"


def test_amp_bf16_computes_products_in_bf16(make_setup, windows):
    import numpy as np

    from harness.training.step import autocast

    setup = apply("amp_bf16", make_setup())
    seen = []
    linear = next(module for module in setup.model.modules() if isinstance(module, torch.nn.Linear))
    linear.register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    with autocast(setup):
        setup.forward_loss(setup.model, setup.collate(windows, np.arange(2)))
    assert seen == [torch.bfloat16]
    assert knobs_of(setup)["weights dtype"] == "float32"


def test_larger_batches_scale_learning_rate_by_the_square_root(make_setup):
    setup = apply("larger_batches", make_setup(batch_size=8, learning_rate=1e-4))
    assert setup.training.batch_size == 32
    assert setup.training.learning_rate == pytest.approx(2e-4)


@pytest.mark.parametrize("name", ["amp_fp16", "tf32"])
def test_cuda_only_strategies_say_so_on_a_processor(name, make_setup):
    assert "CUDA" in registry.get(name)().not_applicable(make_setup())
