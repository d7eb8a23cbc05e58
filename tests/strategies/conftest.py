"""The equivalence check: one update of a strategy against the baseline's, dropout off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.strategy import StepOutcome, TrainSetup
from harness.training.loop import make_trainer


@dataclass(frozen=True, kw_only=True)
class Update:
    """What one update did."""

    outcome: StepOutcome
    gradients: dict[str, Tensor]
    parameters: dict[str, Tensor]


def one_update(setup: TrainSetup, windows) -> Update:
    """Run one step on the first eight windows; the optimizer's gradients are read before they are cleared."""
    trainer = make_trainer(setup, windows)
    batch = setup.collate(windows, np.arange(8))
    outcome = trainer.step(batch)
    return Update(
        outcome=outcome,
        gradients={name: p.grad.clone() for name, p in setup.model.named_parameters() if p.grad is not None},
        parameters={name: p.detach().clone() for name, p in setup.model.named_parameters()},
    )


@pytest.fixture
def assert_same_update(windows):
    """Return a check that two setups make the same update within `tolerance` of each tensor's largest value."""

    def check(reference: TrainSetup, contender: TrainSetup, *, tolerance: float = 1e-5) -> None:
        expected, given = one_update(reference, windows), one_update(contender, windows)
        torch.testing.assert_close(given.outcome.loss, expected.outcome.loss, rtol=tolerance, atol=tolerance)
        assert given.gradients.keys() == expected.gradients.keys()
        for name, gradient in expected.gradients.items():
            scale = float(gradient.abs().max()) + 1e-12
            assert float((given.gradients[name] - gradient).abs().max()) <= tolerance * scale + 1e-7, name
        for name, value in expected.parameters.items():
            # Adam's first update is lr·g/(|g|+eps): where |g| is near eps, rounding decides; so compare against lr.
            limit = 0.05 * reference.training.learning_rate
            large = expected.gradients[name].abs() > 1e-5 if name in expected.gradients else torch.ones_like(value) > 0
            assert float(((given.parameters[name] - value).abs() * large).max()) <= limit, name

    return check
