"""Footprints: equal where nothing changed, different where something did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch

from harness import registry
from harness.analysis.sameness import compare_footprints
from harness.experiment.footprint import describe_code, take_footprint
from harness.experiment.segments import SegmentRunner


@pytest.fixture
def footprint(windows):
    """Return a function from a setup to its footprint."""
    inputs = SimpleNamespace(train_windows=windows, validation_windows=windows)
    return lambda setup: take_footprint(SegmentRunner(setup, inputs, baseline_batch_size=4))


@pytest.fixture
def baseline(footprint, make_setup):
    return footprint(make_setup())


def test_the_same_setup_leaves_the_same_footprint(baseline, footprint, make_setup):
    assert compare_footprints(baseline, footprint(make_setup())).aspects == ()


@pytest.mark.parametrize("name", ["fused_adamw", "sdpa"])
def test_a_strategy_is_inert_against_a_baseline_that_has_it_already(name, footprint, make_setup):
    strategy = registry.get(name)()
    plain, once = footprint(make_setup()), footprint(strategy.apply(make_setup()))
    twice = footprint(strategy.apply(strategy.apply(make_setup())))
    assert not compare_footprints(plain, once).inert
    assert compare_footprints(once, twice).inert


@pytest.mark.parametrize(
    ("change", "aspect"),
    [
        (lambda s: replace(s, compute_dtype=torch.bfloat16), "operators of training"),
        (lambda s: replace(s, training=replace(s.training, batch_size=8)), "operators of training"),
        (lambda s: replace(s, evaluate=lambda setup, w: s.evaluate(setup, w)), "host code"),
    ],
    ids=["dtype", "shapes", "host code"],
)
def test_what_changed_is_named(change, aspect, baseline, footprint, make_setup):
    difference = compare_footprints(baseline, footprint(change(make_setup())))
    assert any(text.startswith(aspect) for text in difference.aspects)


def test_a_setting_of_the_process_is_seen(baseline, footprint, make_setup):
    torch.use_deterministic_algorithms(True)
    try:
        difference = compare_footprints(baseline, footprint(make_setup()))
    finally:
        torch.use_deterministic_algorithms(False)
    assert any("deterministic False → True" in text for text in difference.aspects)


def test_functions_that_differ_only_in_a_closed_over_number_are_told_apart():
    def make(wait_s):
        def wait():
            return wait_s

        return wait

    assert describe_code(make(1.0)) == describe_code(make(1.0))
    assert describe_code(make(1.0)) != describe_code(make(2.0))


def test_a_callable_object_is_named_by_its_class():
    @dataclass
    class Loader:
        def __call__(self):
            return None

    assert "Loader" in describe_code(Loader())
