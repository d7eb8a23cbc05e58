"""The equivalence check: some updates against the fp32 reference, tensor by tensor."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness import registry
from harness.analysis.evidence.sameness import judge_equivalence
from harness.data.packing import make_trimming_collate
from harness.experiment.deviation import Updates, compare_updates, load_updates, save_updates
from harness.experiment.equivalence import (
    checked_batches,
    make_checked_setup,
    make_updates,
    switch_dropout_off,
)
from harness.presets import preset
from harness.tasks.question_answering.head import row_loss

MODELS = ("distilbert-base-uncased", "bert-base-uncased")


@pytest.fixture
def reference(make_setup, windows):
    return make_updates(make_setup(dropout=False), windows)


def test_the_same_training_gives_the_same_updates(make_setup, windows, reference):
    record = compare_updates(reference, make_updates(make_setup(dropout=False), windows))
    assert record.losses == record.losses_reference
    assert all(error.gradient == 0.0 for error in record.worst)
    assert record.cosine == pytest.approx(1.0)
    assert judge_equivalence(record).holds


def test_a_frozen_tensor_is_named(make_setup, windows, reference):
    setup = make_setup(dropout=False)
    setup.model.distilbert.transformer.layer[0].ffn.lin1.weight.requires_grad = False
    judged = judge_equivalence(compare_updates(reference, make_updates(setup, windows)))
    assert not judged.holds
    assert "layer.0.ffn.lin1.weight" in judged.problem


def test_a_scaled_gradient_of_one_tensor_is_found_as_the_worst(make_setup, windows):
    unclipped, setup = (make_setup(dropout=False, max_grad_norm=1e9) for _ in range(2))
    setup.model.qa_outputs.weight.register_hook(lambda gradient: gradient * 1.01)
    record = compare_updates(make_updates(unclipped, windows), make_updates(setup, windows))
    judged = judge_equivalence(record)
    assert not judged.holds
    assert judged.worst.name == "qa_outputs.weight"
    assert judged.worst.gradient == pytest.approx(0.01, rel=1e-3)


def cut(batch):
    """The first 16 tokens of each window."""
    return replace(
        batch,
        inputs={name: value[:, :16] for name, value in batch.inputs.items()},
        labels={name: value.clamp(max=15) for name, value in batch.labels.items()},
    )


def test_a_cheat_that_begins_with_the_second_update_is_seen(make_setup, windows, reference):
    setup = make_setup(dropout=False)

    def make_step(inner, optimizer, scheduler):
        honest, calls = setup.make_step(inner, optimizer, scheduler), []

        def step(batch):
            calls.append(1)
            return honest(batch if len(calls) == 1 else cut(batch))

        return step

    cheating = replace(setup, make_step=make_step)
    assert not judge_equivalence(compare_updates(reference, make_updates(cheating, windows))).holds


def test_a_loop_that_cuts_its_batches_is_seen(make_setup, windows, reference):
    def run_cut(setup, step, windows, plan, recorder):
        for batch in setup.load_batches(setup, windows, plan):
            recorder.begin(batch)
            recorder.end(step(cut(batch)))

    cheating = replace(make_setup(dropout=False), run_epoch=run_cut)
    assert not judge_equivalence(compare_updates(reference, make_updates(cheating, windows))).holds


def test_a_loop_that_leaves_a_batch_out_is_seen(make_setup, windows, reference):
    setup = make_setup(dropout=False)

    def run_two(inner, step, windows, plan, recorder):
        setup.run_epoch(inner, step, windows, plan[:2], recorder)

    lazy = replace(setup, run_epoch=run_two)
    assert not judge_equivalence(compare_updates(reference, make_updates(lazy, windows))).holds


def test_a_loader_with_wrong_labels_is_seen(make_setup, windows, reference):
    setup = make_setup(dropout=False)

    def load(inner, windows, plan):
        for batch in setup.load_batches(inner, windows, plan):
            yield replace(batch, labels=dict(zip(batch.labels, reversed(batch.labels.values()), strict=True)))

    wrong = replace(setup, load_batches=load)
    assert not judge_equivalence(compare_updates(reference, make_updates(wrong, windows))).holds


@pytest.mark.parametrize("stack", ["hf_trainer", "device_resident_data", "unpadded+device_resident_data"])
def test_an_honest_loop_or_loader_holds(stack, inputs):
    if stack == "hf_trainer":
        pytest.importorskip("accelerate")
    config = preset("smoke")
    reference, given = (
        make_updates(make_checked_setup(config, parts, inputs, torch.device("cpu")), inputs.train_windows)
        for parts in ([], registry.resolve(stack))
    )
    assert len(given.losses) == 3
    judged = judge_equivalence(compare_updates(reference, given))
    assert judged.holds, judged.problem


def synthetic(updates, gradients=None):
    """Updates of six tensors as they would be, those given in another way."""
    ones = {f"t{i}": torch.ones(4, dtype=torch.float32) for i in range(6)}
    return Updates(
        losses=[1.0],
        gradient_norms=[1.0],
        gradients=ones | (gradients or {}),
        updates=ones | updates,
        dtype="float32",
        windows=8,
    )


def test_a_wrong_gradient_is_found_beside_updates_that_differ_more_and_may():
    legal = {f"t{i}": torch.full((4,), 1.0 + 8e-4) for i in range(5)}
    given = synthetic(legal, {"t5": torch.full((4,), 1.0 + 5e-4)})
    record = compare_updates(synthetic({}), given)
    assert record.worst[0].name == "t5"
    assert "the gradient of t5" in judge_equivalence(record).problem
    assert judge_equivalence(compare_updates(synthetic({}), synthetic(legal))).holds


def test_an_update_that_is_no_number_is_the_worst():
    record = compare_updates(synthetic({}), synthetic({"t3": torch.tensor([1.0, 1.0, math.nan, 1.0])}))
    assert record.worst[0].name == "t3"
    assert not judge_equivalence(record).holds


def test_an_update_that_is_no_number_is_seen_where_the_gradient_is_too_small_to_count():
    small = {"t3": torch.full((4,), 1e-9)}
    record = compare_updates(synthetic({}, small), synthetic({"t3": torch.full((4,), math.nan)}, small))
    assert not judge_equivalence(record).holds


def test_a_larger_learning_rate_shows_in_the_updates_only(make_setup, windows, reference):
    record = compare_updates(reference, make_updates(make_setup(dropout=False, learning_rate=2e-3), windows))
    assert record.worst[0].gradient == 0.0
    assert not judge_equivalence(record).holds


def test_bf16_is_off_by_rounding_and_not_more(make_setup, windows, reference):
    setup = replace(make_setup(dropout=False), compute_dtype=torch.bfloat16)
    record = compare_updates(reference, make_updates(setup, windows))
    assert record.dtype == "bfloat16"
    assert record.worst[0].gradient > 0
    assert record.cosine > 0.99


def test_updates_survive_their_file(tmp_path, reference):
    save_updates(reference, tmp_path / "folder/u.safetensors")
    loaded = load_updates(tmp_path / "folder/u.safetensors")
    assert (loaded.losses, loaded.dtype, loaded.windows) == (reference.losses, "float32", reference.windows)
    assert all(torch.equal(value, loaded.updates[name]) for name, value in reference.updates.items())


def test_each_batch_has_the_longest_and_the_shortest_windows_that_are_left(windows):
    batches = checked_batches(windows)
    lengths = np.sort(windows.lengths)
    assert [len(numbers) for numbers in batches] == [8, 8, 8]
    assert sorted(windows.lengths[batches[0]]) == [*lengths[:4], *lengths[-4:]]
    assert sorted(windows.lengths[batches[1]]) == [*lengths[4:8], *lengths[-8:-4]]


@pytest.mark.parametrize("count", [1, 3])
def test_few_windows_come_again(count, windows):
    batches = checked_batches(windows.select(np.arange(count)))
    assert all(len(numbers) == 2 for numbers in batches)
    assert {int(number) for numbers in batches for number in numbers} == set(range(count))


def test_padding_that_a_strategy_treats_in_another_way_is_seen(make_setup, windows):
    rows = replace(make_setup(dropout=False), forward_loss=row_loss)
    reference = make_updates(rows, windows)
    rows = replace(make_setup(dropout=False), forward_loss=row_loss)
    trimmed = replace(rows, collate=make_trimming_collate(rows.collate))
    assert not judge_equivalence(compare_updates(reference, make_updates(trimmed, windows))).holds


@pytest.mark.parametrize("source", MODELS)
def test_without_dropout_training_mode_repeats_itself(source, make_setup, windows):
    setup = make_setup(source)
    switch_dropout_off(setup.model)
    batch = setup.collate(windows, checked_batches(windows)[0])
    with torch.no_grad():
        assert float(setup.forward_loss(setup.model, batch)) == float(setup.forward_loss(setup.model, batch))
