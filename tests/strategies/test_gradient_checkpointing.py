"""gradient_checkpointing: less is kept, the same is computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness import registry


def apply(setup):
    return registry.get("gradient_checkpointing")().apply(setup)


def kept_bytes(setup, windows):
    """Bytes that autograd keeps from forward to backward."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    weights = {p.untyped_storage().data_ptr() for p in setup.model.parameters()}
    batch = setup.collate(windows, np.arange(8))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = setup.forward_loss(setup.model, batch)
    loss.backward()
    return sum(size for pointer, size in kept.items() if pointer not in weights)


@pytest.mark.parametrize("source", ["distilbert-base-uncased", "bert-base-uncased"])
def test_less_is_kept_between_forward_and_backward(source, make_setup, windows):
    assert kept_bytes(apply(make_setup(source)), windows) < 0.5 * kept_bytes(make_setup(source), windows)


def test_dropout_draws_the_same_numbers_again(make_setup, windows):
    gradients = []
    for setup in (make_setup(), apply(make_setup())):
        torch.manual_seed(7)
        setup.forward_loss(setup.model, setup.collate(windows, np.arange(8))).backward()
        gradients.append({name: p.grad for name, p in setup.model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_refuses_a_model_without_blocks_that_are_known(make_setup):
    from dataclasses import replace

    setup = replace(make_setup(), model=torch.nn.Linear(2, 2))
    assert "does not support" in registry.get("gradient_checkpointing")().not_applicable(setup)
