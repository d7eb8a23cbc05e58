"""The training loop: what it does to the parameters, and what it says of it."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.training.baseline import describe
from harness.training.loop import (
    account_work,
    make_trainer,
    set_process_flags,
    train_epoch,
    warm_up,
)
from harness.training.recorder import EpochRecorder


def run(setup, windows):
    trainer = make_trainer(setup, windows)
    results, done = [], 0
    for epoch in range(1, setup.training.epochs + 1):
        if done < trainer.total_steps:
            results.append(train_epoch(trainer, epoch=epoch, first_step=done + 1))
            done += len(results[-1].steps)
    return trainer, results


def train(setup, windows):
    return run(setup, windows)[1]


def work_of(setup, windows):
    return account_work(*run(setup, windows))


def test_steps_count_on_over_epochs_and_every_window_is_seen_once(make_setup, windows):
    results = train(make_setup(epochs=2, batch_size=5), windows)
    assert [step.step for result in results for step in result.steps] == list(range(1, 11))
    for result in results:
        assert sorted(result.window_order) == list(range(24))
        assert [step.windows for step in result.steps] == [5, 5, 5, 5, 4]


def test_order_depends_on_seed_and_epoch_only(make_setup, windows):
    orders = {
        seed: [result.window_order.tolist() for result in train(make_setup(seed=seed), windows)] for seed in (1, 2)
    }
    again = [result.window_order.tolist() for result in train(make_setup(seed=1), windows)]
    assert orders[1] == again
    assert orders[1] != orders[2]
    assert orders[1][0] != orders[1][1]


def test_same_seed_gives_the_same_training(make_setup, windows):
    first, second = (train(make_setup(seed=3), windows) for _ in range(2))
    assert [s.loss for r in first for s in r.steps] == pytest.approx(
        [s.loss for r in second for s in r.steps], rel=1e-6
    )


def test_loss_falls_when_one_batch_is_learned_by_heart(make_setup, windows):
    setup = make_setup(dropout=False, epochs=60, batch_size=24, learning_rate=1e-2)
    results = train(setup, windows)
    assert results[-1].loss < 0.5 * results[0].loss


def test_linear_schedule_falls_to_zero_and_lr_warm_up_rises(make_setup, windows):
    setup = make_setup(epochs=2, batch_size=4, learning_rate=1.0, lr_warmup_ratio=0.25)
    rates = [step.learning_rate for result in train(setup, windows) for step in result.steps]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, *(1 - i / 9 for i in range(1, 9))])


def test_max_steps_ends_in_the_middle_of_an_epoch(make_setup, windows):
    results = train(make_setup(epochs=3, batch_size=4, max_steps=8), windows)
    assert [len(result.steps) for result in results] == [6, 2]


def test_an_update_that_changes_nothing_is_seen(make_setup, windows):
    setup = make_setup(learning_rate=0.0)
    assert not any(step.applied for result in train(setup, windows) for step in result.steps)


def test_an_optimizer_that_skips_every_second_step_is_seen(make_setup, windows):
    class Skipping(torch.optim.SGD):
        calls = 0

        def step(self, closure=None):
            self.calls += 1
            return super().step(closure) if self.calls % 2 else None

    setup = make_setup(epochs=1, batch_size=4)
    setup = replace(setup, make_optimizer=lambda model, _training: Skipping(model.parameters(), lr=0.1))
    applied = [step.applied for result in train(setup, windows) for step in result.steps]
    assert applied == [True, False, True, False, True, False]
    assert work_of(setup, windows).updates_applied == 3


def test_gradient_norm_is_the_one_before_clipping(make_setup, windows):
    free = train(make_setup(dropout=False, epochs=1, max_grad_norm=1e9, max_steps=1), windows)
    clipped = train(make_setup(dropout=False, epochs=1, max_grad_norm=1e-6, max_steps=1), windows)
    assert clipped[0].steps[0].gradient_norm == pytest.approx(free[0].steps[0].gradient_norm)


def test_work_counts_tokens_with_and_without_padding(make_setup, windows):
    work = work_of(make_setup(epochs=1, batch_size=8), windows)
    assert work.useful_tokens == int(windows.lengths.sum())
    assert work.computed_tokens == 24 * 64
    assert work.token_id_sum == int(windows.input_ids.sum())
    assert (work.windows, work.updates) == (24, 3)


def test_work_hashes_tell_order_and_learning_rates_apart(make_setup, windows):
    base = work_of(make_setup(epochs=1), windows)
    assert work_of(make_setup(epochs=1), windows).order_sha256 == base.order_sha256
    other_order = work_of(make_setup(epochs=1, seed=5), windows)
    assert other_order.order_sha256 != base.order_sha256
    assert other_order.learning_rate_sha256 == base.learning_rate_sha256
    other_rate = work_of(make_setup(epochs=1, learning_rate=0.5), windows)
    assert other_rate.learning_rate_sha256 != base.learning_rate_sha256


def test_warm_up_runs_each_batch_shape_and_changes_neither_parameters_nor_random_state(make_setup, windows):
    setup = make_setup(batch_size=5)
    trainer = make_trainer(setup, windows)
    before = {name: value.clone() for name, value in setup.model.state_dict().items()}
    random_before = torch.get_rng_state()
    assert warm_up(trainer) == 2
    assert torch.equal(torch.get_rng_state(), random_before)
    assert all(torch.equal(value, before[name]) for name, value in setup.model.state_dict().items())
    assert all(parameter.grad is None for parameter in setup.model.parameters())


def test_divergence_is_noticed(make_setup, windows):
    setup = make_setup(epochs=1)
    with torch.no_grad():
        make_trainer(setup, windows).probes[0].fill_(math.nan)
    first = train(setup, windows)[0].steps[0]
    assert (first.step, math.isnan(first.loss)) == (1, True)
    assert all(math.isfinite(step.loss) for step in train(make_setup(epochs=1), windows)[0].steps)


def test_epoch_loss_weights_a_smaller_last_batch_by_its_windows(make_setup, windows):
    result = train(make_setup(epochs=1, batch_size=16), windows)[0]
    expected = np.average([step.loss for step in result.steps], weights=[16, 8])
    assert result.loss == pytest.approx(expected)


def test_tokens_are_counted_in_the_tensors_and_not_taken_from_the_batchs_word(make_setup, windows):
    setup = make_setup(epochs=1, batch_size=8)

    def shortened(source, numbers):
        batch = setup.collate(source, numbers)
        return replace(batch, inputs={name: value[:, :20] for name, value in batch.inputs.items()})

    work = work_of(replace(setup, collate=shortened), windows)
    assert work.useful_tokens == int(np.minimum(windows.lengths, 20).sum())
    assert work.computed_tokens == 24 * 20
    assert work.token_id_sum < int(windows.input_ids.sum())


def test_parameters_that_training_leaves_alone_are_named(make_setup, windows):
    setup = make_setup(epochs=1)
    for name, parameter in setup.model.named_parameters():
        parameter.requires_grad = name.startswith("qa_outputs")
    work = work_of(setup, windows)
    assert work.trained_parameters == sum(p.numel() for p in setup.model.qa_outputs.parameters())
    assert work.total_parameters == sum(p.numel() for p in setup.model.parameters())
    assert "distilbert.transformer.layer.0.ffn.lin1.weight" in work.untrained_tensors


def test_the_baseline_trains_every_tensor(make_setup, windows):
    work = work_of(make_setup(epochs=1), windows)
    assert work.untrained_tensors == ()
    assert work.trained_parameters == work.total_parameters


def test_an_update_of_the_head_alone_is_not_an_applied_update(make_setup, windows):
    class HeadOnly(torch.optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"][:-2]:
                    parameter.grad = None
            return super().step(closure)

    setup = make_setup(epochs=1, batch_size=4)
    setup = replace(setup, make_optimizer=lambda model, _training: HeadOnly(model.parameters(), lr=0.1))
    assert not any(step.applied for result in train(setup, windows) for step in result.steps)


def test_parameters_that_turn_into_nan_do_not_count_as_an_update(make_setup, windows):
    class Spoiling(torch.optim.SGD):
        def step(self, closure=None):
            with torch.no_grad():
                for group in self.param_groups:
                    for parameter in group["params"]:
                        parameter.fill_(math.nan)

    setup = make_setup(epochs=1, batch_size=4)
    setup = replace(setup, make_optimizer=lambda model, _training: Spoiling(model.parameters(), lr=0.1))
    assert not any(step.applied for result in train(setup, windows) for step in result.steps)


def test_the_device_is_read_by_columns_and_not_step_by_step(make_setup, windows, monkeypatch):
    """`float(tensor)` is `_local_scalar_dense`, which waits for a GPU."""

    class ScalarReads(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), named=None):
            reads.append(function._schema.name)
            return function(*arguments, **(named or {}))

    reads: list[str] = []
    finish = EpochRecorder.finish

    def watched(recorder, epoch):
        with ScalarReads():
            return finish(recorder, epoch)

    monkeypatch.setattr(EpochRecorder, "finish", watched)
    result = train_epoch(make_trainer(make_setup(epochs=1, batch_size=4), windows), epoch=1, first_step=1)
    assert len(result.steps) == 6
    assert reads.count("aten::stack") <= 5
    assert "aten::_local_scalar_dense" not in reads
    values = [
        (type(step.loss), type(step.gradient_norm), type(step.useful_tokens), type(step.applied))
        for step in result.steps
    ]
    assert set(values) == {(float, float, int, bool)}


def test_cudnn_attention_is_off_for_everybody_and_the_report_says_so(make_setup):
    before = torch.backends.cuda.cudnn_sdp_enabled()
    setup = make_setup()
    optimizer = setup.make_optimizer(setup.model, setup.training)
    try:
        torch.backends.cuda.enable_cudnn_sdp(True)
        assert describe(setup, optimizer)["cuDNN attention"] == "on"
        set_process_flags(setup)
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert describe(setup, optimizer)["cuDNN attention"] == "off"
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def test_what_noting_costs_is_measured_and_holds_whoever_is_told_of_a_step(make_setup, windows):
    setup = make_setup()
    trainer = make_trainer(setup, windows)
    quick = train_epoch(trainer, epoch=1, first_step=1)
    slow = train_epoch(trainer, epoch=2, first_step=len(quick.steps) + 1, on_step=lambda _: time.sleep(0.05))
    assert 0.0 < quick.noting_s < quick.time_s
    assert slow.noting_s > 0.05 * len(slow.steps)


def test_audits_are_no_part_of_what_noting_costs(make_setup, windows):
    class SlowAudit:
        def before(self):
            time.sleep(0.02)

        def after(self, outcome):
            time.sleep(0.02)

    trainer = make_trainer(make_setup(), windows)
    audited = train_epoch(trainer, epoch=1, first_step=1, audit=SlowAudit())
    assert audited.paused_s > 0.04 * len(audited.steps)
    assert audited.noting_s < audited.paused_s / 2
