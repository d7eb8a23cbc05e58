"""Footprints: equal where nothing changed, different where something did."""

from __future__ import annotations

import gc
import os
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from harness import registry
from harness.analysis.evidence.sameness import compare_footprints
from harness.experiment.footprint import describe_code, process_flags, take_footprint
from harness.experiment.plan import variables_of
from harness.experiment.segments import SegmentRunner
from harness.presets import preset
from harness.records.serialise import override


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


@pytest.mark.parametrize(
    ("change", "undo", "flag"),
    [
        (gc.disable, gc.enable, "garbage_collection"),
        (gc.freeze, gc.unfreeze, "garbage_collection_frozen"),
        (lambda: gc.set_threshold(7_000), lambda: gc.set_threshold(700), "garbage_collection_thresholds"),
        (lambda: torch.set_flush_denormal(True), lambda: torch.set_flush_denormal(False), "flush_denormals"),
    ],
    ids=["no collection", "frozen objects", "rare collection", "denormals"],
)
def test_a_setting_outside_the_setup_is_seen(change, undo, flag, make_setup):
    setup = make_setup()
    thresholds, before = gc.get_threshold(), process_flags(setup)
    change()
    try:
        after = process_flags(setup)
    finally:
        undo()
        gc.set_threshold(*thresholds)
    assert {name for name in after if after[name] != before[name]} == {flag}


def test_the_processors_that_may_be_used_are_seen(make_setup, monkeypatch):
    setup = make_setup()
    before = process_flags(setup)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4711}, raising=False)
    assert process_flags(setup) | {"processors": before["processors"]} == before
    assert process_flags(setup)["processors"] == "[4711]"


def test_more_frozen_objects_are_no_difference(make_setup):
    setup = make_setup()
    gc.freeze()
    try:
        before, kept = process_flags(setup), [[] for _ in range(1000)]
        gc.freeze()
        assert len(kept) == 1000
        assert process_flags(setup) == before
    finally:
        gc.unfreeze()


def test_a_variable_of_any_contender_is_seen_in_every_process(make_setup, monkeypatch):
    plugins = (str(Path(__file__).with_name("plugin_faults.py")),)
    registry.load_all(plugins)
    config = override(preset("smoke"), {"contenders": ["fused_adamw + sets_a_variable", "sdpa"]})
    variables = set(variables_of(config, "baseline", *config.contenders))
    assert variables == {"SPEEDPROOF_TEST_VARIABLE"}
    setup = make_setup()
    before = process_flags(setup, variables)
    monkeypatch.setenv("SPEEDPROOF_TEST_VARIABLE", "on")
    assert process_flags(setup, variables) == {**before, "SPEEDPROOF_TEST_VARIABLE": "on"}


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


def event(name, dtypes=(), shapes=()):
    return SimpleNamespace(name=lambda: name, dtypes=lambda: list(dtypes), shapes=lambda: list(shapes))


@pytest.fixture
def count_operators(monkeypatch, footprint, make_setup):
    """Return a function from what the profiler saw to the operators of a footprint."""

    def count(events):
        results = SimpleNamespace(events=lambda: events)
        seen = SimpleNamespace(profiler=SimpleNamespace(kineto_results=results))
        monkeypatch.setattr("harness.experiment.footprint.profile", lambda **_: nullcontext(seen))
        return footprint(make_setup()).training

    return count


def test_what_the_driver_does_for_itself_is_no_difference(count_operators):
    kernels = [event("aten::mm", ["float"], [[2, 2]]), event("cutlass::Kernel2<gemm>"), event("cublasLt::splitKreduce")]
    noise = [
        event("cudaLaunchKernel"),
        event("cuLaunchKernelEx"),
        event("cudaMalloc"),
        event("Activity Buffer Request"),
    ]
    assert count_operators([*kernels, *noise]) == count_operators(kernels)
    assert sum(count_operators(kernels).values()) == len(kernels)


def test_a_wait_for_the_device_is_a_difference(count_operators):
    assert count_operators([event("cudaDeviceSynchronize")]) == {"cudaDeviceSynchronize": 1}
