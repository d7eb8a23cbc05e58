"""split_batch: two threads, the baseline's update, whatever the halves are."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness import registry
from harness.experiment.trial import apply_strategies
from harness.strategy import Batch
from harness.training.loop import make_trainer, train_epoch, warm_up
from optimizations.split_batch import SplitLoss, split_windows


def split(setup):
    """Apply it as if PyTorch had two threads."""
    return replace(setup, forward_loss=SplitLoss(setup.forward_loss, threads=2))


@pytest.fixture(autouse=True)
def _one_thread_afterwards():
    yield
    torch.set_num_threads(1)


def test_update_is_the_baselines(make_setup, assert_same_update):
    for source in ("distilbert-base-uncased", "bert-base-uncased"):
        assert_same_update(make_setup(source, dropout=False), split(make_setup(source, dropout=False)))


def test_halves_of_other_sizes_weigh_by_their_windows(make_setup, windows):
    setup = make_setup(dropout=False)
    batch = setup.collate(windows, np.arange(5))
    assert [len(part.window_index) for part in split_windows(batch, 2)] == [2, 3]
    setup.forward_loss(setup.model, batch).backward()
    expected = {name: p.grad.clone() for name, p in setup.model.named_parameters()}
    setup.model.zero_grad()
    loss = split(setup).forward_loss(setup.model, batch)
    (3 * loss).backward()
    for name, parameter in setup.model.named_parameters():
        torch.testing.assert_close(parameter.grad, 3 * expected[name], rtol=1e-4, atol=1e-6)


def test_a_single_window_is_not_split(make_setup, windows):
    setup = make_setup(dropout=False)
    batch = setup.collate(windows, np.arange(1))
    torch.testing.assert_close(split(setup).forward_loss(setup.model, batch), setup.forward_loss(setup.model, batch))


def test_halves_run_in_two_threads_with_half_the_threads_each(make_setup, windows):
    setup = make_setup()
    seen, both = [], threading.Barrier(2, timeout=60)

    def watched_loss(model, batch):
        both.wait()
        seen.append((threading.current_thread().name, torch.get_num_threads(), len(batch.window_index)))
        return setup.forward_loss(model, batch)

    watched = replace(setup, forward_loss=SplitLoss(watched_loss, threads=4))
    watched.forward_loss(setup.model, setup.collate(windows, np.arange(4)))
    assert sorted(seen) == [("split-batch_0", 2, 2), ("split-batch_1", 2, 2)]
    assert torch.get_num_threads() == 4


def test_training_applies_every_update_with_dropout(make_setup, windows):
    trainer = make_trainer(split(make_setup(epochs=1, batch_size=5)), windows)
    warm_up(trainer)
    result = train_epoch(trainer, epoch=1, first_step=1)
    assert all(step.applied and np.isfinite(step.loss) for step in result.steps)


def test_autocast_of_the_caller_reaches_the_threads(make_setup, windows):
    setup = split(make_setup())
    seen = set()
    linear = next(module for module in setup.model.modules() if isinstance(module, torch.nn.Linear))
    linear.register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        setup.forward_loss(setup.model, setup.collate(windows, np.arange(4)))
    assert seen == {torch.bfloat16}


def test_an_error_in_a_half_reaches_the_caller_and_threads_are_given_back(make_setup, windows):
    setup = make_setup()

    def broken(_model, _batch):
        raise ValueError("broken half")

    with pytest.raises(ValueError, match="broken half"):
        SplitLoss(broken, threads=2)(setup.model, setup.collate(windows, np.arange(4)))
    assert torch.get_num_threads() == 2


def test_gradients_that_only_one_half_has_count():
    model = torch.nn.ParameterDict({name: torch.ones(2) for name in ("both", "one", "none")})
    batch = Batch(
        inputs={"attention_mask": torch.ones(2, 4)},
        labels={},
        window_index=np.arange(2),
        useful_tokens=8,
        computed_tokens=8,
    )

    def loss(model, half):
        """Weighs one half in the mean of both."""
        if half.window_index[0] == 0:
            return (model["both"] ** 2).sum()
        return 2.0 * (model["both"] ** 2 + model["one"] ** 2).sum()

    SplitLoss(loss, threads=2)(model, batch).backward()
    assert model["both"].grad.tolist() == [3.0, 3.0]
    assert model["one"].grad.tolist() == [2.0, 2.0]
    assert model["none"].grad is None


def unpadded(setup):
    return apply_strategies(setup, registry.resolve("unpadded"))[0]


def test_packed_halves_make_the_baselines_update(make_setup, assert_same_update):
    for source in ("distilbert-base-uncased", "bert-base-uncased"):
        assert_same_update(make_setup(source, dropout=False), split(unpadded(make_setup(source, dropout=False))))


def test_packed_windows_keep_their_tokens_and_answers(make_setup, windows):
    batch = unpadded(make_setup()).collate(windows, np.arange(7))
    halves = split_windows(batch, 2)
    assert sorted(np.concatenate([half.window_index for half in halves])) == list(range(7))
    assert sum(half.useful_tokens for half in halves) == batch.useful_tokens
    starts = batch.inputs["cu_seqlens"]
    for half in halves:
        for place, window in enumerate(half.window_index):
            ours = slice(*half.inputs["cu_seqlens"][place : place + 2])
            theirs = slice(*starts[window : window + 2])
            assert torch.equal(half.inputs["input_ids"][0, ours], batch.inputs["input_ids"][0, theirs])
            assert torch.equal(half.inputs["position_ids"][0, ours], batch.inputs["position_ids"][0, theirs])
            assert half.labels["start_positions"][place] == batch.labels["start_positions"][window]
            assert half.labels["end_positions"][place] == batch.labels["end_positions"][window]


def test_windows_are_shared_out_by_their_lengths():
    borders = np.cumsum([0, 9, 5, 4, 3, 3])
    inputs = {"input_ids": torch.zeros(1, 24, dtype=torch.int64), "cu_seqlens": torch.from_numpy(borders)}
    batch = Batch(inputs=inputs, labels={}, window_index=np.arange(5), useful_tokens=24, computed_tokens=24)
    assert [half.window_index.tolist() for half in split_windows(batch, 2)] == [[0, 3], [1, 2, 4]]


def test_refuses_one_thread_and_gpus(make_setup):
    strategy = registry.get("split_batch")()
    assert "one thread" in strategy.not_applicable(make_setup())
    torch.set_num_threads(2)
    assert strategy.not_applicable(make_setup()) is None
    assert "this device is cuda" in strategy.not_applicable(replace(make_setup(), device=torch.device("cuda")))
