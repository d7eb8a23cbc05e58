"""Audited steps of every strategy that claims the reference's: none is called anything else."""

from __future__ import annotations

import pytest

from harness import registry
from harness.experiment.trial import apply_strategies
from harness.strategy import Effect
from harness.training.loop import set_process_flags

registry.load_all()
COMPILED = {"compile", "compile_cached"}
CLAIMS = {Effect.SAME_MATH, Effect.LOWER_PRECISION}
NAMES = [name for name in registry.names() if registry.get(name).effect in CLAIMS and name not in COMPILED]


@pytest.mark.parametrize("name", NAMES)
def test_its_steps_are_the_references(name, make_setup, windows, audit_steps):
    recipe = {"batch_size": 4, "epochs": 2}
    setup, refusal = apply_strategies(make_setup(**recipe), registry.resolve(name))
    if refusal is not None:
        pytest.skip(refusal)
    set_process_flags(setup)
    lowers = registry.get(name).effect is Effect.LOWER_PRECISION
    judged = audit_steps(setup, make_setup(**recipe), windows, lowers_precision=lowers)
    assert judged.problems == ()
    assert judged.agree
    assert judged.largest_update.update < 1e-5
