"""Trimmed and packed batches: the same tokens, fewer places, and the way back to rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.data.packing import is_packed, make_packing_collate, pack_batch, row_slots, trim_batch, unpack
from harness.measurement.clocks import StepClock
from harness.strategy import StepOutcome
from harness.training.recorder import EpochRecorder

NUMBERS = np.array([3, 0, 7, 5])


@pytest.fixture
def padded(make_setup, windows):
    return make_setup("bert-base-uncased").collate(windows, NUMBERS)


def test_trimming_keeps_every_token_and_is_as_long_as_the_longest_window(padded, windows):
    trimmed = trim_batch(padded)
    longest = windows.lengths[NUMBERS].max()
    assert trimmed.inputs["input_ids"].shape == (4, longest)
    assert trimmed.computed_tokens == 4 * longest
    for name, value in padded.inputs.items():
        assert torch.equal(trimmed.inputs[name], value[:, :longest])
    assert trimmed.useful_tokens == padded.useful_tokens


def test_packing_puts_the_windows_one_after_the_other(padded, windows):
    packed = pack_batch(padded)
    expected = np.concatenate([windows.input_ids[windows.row(int(number))] for number in NUMBERS])
    assert packed.inputs["input_ids"].tolist() == [expected.tolist()]
    assert packed.inputs["token_type_ids"].shape == packed.inputs["input_ids"].shape
    assert packed.inputs["position_ids"][0].tolist() == [i for n in windows.lengths[NUMBERS] for i in range(n)]
    assert packed.inputs["cu_seqlens"].tolist() == [0, *np.cumsum(windows.lengths[NUMBERS])]
    assert packed.inputs["cu_seqlens"].dtype == torch.int32
    assert "attention_mask" not in packed.inputs
    assert torch.equal(packed.labels["start_positions"], padded.labels["start_positions"])
    assert packed.window_index.tolist() == NUMBERS.tolist()


def counted(batch):
    scheduler = torch.optim.lr_scheduler.ConstantLR(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))]))
    recorder = EpochRecorder(clock=StepClock(), scheduler=scheduler, probes=[torch.zeros(1)], first_step=1)
    recorder.begin(batch)
    recorder.end(StepOutcome(loss=torch.tensor(1.0), gradient_norm=torch.tensor(1.0)))
    (step,) = recorder.finish(epoch=1).steps
    return step.useful_tokens, step.token_id_sum


def test_the_work_in_a_packed_batch_is_counted_as_in_the_padded_one(padded):
    packed = pack_batch(padded)
    assert counted(packed) == counted(padded)
    assert packed.computed_tokens == packed.useful_tokens == padded.useful_tokens


def test_token_types_are_packed_with_their_tokens(make_setup, windows):
    windows.token_type_ids[:] = np.arange(len(windows.token_type_ids)) % 2
    packed = make_packing_collate(make_setup("bert-base-uncased").collate)(windows, NUMBERS)
    expected = np.concatenate([windows.token_type_ids[windows.row(int(number))] for number in NUMBERS])
    assert packed.inputs["token_type_ids"].tolist() == [expected.tolist()]


def test_unpacking_gives_rows_and_fills_what_is_not_there():
    cu_seqlens = torch.tensor([0, 2, 3], dtype=torch.int32)
    rows = unpack(torch.tensor([1.0, 2.0, 3.0]), cu_seqlens, length=4, fill=-1.0)
    assert rows.tolist() == [[1.0, 2.0, -1.0, -1.0], [3.0, -1.0, -1.0, -1.0]]


def test_slots_lead_back_from_rows_to_the_packed_order():
    cu_seqlens = torch.tensor([0, 2, 5, 6], dtype=torch.int32)
    values = torch.randn(6, 3, requires_grad=True)
    rows = unpack(values, cu_seqlens, length=8, fill=0.0)
    back = rows.flatten(0, 1).index_select(0, row_slots(cu_seqlens, tokens=6, length=8))
    assert torch.equal(back, values)
    back.sum().backward()
    assert torch.equal(values.grad, torch.ones_like(values))


def test_a_packed_batch_needs_no_trimming(padded):
    packed = pack_batch(padded)
    assert is_packed(packed)
    assert not is_packed(padded)
    assert trim_batch(packed) is packed
