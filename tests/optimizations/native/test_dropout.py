"""Dropout as a module: what it drops, in which mode, and that backward drops the same."""

from __future__ import annotations

import pytest
import torch

from optimizations.native.dropout import FusedDropout


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
