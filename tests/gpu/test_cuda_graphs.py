"""cuda_graphs on a CUDA device: replays are eager updates, dropout goes on drawing, the rate follows its schedule."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness import registry
from harness.experiment.segments import SegmentRunner
from harness.training.loop import describe_step, make_trainer, plan_training, prepare_step, train_epoch, warm_up
from optimizations.cuda_graphs import LEAST_USES, GraphRecorder

STEPS = 10
LAYOUTS = ("", "dynamic_padding", "unpadded", "amp_bf16", "unpadded+amp_bf16", "bf16_weights", "sdpa")


def applied(stack, setup):
    for strategy in registry.resolve(stack) if stack else []:
        reason = strategy.not_applicable(setup)
        if reason is not None:
            pytest.skip(reason)
        setup = strategy.apply(setup)
    return setup


def prepared(setup, windows, plan, **schedule):
    """Return a trainer that has recorded every shape of the plan, if its step records."""
    trainer = make_trainer(setup, windows, **schedule)
    prepare_step(trainer, plan, repeated=True)
    return trainer


class Captures:
    """Counts captures and replays of CUDA graphs."""

    def __init__(self, monkeypatch):
        self.captures = self.replays = 0
        record = GraphRecorder.record

        def counted(recorder, run):
            self.captures += 1
            outputs, replay = record(recorder, run)

            def replay_counted():
                self.replays += 1
                replay()

            return outputs, replay_counted

        monkeypatch.setattr(GraphRecorder, "record", counted)


def ten_steps(setup, windows, sizes):
    """Return losses, norms and learning rates of ten steps, and the parameters after them."""
    plan = [(np.arange(sizes[step % len(sizes)]) + 3 * step) % len(windows) for step in range(STEPS)]
    trainer = prepared(setup, windows, plan, total_steps=2 * STEPS)
    outcomes, rates = [], []
    for numbers in plan:
        rates.append(float(trainer.scheduler.get_last_lr()[0]))
        outcomes.append(trainer.step(setup.collate(windows, numbers).to(setup.device)))
    values = [(float(outcome.loss), float(outcome.gradient_norm)) for outcome in outcomes]
    parameters = {name: value.detach().clone() for name, value in setup.model.named_parameters()}
    return values, rates, parameters


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("source", ["distilbert-base-uncased", "bert-base-uncased"])
def test_replays_of_two_shapes_equal_eager_updates(layout, source, make_cuda_setup, windows):
    eager = applied("+".join(filter(None, (layout, "fused_adamw"))), make_cuda_setup(source, dropout=False))
    graphed = applied("+".join(filter(None, (layout, "cuda_graphs"))), make_cuda_setup(source, dropout=False))
    expected, expected_rates, expected_parameters = ten_steps(eager, windows, sizes=(8, 8, 5))
    given, rates, parameters = ten_steps(graphed, windows, sizes=(8, 8, 5))
    assert rates == expected_rates
    half = graphed.compute_dtype != torch.float32
    tolerance = 2e-2 if half else 1e-4
    for ours, theirs in zip(given, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=tolerance)
    # Each update moves an element by about the learning rate at most; rounding decides where a gradient is near 0, and
    # an attention's key bias has none at all but rounding.
    far = max(float((parameters[name] - value).abs().max()) for name, value in expected_parameters.items())
    decided = [name for name in expected_parameters if not name.endswith(("k_lin.bias", "key.bias"))]
    near = max(float((parameters[name] - expected_parameters[name]).abs().mean()) for name in decided)
    learning_rate = graphed.training.learning_rate
    assert far <= 2.5 * STEPS * learning_rate
    assert near <= (0.5 if half else 0.05) * STEPS * learning_rate


def test_dropout_draws_anew_in_each_replay(make_cuda_setup, windows):
    setup = applied("cuda_graphs", make_cuda_setup(learning_rate=0.0))
    trainer = prepared(setup, windows, [np.arange(8)])
    batch = setup.collate(windows, np.arange(8)).to(setup.device)
    losses = [float(trainer.step(batch).loss) for _ in range(4)]
    assert len(set(losses)) == len(losses)


def test_the_seed_decides_what_dropout_draws(make_cuda_setup, windows):
    runs = []
    for _ in range(2):
        setup = applied("cuda_graphs", make_cuda_setup())
        torch.manual_seed(7)
        trainer = prepared(setup, windows, [np.arange(8)])
        batch = setup.collate(windows, np.arange(8)).to(setup.device)
        runs.append([float(trainer.step(batch).loss) for _ in range(3)])
    assert runs[0] == pytest.approx(runs[1], rel=1e-5)


def test_updates_follow_the_learning_rate(make_cuda_setup, windows):
    setup = applied("cuda_graphs", make_cuda_setup(dropout=False, weight_decay=0.0, lr_warmup_ratio=0.0))
    trainer = prepared(setup, windows, [np.arange(8)], total_steps=4)
    batch = setup.collate(windows, np.arange(8)).to(setup.device)
    weight = setup.model.qa_outputs.weight
    moves = []
    for _ in range(5):
        before = weight.detach().clone()
        trainer.step(batch)
        moves.append(float((weight.detach() - before).abs().max()))
    # Adam's first update is the learning rate; the schedule has fallen to 0 after four.
    assert moves[0] == pytest.approx(setup.training.learning_rate, rel=0.05)
    assert moves[3] < moves[0]
    assert moves[4] == 0.0


def test_warm_up_leaves_parameters_alone_and_steps_do_not_wait(make_cuda_setup, windows):
    setup = applied("device_resident_data+cuda_graphs", make_cuda_setup(epochs=1, batch_size=8))
    before = {name: value.detach().clone() for name, value in setup.model.named_parameters()}
    trainer = make_trainer(setup, windows, total_steps=100)  # steps of a rate of 0 would change nothing
    warm_up(trainer, repeated=True)
    assert all(torch.equal(value, before[name]) for name, value in setup.model.named_parameters())
    torch.cuda.synchronize()
    batches = list(setup.load_batches(setup, windows, [np.arange(8), np.arange(8, 16)]))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            trainer.step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    result = train_epoch(trainer, epoch=1, first_step=1)
    assert all(step.applied for step in result.steps)


@pytest.mark.parametrize(
    "layout", ["", "dynamic_padding", "unpadded+amp_bf16", "unpadded+amp_bf16+device_resident_data"]
)
def test_a_job_captures_in_its_warm_up_only(layout, make_cuda_setup, windows, monkeypatch):
    seen = Captures(monkeypatch)
    stack = "+".join(filter(None, (layout, "cuda_graphs")))
    setup = applied(stack, make_cuda_setup(epochs=LEAST_USES, batch_size=7))
    trainer = make_trainer(setup, windows)
    warm_up(trainer)
    captures = seen.captures
    assert captures > 0
    results = []
    for epoch in range(1, LEAST_USES + 1):
        done = sum(len(result.steps) for result in results)
        results.append(train_epoch(trainer, epoch=epoch, first_step=done + 1))
    assert seen.captures == captures
    assert all(step.applied for result in results for step in result.steps)
    steps = len(plan_training(setup, windows))
    assert describe_step(trainer)["captures in warm-up"] == f"{captures} graphs, for {seen.replays} of {steps} steps"


def test_segments_capture_while_a_block_is_loaded_only(make_cuda_setup, windows, monkeypatch):
    seen = Captures(monkeypatch)
    setup = applied("unpadded+amp_bf16+cuda_graphs+device_resident_data", make_cuda_setup(batch_size=4))
    inputs = SimpleNamespace(train_windows=windows, validation_windows=windows)
    runner = SegmentRunner(setup, inputs, baseline_batch_size=4)
    for first in (0, 8):
        runner.load_block("training", list(range(first, first + 12)), rehearse=False, repetitions=2)
        captures, replays = seen.captures, seen.replays
        runner.run(repetitions=2)
        assert seen.captures == captures > 0
        assert seen.replays == replays + 6


def test_graphs_give_their_memory_back_with_their_trainer(make_cuda_setup, windows):
    setup = applied("unpadded+amp_bf16+cuda_graphs", make_cuda_setup())
    used = []
    for _ in range(3):
        trainer = prepared(setup, windows, [np.arange(count) for count in (4, 8, 12)])
        del trainer
        setup.model.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        used.append(torch.cuda.memory_allocated())
    assert used[2] <= used[0] + 2**20
