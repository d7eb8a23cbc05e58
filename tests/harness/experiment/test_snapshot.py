"""Snapshots of steps: what the optimizer did is read from its moments."""

from __future__ import annotations

import pytest
import torch
from torch.optim import AdamW

from harness.experiment.snapshot import load_snapshot, save_tables, used_gradient


@pytest.fixture
def take_step(tmp_path):
    """Return a function that takes AdamW steps and loads a snapshot of the last; it gives the last gradient too."""

    def take(*, steps=3, planned=1e-3, **settings):
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(40, 30) * 0.05)
        optimizer = AdamW([weight], **{"lr": 1e-3, "weight_decay": 0.01, **settings})
        for _ in range(steps):
            before = weight.detach().clone()
            moments = {name: value.clone() for name, value in optimizer.state.get(weight, {}).items()}
            gradient = torch.randn_like(weight) * 0.01
            weight.grad = gradient.clone()
            optimizer.step()
            weight.grad = None
        group = optimizer.param_groups[0]
        named = {name: {"w": moments[name]} for name in ("exp_avg", "exp_avg_sq") if moments}
        tables = {"before": {"w": before}, "after": {"w": weight}, **named}
        tables["exp_avg_after"] = {"w": optimizer.state[weight]["exp_avg"]}
        facts = {"updates_before": steps - 1, "dtype": "float32", "loss": 1.5, "gradient_norm": 2.0}
        facts |= {name: group[name] for name in ("betas", "eps", "weight_decay")}
        path = tmp_path / "step.safetensors"
        save_tables(path, tables, {"random_state": torch.get_rng_state()}, facts)
        snapshot = load_snapshot(path, epoch=1, step=steps, numbers=(3, 1), learning_rate_after=lambda _: planned)
        return snapshot, gradient

    return take


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_gradient_is_read_from_the_moments_though_it_is_gone(take_step, steps):
    snapshot, gradient = take_step(steps=steps)
    assert torch.allclose(used_gradient(snapshot)["w"], gradient, rtol=0, atol=1e-8)
    assert snapshot.updates_before == steps - 1


@pytest.mark.parametrize("settings", [{}, {"fused": True}, {"weight_decay": 0.0}, {"betas": (0.8, 0.99), "eps": 1e-6}])
def test_the_learning_rate_is_found_in_the_update_whatever_the_optimizer_says(take_step, settings):
    snapshot, _ = take_step(**settings)
    assert snapshot.learning_rate == pytest.approx(1e-3, rel=2e-5)
    late, _ = take_step(lr=1.1e-3, **settings)
    assert late.learning_rate == pytest.approx(1.1e-3, rel=2e-5)
    assert late.planned_learning_rate == 1e-3


def test_what_was_planned_is_not_the_contenders_to_tell(take_step):
    snapshot, _ = take_step()
    assert (snapshot.epoch, snapshot.step, snapshot.numbers) == (1, 3, (3, 1))
    assert (snapshot.loss, snapshot.gradient_norm, snapshot.dtype) == (1.5, 2.0, "float32")
    assert torch.equal(snapshot.random_state, torch.get_rng_state())
    assert snapshot.cuda_random_state is None


def test_a_first_step_has_no_moments_before_it(take_step):
    snapshot, _ = take_step(steps=1)
    assert snapshot.exp_avg == snapshot.exp_avg_sq == {}
