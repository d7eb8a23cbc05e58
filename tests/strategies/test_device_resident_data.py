"""device_resident_data and prefetch: the loader's batches, in its order, whatever the layout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness import registry
from harness.errors import StrategyError
from harness.training.loop import make_trainer, train_epoch
from optimizations.device_resident_data import ResidentWindows
from optimizations.prefetch import one_ahead

LAYOUTS = ("", "dynamic_padding", "length_bucketing", "unpadded")


def is_same_batch(one, other):
    baseline, contender = one.tensors(), other.tensors()
    return baseline.keys() == contender.keys() and all(
        torch.equal(value, contender[name]) for name, value in baseline.items()
    )


def applied(stack, setup):
    for strategy in registry.resolve(stack) if stack else []:
        setup = strategy.apply(setup)
    return setup


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("source", ["distilbert-base-uncased", "bert-base-uncased"])
def test_gathered_batches_are_the_collated_ones(layout, source, make_setup, windows):
    plain = applied(layout, make_setup(source))
    resident = applied("+".join(filter(None, (layout, "device_resident_data"))), make_setup(source))
    plan = plain.plan_batches(windows, plain.training, 0, 1)
    given = list(resident.load_batches(resident, windows, plan))
    expected = list(plain.load_batches(plain, windows, plan))
    assert len(given) == len(expected) == len(plan)
    for ours, theirs in zip(given, expected, strict=True):
        assert is_same_batch(ours, theirs)
        assert {name: value.dtype for name, value in ours.inputs.items()} == {
            name: value.dtype for name, value in theirs.inputs.items()
        }
        assert ours.window_index.tolist() == theirs.window_index.tolist()
        assert (ours.useful_tokens, ours.computed_tokens) == (theirs.useful_tokens, theirs.computed_tokens)


def test_other_windows_are_taken_up(make_setup, windows):
    setup = applied("device_resident_data", make_setup())
    numbers = np.array([3, 1])
    list(setup.load_batches(setup, windows, [numbers]))
    others = windows.select(np.arange(4, 12))
    (given,) = setup.load_batches(setup, others, [numbers])
    assert is_same_batch(given, setup.collate(others, numbers))


def test_windows_stay_on_the_device_from_epoch_to_epoch(make_setup, windows):
    setup = applied("device_resident_data", make_setup(epochs=2))
    collated = []
    counting = replace(setup, collate=lambda *given: collated.append(given) or setup.collate(*given))
    trainer = make_trainer(counting, windows)
    train_epoch(trainer, epoch=1, first_step=1)
    first = len(collated)
    train_epoch(trainer, epoch=2, first_step=2)
    assert len(collated) == first > 0


def test_windows_of_one_length_keep_the_padding_of_the_loader(make_setup, windows):
    alike = windows.select(np.flatnonzero(windows.lengths == windows.lengths.max())[[0, 0, 0]])
    for layout in LAYOUTS[:2]:
        setup = applied(layout, make_setup())
        resident = applied("+".join(filter(None, (layout, "device_resident_data"))), make_setup())
        (given,) = resident.load_batches(resident, alike, [np.array([2, 0])])
        assert is_same_batch(given, setup.collate(alike, np.array([2, 0])))


def test_an_unknown_layout_is_refused(make_setup, windows):
    setup = applied("device_resident_data", make_setup())

    def reversed_columns(windows, numbers):
        batch = setup.collate(windows, numbers)
        return replace(batch, inputs={name: value.flip(1) + len(numbers) for name, value in batch.inputs.items()})

    with pytest.raises(StrategyError, match="does not know the layout"):
        setup.load_batches(replace(setup, collate=reversed_columns), windows, [np.arange(2)])


def test_prefetch_sends_each_batch_before_the_one_in_front_is_used(make_setup, windows):
    setup = make_setup()
    plan = [np.array([0, 1]), np.array([2]), np.array([3, 4])]
    log = []

    def send(batch):
        log.append(("sent", batch.window_index.tolist()))
        return batch

    for batch in one_ahead(setup.load_batches(setup, windows, plan), send, lambda batch: batch):
        log.append(("used", batch.window_index.tolist()))
    assert log == [
        ("sent", [0, 1]),
        ("sent", [2]),
        ("used", [0, 1]),
        ("sent", [3, 4]),
        ("used", [2]),
        ("used", [3, 4]),
    ]


def test_prefetch_of_nothing_is_nothing():
    assert list(one_ahead([], lambda batch: batch, lambda batch: batch)) == []


def test_prefetch_refuses_a_processor(make_setup):
    assert "nothing to send ahead" in registry.get("prefetch")().not_applicable(make_setup())


def test_gathering_does_not_read_the_device(make_setup, windows):
    """On the meta device no value can be read, so a shape that came from one would fail."""
    setup = applied("unpadded+device_resident_data", make_setup())
    (batch,) = setup.load_batches(setup, windows, [np.arange(5)])
    resident = ResidentWindows(setup, windows)
    resident.everything = resident.everything.to(torch.device("meta"))
    given = resident.gather(np.arange(5), torch.empty(5, dtype=torch.int64, device="meta"))
    assert {name: value.shape for name, value in given.inputs.items()} == {
        name: value.shape for name, value in batch.inputs.items()
    }
