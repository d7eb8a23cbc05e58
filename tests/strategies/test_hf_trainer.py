"""The peers: Trainer makes the baseline's updates, in the same order, and is recorded in the same way."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness import registry
from harness.errors import StrategyError
from harness.experiment.segments import SegmentRunner
from harness.presets import preset
from harness.records.serialise import override
from harness.training.baseline import describe
from harness.training.evaluation import evaluate_in_batches
from harness.training.evaluation_check import check_evaluation
from harness.training.loop import account_work, make_trainer, train_epoch, warm_up

PEERS = ("hf_trainer", "hf_trainer_best")


def apply(name, setup):
    return registry.get(name)().apply(setup)


def run(setup, windows):
    """All epochs; returns the trainer and their results."""
    trainer = make_trainer(setup, windows)
    warm_up(trainer)
    results, done = [], 0
    for epoch in range(1, setup.training.epochs + 1):
        if done < trainer.total_steps:
            results.append(train_epoch(trainer, epoch=epoch, first_step=done + 1))
            done += len(results[-1].steps)
    return trainer, results


def train(setup, windows):
    """All epochs; returns their results and the parameters afterwards."""
    _, results = run(setup, windows)
    return results, {name: p.detach().clone() for name, p in setup.model.named_parameters()}


def test_updates_are_the_baselines_step_by_step(make_setup, windows):
    recipe = {"dropout": False, "epochs": 2, "batch_size": 5, "lr_warmup_ratio": 0.2, "max_grad_norm": 0.5}
    expected, parameters = train(make_setup(**recipe), windows)
    given, parameters_given = train(apply("hf_trainer", make_setup(**recipe)), windows)
    for ours, theirs in zip(expected, given, strict=True):
        assert ours.window_order.tolist() == theirs.window_order.tolist()
        for first, second in zip(ours.steps, theirs.steps, strict=True):
            assert second.learning_rate == first.learning_rate
            assert second.loss == pytest.approx(first.loss, rel=1e-4)
            assert second.gradient_norm == pytest.approx(first.gradient_norm, rel=1e-3)
    assert any(step.gradient_norm > 0.5 for step in expected[0].steps), "nothing was clipped"
    for name, value in parameters.items():
        # Softmax does not see these two: their gradients are rounding errors, which Adam scales up.
        if not name.endswith(("qa_outputs.bias", "k_lin.bias")):
            # Ten updates of about 1e-3 each.
            assert float((parameters_given[name] - value).abs().mean()) < 3e-5, name


def test_work_is_counted_as_the_baselines(make_setup, windows):
    expected, given = (
        account_work(*run(setup, windows)) for setup in (make_setup(), apply("hf_trainer", make_setup()))
    )
    assert replace(given, updates_applied=0) == replace(expected, updates_applied=0)
    assert given.updates_applied == given.updates


def test_max_steps_ends_in_the_middle_of_an_epoch(make_setup, windows):
    results, _ = train(apply("hf_trainer", make_setup(epochs=3, batch_size=4, max_steps=8)), windows)
    assert [len(result.steps) for result in results] == [6, 2]


def test_an_update_that_changes_nothing_is_seen(make_setup, windows):
    results, _ = train(apply("hf_trainer", make_setup(learning_rate=0.0)), windows)
    assert not any(step.applied for result in results for step in result.steps)


def test_gradients_are_kept_after_a_single_step_only(make_setup, windows):
    setup = apply("hf_trainer", make_setup(epochs=1))
    trainer = make_trainer(setup, windows)
    trainer.step(setup.collate(windows, np.arange(20)))
    assert all(parameter.grad is not None for parameter in setup.model.parameters())
    train_epoch(trainer, epoch=1, first_step=1)
    assert all(parameter.grad is None for parameter in setup.model.parameters())
    assert trainer.step.trainer.gradients is None


def test_another_order_than_the_planned_one_is_refused(make_setup, windows):
    setup = apply("hf_trainer", make_setup(epochs=1, batch_size=4))
    uneven = replace(setup, plan_batches=lambda *_: [np.arange(3), np.arange(3, 7)])
    with pytest.raises(RuntimeError, match="planned was"):
        train(uneven, windows)


def test_trainer_evaluates_as_the_baseline_does(make_setup, windows):
    setup = make_setup()
    expected = evaluate_in_batches(setup, windows)
    for name in PEERS:
        contender = apply(name, replace(make_setup(), model=setup.model))
        given = contender.evaluate(contender, windows)
        assert contender.model.training
        for ours, theirs in zip(expected, given, strict=True):
            for row, length in enumerate(windows.lengths):
                np.testing.assert_allclose(theirs[row, :length], ours[row, :length], atol=1e-5)


@pytest.mark.parametrize("name", PEERS)
def test_timed_segments_go_on_with_the_same_optimizer(name, make_setup, windows):
    setup = apply(name, make_setup(batch_size=4))
    inputs = SimpleNamespace(train_windows=windows, validation_windows=windows)
    runner = SegmentRunner(setup, inputs, baseline_batch_size=4)
    for numbers in ([0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11]):
        runner.load_block("training", numbers, rehearse=True)
        work = runner.run(repetitions=2).work
        assert work["lost_updates"] == 0
        assert work["useful_tokens"] == 2 * int(windows.lengths[numbers].sum())
    runner.load_block("evaluation", [0, 1, 2], rehearse=True)
    state = runner._trainer.optimizer.state
    steps = {int(value["step"]) for value in state.values()}
    # Three passes over two batches, then three over one, the first a rehearsal if its shape may be a new one: Trainer's
    # padded batches are all of one shape, its best flags' are not.
    assert steps == {8 if name == "hf_trainer" else 9}


def test_later_calls_leave_the_garbage_collection_out(make_setup, windows, monkeypatch):
    import accelerate.accelerator

    calls = []
    monkeypatch.setattr(accelerate.accelerator, "release_memory", lambda *_: calls.append(1))
    train(apply("hf_trainer", make_setup(epochs=3)), windows)
    assert len(calls) == 1


def test_best_flags_group_by_length_and_trim_padding(make_setup, windows):
    many = windows.select(np.tile(np.arange(24), 4))
    plain_trainer, plain = run(make_setup(epochs=1, batch_size=4), many)
    setup = apply("hf_trainer_best", make_setup(epochs=1, batch_size=4))
    best_trainer, best = run(setup, many)
    assert sorted(best[0].window_order) == sorted(plain[0].window_order)
    given, expected = account_work(best_trainer, best), account_work(plain_trainer, plain)
    assert (given.useful_tokens, given.token_id_sum) == (expected.useful_tokens, expected.token_id_sum)
    spreads = [np.ptp(many.lengths[numbers]) for numbers in np.split(best[0].window_order, 24)]
    assert np.mean(spreads) < 0.5 * np.ptp(many.lengths)
    assert given.computed_tokens < 1.3 * given.useful_tokens


def test_grouped_order_depends_on_seed_and_epoch_only(make_setup, windows):
    setup = apply("hf_trainer_best", make_setup())
    orders = [np.concatenate(setup.plan_batches(windows, setup.training, 1, e)).tolist() for e in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_best_flags_use_bf16_where_the_device_multiplies_it(make_setup, windows, monkeypatch):
    monkeypatch.setattr("optimizations.peers.hf_trainer_best.multiplies_bf16", lambda _: True)
    setup = apply("hf_trainer_best", make_setup(dropout=False, epochs=1, max_steps=1))
    seen = set()
    for module in setup.model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))
    trainer = make_trainer(setup, windows)
    train_epoch(trainer, epoch=1, first_step=1)
    setup.evaluate(setup, windows)
    assert seen == {torch.bfloat16}
    assert describe(setup, trainer.optimizer)["forward dtype"] == "bfloat16 autocast"


def test_the_plain_pass_after_bf16_training_is_fp32(make_setup, windows, monkeypatch):
    """Accelerate leaves an autocast around the model's forward; the check of the scored logits must not run in it."""
    monkeypatch.setattr("optimizations.peers.hf_trainer_best.multiplies_bf16", lambda _: True)
    setup = apply("hf_trainer_best", make_setup(epochs=1, max_steps=1))
    train(setup, windows)
    claimed = setup.evaluate(setup, windows)
    wrapped = setup.model.forward
    seen = set()
    setup.model.qa_outputs.register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))
    record = check_evaluation(setup, override(preset("smoke"), {}), windows, claimed, pad_id=0)
    assert record.problem is None
    assert seen == {torch.float32}
    assert 0 < record.error < 0.05
    assert setup.model.forward is wrapped


def test_peers_are_never_in_a_stack():
    for name in PEERS:
        with pytest.raises(StrategyError, match="is a peer"):
            registry.resolve(f"{name}+fused_adamw")


def test_without_accelerate_they_do_not_apply(make_setup, monkeypatch):
    monkeypatch.setattr("optimizations.peers.hf_trainer.find_spec", lambda _: None)
    for name in PEERS:
        assert "pip install 'speedproof[peers]'" in registry.get(name)().not_applicable(make_setup())
