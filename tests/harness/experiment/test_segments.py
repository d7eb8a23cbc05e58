"""Segments train as a job does, under a schedule of their own."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.experiment.segments import SegmentRunner
from harness.strategy import make_trimming_collate


def test_weights_of_bf16_lose_no_update_to_a_long_warm_up_of_the_learning_rate(make_setup, windows):
    setup = make_setup(lr_warmup_ratio=0.1, batch_size=4)
    setup.model.to(torch.bfloat16)
    inputs = SimpleNamespace(train_windows=windows, validation_windows=windows)
    runner = SegmentRunner(setup, inputs, baseline_batch_size=4)
    runner.load_block("training", list(range(8)), rehearse=False)
    assert runner.run(repetitions=1).work["lost_updates"] == 0
    assert runner.setup.training.lr_warmup_ratio == 0.1


@pytest.fixture
def rehearsals(make_setup, windows, monkeypatch):
    """Return a function that loads blocks one after the other and says which of them were rehearsed."""

    def load(blocks, **changes):
        setup = replace(make_setup(batch_size=4), **changes)
        runner = SegmentRunner(
            setup, SimpleNamespace(train_windows=windows, validation_windows=windows), baseline_batch_size=4
        )
        passes = []
        run = runner.run
        monkeypatch.setattr(runner, "run", lambda repetitions: (passes.append(repetitions), run(repetitions)))
        rehearsed = []
        for kind, numbers in blocks:
            passes.clear()
            runner.load_block(kind, numbers, rehearse=True)
            rehearsed.append(bool(passes))
        return rehearsed

    return load


BLOCKS = [("training", [0, 1, 2, 3]), ("training", list(range(4, 12))), ("training", [0, 1])]


def test_batches_padded_to_one_length_are_rehearsed_once(rehearsals):
    assert rehearsals(BLOCKS) == [True, False, True]
    assert rehearsals([("evaluation", [0, 1]), ("evaluation", [3, 2]), ("training", [0, 1])]) == [True, False, True]


def test_batches_of_other_lengths_are_rehearsed_each_time(rehearsals, make_setup):
    trimming = make_trimming_collate(make_setup().collate)
    assert rehearsals(BLOCKS, collate=trimming) == [True, True, True]


def test_an_evaluation_of_which_nothing_is_known_is_rehearsed_each_time(rehearsals):
    def evaluate(setup, windows):
        return np.zeros((len(windows), 1)), np.zeros((len(windows), 1))

    assert rehearsals([("evaluation", [0, 1])] * 2, evaluate=evaluate) == [True, True]


@pytest.mark.parametrize(("windows_of_block", "sizes"), [(10, {4, 2}), (8, {4}), (3, {3})])
def test_sizes_of_batches_are_full_ones_and_the_rest(windows_of_block, sizes, make_setup, windows):
    inputs = SimpleNamespace(train_windows=windows, validation_windows=windows)
    runner = SegmentRunner(make_setup(batch_size=4), inputs, baseline_batch_size=4)
    runner.load_block("training", list(range(windows_of_block)), rehearse=True)
    assert runner._run_sizes == {"training": sizes, "evaluation": set()}
