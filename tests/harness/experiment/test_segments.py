"""Segments train as a job does, under a schedule of their own."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from harness.experiment.segments import SegmentRunner


def test_weights_of_bf16_lose_no_update_to_a_long_warm_up_of_the_learning_rate(make_setup, windows):
    setup = make_setup(lr_warmup_ratio=0.1, batch_size=4)
    setup.model.to(torch.bfloat16)
    inputs = SimpleNamespace(train_windows=windows, validation_windows=windows)
    runner = SegmentRunner(setup, inputs, baseline_batch_size=4)
    runner.load_block("training", list(range(8)), rehearse=False)
    runner.run(repetitions=1)
    assert runner.last_work["lost_updates"] == 0
    assert runner.setup.training.lr_warmup_ratio == 0.1
