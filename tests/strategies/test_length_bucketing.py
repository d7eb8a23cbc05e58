"""length_bucketing: every window once an epoch, similar lengths together, another order each epoch and seed."""

from __future__ import annotations

import numpy as np
import pytest

from harness import registry
from harness.training.baseline import describe
from optimizations.length_bucketing import MEGABATCH, plan_bucketed_batches


@pytest.fixture
def many(windows):
    """More windows than one mega-batch of four to a batch holds."""
    return windows.select(np.tile(np.arange(len(windows)), 10))


def plan(setup, windows, *, seed=0, epoch=1):
    return plan_bucketed_batches(windows, setup.training, seed, epoch)


@pytest.mark.parametrize("batch_size", [1, 4, 7, 1000])
def test_every_window_comes_once_in_as_many_batches_as_the_baseline_has(batch_size, make_setup, many):
    setup = make_setup(batch_size=batch_size)
    batches = plan(setup, many)
    assert sorted(np.concatenate(batches)) == list(range(len(many)))
    assert max(len(batch) for batch in batches) <= batch_size
    assert len(batches) == -(-len(many) // batch_size)


def test_the_order_depends_on_seed_and_epoch_only(make_setup, many):
    setup = make_setup(batch_size=4)
    first = [batch.tolist() for batch in plan(setup, many)]
    assert first == [batch.tolist() for batch in plan(setup, many)]
    assert first != [batch.tolist() for batch in plan(setup, many, epoch=2)]
    assert first != [batch.tolist() for batch in plan(setup, many, seed=1)]


def test_lengths_within_a_batch_are_alike(make_setup, many):
    setup = make_setup(batch_size=4)
    spread = [np.ptp(many.lengths[batch]) for batch in plan(setup, many)]
    random = [np.ptp(many.lengths[batch]) for batch in setup.plan_batches(many, setup.training, 0, 1)]
    assert np.mean(spread) < 0.2 * np.mean(random)


def test_batches_are_not_ordered_by_length(make_setup, many):
    setup = make_setup(batch_size=4)
    means = np.array([many.lengths[batch].mean() for batch in plan(setup, many)])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5


def test_what_is_sorted_together_was_drawn_at_random(make_setup, many):
    """Windows of a mega-batch come from everywhere: a partner in one epoch need not be one in the next."""
    setup = make_setup(batch_size=4)
    assert len(many) > MEGABATCH * 4
    pairs = [{frozenset(batch.tolist()) for batch in plan(setup, many, epoch=epoch)} for epoch in (1, 2)]
    assert len(pairs[0] & pairs[1]) < 0.2 * len(pairs[0])


def test_batches_are_padded_to_their_longest_window_and_say_so(make_setup, many):
    setup = registry.get("length_bucketing")().apply(make_setup(batch_size=4))
    numbers = setup.plan_batches(many, setup.training, 0, 1)[0]
    assert setup.collate(many, numbers).inputs["input_ids"].shape == (4, many.lengths[numbers].max())
    knobs = describe(setup, setup.make_optimizer(setup.model, setup.training))
    assert "longest window" in knobs["padding"]
    assert str(MEGABATCH) in knobs["order"]
