"""What each of the smaller strategies changes, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

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


def test_the_baseline_clips_in_a_loop_and_says_so(make_setup):
    setup = make_setup()
    assert knobs_of(setup)["clipping"] == "foreach=False"
    assert setup.clip_gradients.func is torch.nn.utils.clip_grad_norm_
    assert setup.clip_gradients.keywords == {"foreach": False}


@pytest.mark.parametrize("name", ["foreach_clipping", "cuda_graphs"])
def test_clipping_together_makes_few_operators_and_the_same_gradients(name, make_setup, assert_same_update, windows):
    reference, given = make_setup(dropout=False), make_setup(dropout=False)
    # The graphs' step itself needs CUDA; what it clips with does not.
    clipping = apply(name, given)
    assert knobs_of(clipping)["clipping"] == "foreach=True"
    assert_same_update(reference, replace(given, clip_gradients=clipping.clip_gradients))
    assert count_operators(clipping, given) < 10 < count_operators(reference, given)


def count_operators(setup, like):
    """How many operators it takes to clip gradients for a model of these sizes."""
    names = []

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), named=None):
            names.append(str(function))
            return function(*arguments, **(named or {}))

    parameters = [torch.nn.Parameter(value.detach().clone()) for value in like.model.parameters()]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    with Count():
        setup.clip_gradients(parameters, 1.0)
    return len(names)


def test_foreach_clipping_has_nothing_to_save_on_a_processor(make_setup):
    assert "launches" in registry.get("foreach_clipping")().not_applicable(make_setup())


def test_peers_clip_by_themselves_and_the_report_says_so(make_setup):
    pytest.importorskip("accelerate")
    assert knobs_of(apply("hf_trainer", make_setup()))["clipping"] == "transformers.Trainer's"


def test_sdpa_switches_the_attention_function(make_setup):
    setup = make_setup()
    assert knobs_of(setup)["attention"] == "eager"
    assert knobs_of(apply("sdpa", setup))["attention"] == "sdpa"


def test_amp_bf16_computes_products_in_bf16(make_setup, windows):
    import numpy as np

    setup = apply("amp_bf16", make_setup())
    seen = []
    linear = next(module for module in setup.model.modules() if isinstance(module, torch.nn.Linear))
    linear.register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    with setup.autocast():
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
