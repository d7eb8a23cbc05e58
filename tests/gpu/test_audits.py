"""Audits on a CUDA device: states are kept in the stream, and the clock stands still meanwhile."""

from __future__ import annotations

import pytest
import torch

from harness import registry
from harness.experiment.trial import apply_strategies
from harness.measurement.clocks import make_step_clock
from harness.training.loop import set_process_flags

registry.load_all()
SLEEP_CYCLES = 200_000_000
"""A tenth of a second, about."""


@pytest.mark.parametrize("name", ["fused_adamw", "cuda_graphs", "prefetch", "foreach_clipping", "unpadded"])
def test_steps_of_honest_strategies_are_the_references(name, make_cuda_setup, windows, audit_steps):
    recipe = {"batch_size": 4, "epochs": 2}
    setup, refusal = apply_strategies(make_cuda_setup(**recipe), registry.resolve(name))
    if refusal is not None:
        pytest.skip(refusal)
    set_process_flags(setup)
    judged = audit_steps(setup, make_cuda_setup(**recipe), windows, lowers_precision=False)
    assert judged.problems == ()
    assert judged.unmade is None


def test_what_the_stream_does_in_a_pause_is_no_part_of_a_step(cuda):
    clock = make_step_clock(cuda)
    clock.start()
    with clock.pause():
        torch.cuda._sleep(SLEEP_CYCLES)
    clock.mark()
    assert clock.read()[0] < 0.2 * clock.read_paused_s()
