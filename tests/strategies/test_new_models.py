"""Strategies that train another model: what they leave out, and that the work's record shows it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness import registry
from harness.training.loop import account_work, make_trainer, train_epoch
from optimizations.attention_dropout_off import attention_dropouts

MODELS = ("distilbert-base-uncased", "bert-base-uncased")


def apply(name, setup):
    return registry.get(name)().apply(setup)


def trained(setup, windows):
    trainer = make_trainer(setup, windows)
    result = train_epoch(trainer, epoch=1, first_step=1)
    return account_work(trainer, [result])


@pytest.mark.parametrize("source", MODELS)
def test_frozen_embeddings_keep_their_values(source, make_setup, windows):
    work = trained(apply("frozen_embeddings", make_setup(source, epochs=1)), windows)
    assert work.untrained_tensors
    assert all(".embeddings." in name for name in work.untrained_tensors)
    assert work.updates_applied == work.updates
    frozen = sum(p.numel() for n, p in make_setup(source).model.named_parameters() if ".embeddings." in n)
    assert work.trained_parameters == work.total_parameters - frozen


@pytest.mark.parametrize("source", MODELS)
def test_frozen_lower_layers_are_embeddings_and_the_first_of_two_blocks(source, make_setup, windows):
    setup = apply("frozen_lower_layers", make_setup(source, epochs=1))
    work = trained(setup, windows)
    assert {".embeddings." in name or ".layer.0." in name for name in work.untrained_tensors} == {True}
    upper = [name for name, _ in setup.model.named_parameters() if ".layer.1." in name or "qa_outputs" in name]
    assert not set(upper) & set(work.untrained_tensors)
    assert setup.knobs["frozen"].startswith("embeddings and 1 of 2 blocks")


def test_backward_ends_at_the_lowest_trained_block(make_setup, windows):
    import numpy as np

    setup = apply("frozen_lower_layers", make_setup())
    block = setup.model.distilbert.transformer.layer[0]
    outputs = []
    block.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    setup.forward_loss(setup.model, setup.collate(windows, np.arange(4))).backward()
    hidden = outputs[0] if isinstance(outputs[0], torch.Tensor) else outputs[0][0]
    assert not hidden.requires_grad


@pytest.mark.parametrize("source", MODELS)
def test_attention_dropout_goes_and_the_other_stays(source, make_setup):
    setup = make_setup(source)
    assert [dropout.p for dropout in attention_dropouts(setup.model)] == [0.1, 0.1]
    others = [
        module
        for module in setup.model.modules()
        if isinstance(module, torch.nn.Dropout) and module not in attention_dropouts(setup.model)
    ]
    before = [module.p for module in others]
    apply("attention_dropout_off", setup)
    assert [dropout.p for dropout in attention_dropouts(setup.model)] == [0.0, 0.0]
    assert [module.p for module in others] == before
    assert max(before) == pytest.approx(0.1)


def test_they_refuse_what_they_do_not_know(make_setup):
    setup = replace(make_setup(), model=torch.nn.Linear(2, 2))
    for name in ("frozen_embeddings", "frozen_lower_layers", "attention_dropout_off"):
        assert "Linear has no" in registry.get(name)().not_applicable(setup)
    assert "no dropout" in registry.get("attention_dropout_off")().not_applicable(make_setup(dropout=False))
