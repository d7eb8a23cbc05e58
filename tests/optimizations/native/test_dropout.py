"""Dropout as a module: what it drops, in which mode, and that backward drops the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from optimizations.native.dropout import FusedDropout, fuse_dropouts


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_backward_drops_what_forward_dropped(dtype):
    values = torch.ones(3, 50, 40, dtype=dtype, requires_grad=True)
    output = FusedDropout(0.25)(values)
    output.sum().backward()
    assert torch.equal(values.grad, output.detach())
    assert 0.65 < float((output != 0).double().mean()) < 0.85


def test_evaluation_and_probability_zero_change_nothing():
    values = torch.randn(4, 8)
    assert torch.equal(FusedDropout(0.5).eval()(values), values)
    assert torch.equal(FusedDropout(0.0)(values), values)


def test_what_the_kernels_do_not_take_goes_pytorchs_way():
    values = torch.ones(100, 100, dtype=torch.float64)
    assert set(FusedDropout(0.5)(values).unique().tolist()) == {0.0, 2.0}
    transposed = torch.ones(100, 30).t()
    assert FusedDropout(0.5)(transposed).shape == (30, 100)


def test_every_dropout_of_a_model_is_replaced_with_its_probability_and_mode():
    class Special(nn.Dropout):
        pass

    inner = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3))
    model = nn.ModuleDict({"inner": inner, "last": nn.Dropout(0.1).eval(), "special": Special(0.2)})
    fuse_dropouts(model)
    assert isinstance(inner[1], FusedDropout)
    assert (inner[1].p, inner[1].training) == (0.3, True)
    assert isinstance(model["last"], FusedDropout)
    assert (model["last"].p, model["last"].training) == (0.1, False)
    assert type(model["special"]) is Special
