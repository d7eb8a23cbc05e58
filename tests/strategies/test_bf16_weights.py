"""bf16_weights: runs in bf16, trains and shows fp32 masters, near the fp32 update; applied here without native bf16."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness import registry
from harness.experiment.deviation import compare_updates
from harness.experiment.equivalence import make_updates
from harness.training.loop import account_work, make_trainer, train_epoch, warm_up
from optimizations.bf16_weights import loss_on_copies

MODELS = ("distilbert-base-uncased", "bert-base-uncased")
NUMBERS = np.arange(8)


def applied(setup, *others):
    for strategy in registry.resolve("+".join(("bf16_weights", *others))):
        setup = strategy.apply(setup)
    return setup


@pytest.mark.parametrize("source", MODELS)
@pytest.mark.parametrize("other", [(), ("unpadded",), ("fused_adamw",)])
def test_update_is_near_the_fp32_one(source, other, make_setup, windows):
    reference = make_updates(make_setup(source, dropout=False), windows)
    record = compare_updates(reference, make_updates(applied(make_setup(source, dropout=False), *other), windows))
    # bf16 keeps 8 bits of mantissa: 2^-8 = 0.4 % a rounding, some dozens of roundings in a row of two layers.
    assert record.losses == pytest.approx(record.losses_reference, rel=0.02)
    assert record.cosine > 0.99
    assert record.missing == ()
    assert record.losses != record.losses_reference


@pytest.mark.parametrize("source", MODELS)
def test_parameters_and_gradients_stay_fp32(source, make_setup, windows):
    setup = applied(make_setup(source))
    before = {name: id(parameter) for name, parameter in setup.model.named_parameters()}
    trainer = make_trainer(setup, windows)
    trainer.step(setup.collate(windows, NUMBERS))
    after = dict(setup.model.named_parameters())
    assert {name: id(parameter) for name, parameter in after.items()} == before
    assert {parameter.dtype for parameter in after.values()} == {torch.float32}
    assert {parameter.grad.dtype for parameter in after.values() if parameter.grad is not None} == {torch.float32}
    assert all(parameter.is_leaf and isinstance(parameter, torch.nn.Parameter) for parameter in after.values())


def test_blocks_compute_in_bf16_without_casts_of_activations(make_setup, windows):
    setup = applied(make_setup())
    seen = set()
    for module in setup.model.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.LayerNorm, torch.nn.Embedding)):
            module.register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = setup.forward_loss(setup.model, setup.collate(windows, NUMBERS))
    assert seen == {torch.bfloat16}
    assert loss.dtype == torch.float32


def test_the_next_step_sees_the_last_update(make_setup, windows):
    setup = applied(make_setup(dropout=False, learning_rate=0.01))
    trainer = make_trainer(setup, windows)
    losses = [float(trainer.step(setup.collate(windows, NUMBERS)).loss) for _ in range(3)]
    assert losses[2] < losses[0] - 0.01


def test_every_parameter_is_trained(make_setup, windows):
    setup = applied(make_setup(epochs=2))
    trainer = make_trainer(setup, windows)
    warm_up(trainer)
    result = train_epoch(trainer, epoch=1, first_step=1)
    assert all(step.applied for step in result.steps)
    plain = make_trainer(make_setup(epochs=2), windows)
    expected = account_work(plain, [train_epoch(plain, epoch=1, first_step=1)])
    assert account_work(trainer, [result]).untrained_tensors == expected.untrained_tensors


def test_a_frozen_parameter_gets_no_gradient(make_setup, windows):
    setup = applied(make_setup(epochs=1))
    frozen = setup.model.get_input_embeddings().weight
    frozen.requires_grad_(False)
    setup.forward_loss(setup.model, setup.collate(windows, NUMBERS)).backward()
    assert frozen.grad is None
    assert setup.model.qa_outputs.weight.grad is not None


def test_parameters_come_back_after_an_error(make_setup):
    model = make_setup().model
    before = dict(model.named_parameters())
    with pytest.raises(TypeError):
        loss_on_copies(lambda model, _: model(no_such_argument=None, input_ids="not a tensor"), model, None)
    assert all(parameter is before[name] for name, parameter in model.named_parameters())


def test_tied_weights_share_one_copy():
    first, second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    second.weight = first.weight
    model = torch.nn.Sequential(first, second)

    def loss(model, inputs):
        assert first.weight is second.weight
        return model(inputs).sum()

    loss_on_copies(loss, model, torch.ones(1, 3, dtype=torch.bfloat16)).backward()
    assert second.weight.grad.dtype == torch.float32


def test_refuses_emulated_bf16_and_a_loss_in_bf16(make_setup, monkeypatch):
    strategy = registry.get("bf16_weights")()
    monkeypatch.setattr("optimizations.amp_bf16.multiplies_bf16", lambda device: False)
    assert "bf16 products" in strategy.not_applicable(make_setup())
    monkeypatch.setattr("optimizations.amp_bf16.multiplies_bf16", lambda device: True)
    assert strategy.not_applicable(make_setup()) is None
    assert "loss_over" in strategy.not_applicable(make_setup(loss_over="row"))
