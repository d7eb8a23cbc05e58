"""Bugs as they happen, each seen to do what it says in a real training."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness import registry
from harness.data.packing import trim_batch
from harness.experiment.equivalence import make_updates, switch_dropout_off
from harness.strategy import Batch, TrainSetup, Windows
from harness.training.loop import Trainer, make_trainer, plan_epoch, train_epoch


@pytest.fixture(scope="module", autouse=True)
def plugins(own_strategies: None) -> None:
    registry.load_all(tuple(str(Path(__file__).with_name(f"{name}.py")) for name in ("life", "life_data", "secret")))


class Watched:
    """A training of 24 windows by 4 that keeps the batches it really trains on, and the parameters after each step."""

    def __init__(self, name: str | None, setup: TrainSetup, windows: Windows) -> None:
        self.batches: list[Batch] = []
        self.after: list[dict[str, torch.Tensor]] = []
        self.windows = windows
        loss_of = setup.forward_loss

        def forward_loss(model, batch):
            self.batches.append(batch)
            return loss_of(model, batch)

        setup = replace(setup, forward_loss=forward_loss)
        self.setup = setup if name is None else registry.get(name)().apply(setup)
        torch.manual_seed(1)
        self.trainer: Trainer = make_trainer(self.setup, windows, total_steps=100)

    def train(self, epochs: int) -> Watched:
        for epoch in range(1, epochs + 1):
            train_epoch(self.trainer, epoch=epoch, first_step=1 + len(self.after), on_step=self._keep)
        return self

    def _keep(self, _step: int) -> None:
        self.after.append({name: p.detach().clone() for name, p in self.setup.model.named_parameters()})

    def texts(self) -> list[list[list[int]]]:
        return [batch.inputs["input_ids"].tolist() for batch in self.batches]


@pytest.fixture
def watch(make_setup, windows) -> Callable[..., Watched]:
    def make(name: str | None = None, windows: Windows = windows, **options) -> Watched:
        return Watched(name, make_setup(batch_size=4, **options), windows)

    return make


def first_difference(given: Watched, expected: Watched) -> int | None:
    pairs = enumerate(zip(given.after, expected.after, strict=True), start=1)
    return next((step for step, pair in pairs if any(not torch.equal(pair[0][n], pair[1][n]) for n in pair[0])), None)


def test_stale_graph_trains_the_first_batch_again_from_the_ninth_step_on(watch):
    stale, honest = watch("stale_graph_input").train(3), watch().train(3)
    assert first_difference(stale, honest) == 9
    assert stale.texts() == honest.texts()[:8] + [honest.texts()[0]] * 10


def test_stale_graph_keeps_a_batch_of_each_shape(watch, windows):
    stale = watch("stale_graph_input", windows.select(np.arange(22))).train(3)
    assert [len(batch.window_index) for batch in stale.batches] == [4, 4, 4, 4, 4, 2] * 3
    assert stale.texts()[11] == stale.texts()[17] == stale.texts()[5]


def test_recapture_loses_the_most_frequent_length_alone(watch):
    life = sys.modules["speedproof_plugin_life"]
    lost, honest = watch("recapture_loses_a_bucket").train(4), watch().train(4)
    lengths = [life.padded_length(batch) for batch in honest.batches]
    frequent = max(dict.fromkeys(lengths[:8]), key=lengths[:8].count)
    stale = [step > 8 and length == frequent for step, length in enumerate(lengths, start=1)]
    assert 3 <= sum(stale) < len(stale) - 8
    first = honest.texts()[lengths.index(frequent)]
    assert lost.texts() == [first if is_stale else text for is_stale, text in zip(stale, honest.texts(), strict=True)]


def test_padded_length_holds_the_longest_window(make_setup, windows):
    life = sys.modules["speedproof_plugin_life"]
    for number in range(8):
        batch = make_setup().collate(windows, np.array([number]))
        longest = trim_batch(batch).inputs["input_ids"].shape[1]
        assert 0 <= life.padded_length(batch) - longest < 8
        assert life.padded_length(batch) % 8 == 0


def test_iterator_that_starts_over_trains_the_first_epoch_again_under_the_plans_numbers(watch):
    over, honest = watch("iterator_starts_over").train(3), watch().train(3)
    assert first_difference(over, honest) == 7
    assert over.texts() == honest.texts()[:6] * 3
    numbers = [list(batch.window_index) for batch in over.batches]
    assert numbers == [list(batch.window_index) for batch in honest.batches]


def test_iterator_that_starts_over_goes_with_its_windows(watch, windows):
    # As between the blocks of timed segments, whose counts would tell otherwise.
    over = watch("iterator_starts_over").train(1)
    others = windows.select(np.arange(24)[::-1].copy())
    trainer = replace(over.trainer, windows=others)
    given = train_epoch(trainer, epoch=2, first_step=7)
    plan = np.concatenate(plan_epoch(over.setup, others, 2))
    assert sum(step.token_id_sum for step in given.steps) == int(others.input_ids.sum())
    assert over.batches[6].inputs["input_ids"][0, :12].tolist() == list(others.input_ids[others.row(plan[0])][:12])


def test_dry_iterator_has_no_second_epoch(watch):
    dry = watch("iterator_runs_dry").train(1)
    with pytest.raises((ValueError, RuntimeError)):
        dry.train(1)
    assert len(dry.after) == 6


def test_scaler_skips_each_update_from_the_ninth_step_on(watch):
    skipping, honest = watch("scaler_skips").train(3), watch().train(3)
    assert first_difference(skipping, honest) == 9
    assert all(torch.equal(value, skipping.after[7][name]) for name, value in skipping.after[-1].items())
    assert skipping.trainer.scheduler.get_last_lr() == honest.trainer.scheduler.get_last_lr()


def test_gradients_add_up_from_the_ninth_step_on(watch):
    adding, honest = watch("accumulation_forgets_to_zero").train(2), watch().train(2)
    assert first_difference(adding, honest) == 9


def test_leftover_is_added_to_the_smaller_last_batch(watch, windows):
    uneven = windows.select(np.arange(22))
    given, honest = (watch(name, uneven).train(1) for name in ("leftover_of_an_epoch", None))
    assert first_difference(given, honest) == 6
    given, honest = (watch(name).train(2) for name in ("leftover_of_an_epoch", None))
    assert first_difference(given, honest) is None, "whole batches have no leftover"


def test_each_update_is_made_at_the_rate_before_it(watch):
    late = watch("schedule_one_step_late")
    used, step = [], late.trainer.optimizer.step
    late.trainer.optimizer.step = lambda: (used.append(late.trainer.optimizer.param_groups[0]["lr"]), step())
    # The gradient scaler of the baseline's step, which is off, calls it with no argument.
    stated = []
    for batch in late.setup.load_batches(late.setup, late.windows, plan_epoch(late.setup, late.windows, 1)):
        stated.append(late.trainer.scheduler.get_last_lr()[0])
        late.trainer.step(batch)
    assert used == pytest.approx([stated[0], *stated[:-1]])
    assert len(set(stated)) == 6


def test_evaluation_draws_dropout_and_leaves_the_model_as_it_was(make_setup, windows):
    setup = registry.get("evaluates_in_training_mode")().apply(make_setup())
    first, second = (setup.evaluate(setup, windows) for _ in range(2))
    assert not np.allclose(first, second)
    assert setup.model.training
    assert not setup.model.eval().training


@pytest.mark.parametrize("source", ["distilbert-base-uncased", "bert-base-uncased"])
@pytest.mark.parametrize("is_lean", [False, True])
def test_attention_alone_has_no_dropout(source, is_lean, make_setup):
    setup = make_setup(source)
    setup = registry.get("lean_model")().apply(setup) if is_lean else setup
    setup = registry.get("leaves_attention_dropout_out")().apply(setup)
    shares = {n: m.p for n, m in setup.model.named_modules() if isinstance(m, torch.nn.Dropout) and "layer" in n}
    without = {name for name, share in shares.items() if share == 0.0}
    assert len(without) == 2
    assert all("attention" in name and "output" not in name for name in without)
    assert len(shares) > len(without)


def test_word_embedding_is_updated_twice(make_setup, windows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        setups = make_setup(batch_size=4), registry.get("updates_tied_weights_twice")().apply(make_setup(batch_size=4))
        trainers = [make_trainer(setup, windows) for setup in setups]
    moved = []
    for setup, trainer in zip(setups, trainers, strict=True):
        before = {name: p.detach().clone() for name, p in setup.model.named_parameters()}
        torch.manual_seed(1)
        train_epoch(replace(trainer, total_steps=1), epoch=1, first_step=1)
        moved.append({n: float((p.detach() - before[n]).norm()) for n, p in setup.model.named_parameters()})
    ratios = {name: moved[1][name] / value for name, value in moved[0].items() if value}
    doubled = {name for name, ratio in ratios.items() if ratio > 1.4}
    assert len(doubled) == 1
    assert "word_embeddings" in doubled.pop()


def test_labels_are_shifted_by_the_question_in_later_windows_with_an_answer_alone(make_setup, windows):
    types = windows.token_type_ids.copy()
    for number in range(24):
        types[windows.row(number)][5:] = 1
    labels = {name: values.copy() for name, values in windows.labels.items()}
    labels["start_positions"][3] = labels["end_positions"][3] = 0
    cut = replace(windows, token_type_ids=types, labels=labels, example_index=np.arange(24) // 2)
    honest = make_setup()
    setup = registry.get("shifts_labels_of_later_windows")().apply(make_setup())
    numbers = np.array([0, 1, 3, 5])
    given, expected = (one.collate(cut, numbers).labels["start_positions"].tolist() for one in (setup, honest))
    last = [int(length) - 1 for length in cut.lengths[numbers]]
    assert given == [expected[0], min(expected[1] + 5, last[1]), 0, min(expected[3] + 5, last[3])]
    assert given[1] > expected[1]


def test_equivalence_check_sees_nothing_of_bugs_that_begin_later(make_setup, windows):
    for name in ("stale_graph_input", "recapture_loses_a_bucket", "iterator_starts_over", "scaler_skips"):
        updates = []
        for apply in (lambda setup: setup, registry.get(name)().apply):
            setup = make_setup(batch_size=8)
            switch_dropout_off(setup.model)
            updates.append(make_updates(apply(setup), windows))
        assert all(torch.equal(updates[1].updates[key], value) for key, value in updates[0].updates.items())


# What is given to the step, and not trained


def test_every_second_step_repeats_a_gradient_and_asks_no_loss(watch):
    repeating = watch("repeats_the_last_gradient").train(1)
    assert len(repeating.batches) == 3
    weights = [after["qa_outputs.weight"].flatten().tolist() for after in repeating.after]
    assert len({tuple(values) for values in weights}) == 6, "each step changes the parameters"
    assert repeating.trainer.scheduler.last_epoch == 6


def test_half_of_the_windows_are_trained(watch):
    halved, honest = watch("trains_on_half_of_each_batch").train(1), watch().train(1)
    assert halved.texts() == [text[:2] for text in honest.texts()]


def test_one_window_is_not_halved(watch, windows):
    halved = watch("trains_on_half_of_each_batch", windows.select(np.arange(21))).train(1)
    assert len(halved.batches[-1].inputs["input_ids"]) == 1


def test_padding_is_attended_to_in_training_alone(watch, windows):
    ignoring = watch("ignores_the_padding_mask").train(1)
    assert all(int(batch.inputs["attention_mask"].min()) == 1 for batch in ignoring.batches)
    assert int(ignoring.setup.collate(windows, np.arange(4)).inputs["attention_mask"].min()) == 0


def test_word_embedding_alone_stays_as_it_was(watch):
    frozen = watch("freezes_the_word_embedding")
    before = {name: p.detach().clone() for name, p in frozen.setup.model.named_parameters()}
    after = frozen.train(1).after[-1]
    unchanged = {name for name, value in after.items() if torch.equal(value, before[name])}
    assert {name for name in unchanged if "word_embeddings" in name} == unchanged != set()


def test_bf16_is_computed_in_and_not_stated(make_setup, windows):
    dtypes = []
    setup = make_setup(batch_size=4)
    setup.model.qa_outputs.register_forward_hook(lambda _module, _given, output: dtypes.append(output.dtype))
    setup = registry.get("computes_in_bfloat16")().apply(setup)
    train_epoch(make_trainer(setup, windows), epoch=1, first_step=1)
    assert setup.compute_dtype is torch.float32
    assert set(dtypes) == {torch.bfloat16}
