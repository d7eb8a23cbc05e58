"""Whether updates were applied, seen at samples of weights, and what looking costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.data.batching import Batch
from harness.measurement.clocks import StepClock
from harness.strategy import StepOutcome
from harness.training.applied import COMPARED_TOGETHER, UpdateWatch
from harness.training.recorder import EpochRecorder

VIEWS = ("view", "slice", "split", "detach", "alias", "lift_fresh")


def watch_steps(probes, change, steps):
    watch = UpdateWatch(probes)
    for number in range(steps):
        watch.begin(number)
        change(number)
        watch.end()
    return watch.read()


@pytest.mark.parametrize("steps", [1, COMPARED_TOGETHER - 1, COMPARED_TOGETHER, 2 * COMPARED_TOGETHER + 5])
def test_each_step_has_its_own_answer_however_many_there_are(steps):
    probes = [torch.zeros(5), torch.zeros(7), torch.zeros(7), torch.zeros(3)]
    lost = {0, 3, COMPARED_TOGETHER, steps - 1}

    def change(number):
        if number not in lost:
            for probe in probes:
                probe[-1] += 1

    assert watch_steps(probes, change, steps) == [number not in lost for number in range(steps)]


def test_the_head_alone_is_no_update_and_neither_is_what_was_not_looked_at():
    probes = [torch.zeros(5), torch.zeros(7), torch.zeros(7)]
    assert watch_steps(probes, lambda _: probes[0].add_(1), 3) == [False] * 3

    def change(_):
        probes[0].add_(1)
        probes[1].add_(1)

    assert watch_steps(probes, change, 4) == [True, False, True, False]


def test_the_copies_are_copies_also_of_one_probe_alone():
    probe = torch.zeros(5)
    assert watch_steps([probe], lambda _: probe.add_(1), 2) == [True, True]


def test_views_on_parameters_of_two_precisions_are_compared_exactly():
    weights = torch.zeros(4, 4, dtype=torch.bfloat16), torch.ones(4, 4)
    probes = [weights[0].view(-1)[::3], weights[1].view(-1)[::3]]

    def change(_):
        weights[0][0, 0] += 1e-30
        weights[1][0, 0] += 1.2e-7

    assert watch_steps(probes, change, 2) == [True, True]


def test_nan_is_no_value():
    before = torch.tensor([[0.0, 0.0], [0.0, 0.0], [math.nan, 0.0]])
    after = torch.tensor([[math.nan, 0.0], [math.nan, 1.0], [1.0, 0.0]])
    probe = torch.zeros(2)
    watch = UpdateWatch([probe])
    for number in range(3):
        probe.copy_(before[number])
        watch.begin(number)
        probe.copy_(after[number])
        watch.end()
    assert watch.read() == [False, True, True]


def test_a_step_ends_only_after_it_has_begun():
    with pytest.raises(RuntimeError, match="not begun"):
        UpdateWatch([torch.zeros(2)]).end()


@pytest.mark.parametrize(("masked", "most_launches"), [(False, 4), (True, 6)])
def test_recording_a_step_costs_a_handful_of_launches(masked, most_launches):
    """Every operator but views is a kernel launch on a GPU."""
    launches = []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), named=None):
            name = function._schema.name.removeprefix("aten::")
            if not name.startswith(VIEWS):
                launches.append(name)
            return function(*arguments, **(named or {}))

    ids, numbers = torch.ones(1, 64, dtype=torch.long), torch.zeros(4, dtype=torch.long)
    batch = Batch(
        inputs={"input_ids": ids, **({"attention_mask": torch.ones_like(ids)} if masked else {})},
        labels={"start_positions": numbers, "end_positions": numbers},
        window_index=np.arange(4),
        useful_tokens=64,
        computed_tokens=64,
    )
    parameter = torch.nn.Parameter(torch.zeros(8, 8))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    recorder = EpochRecorder(
        clock=StepClock(),
        scheduler=torch.optim.lr_scheduler.ConstantLR(optimizer),
        probes=[torch.zeros(1536), *(torch.zeros(4096) for _ in range(6))],
        first_step=1,
    )
    outcome = StepOutcome(loss=torch.tensor(1.0), gradient_norm=torch.tensor(1.0))
    steps = 4 * COMPARED_TOGETHER
    with Counting():
        for _ in range(steps):
            recorder.begin(batch)
            recorder.end(outcome)
    assert len(launches) / steps <= most_launches
