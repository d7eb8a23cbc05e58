"""Few shapes: batches are filled up to buckets, counted in a plan, and copied into buffers of their shape."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from harness.strategy import NO_LABEL, Batch, TrainSetup, Windows, is_packed

COLUMN_STEP = 32
"""Padded batches have a multiple of as many columns: in random order, SQuAD's have then about five lengths."""

TOKEN_STEP = 512
"""Packed batches have a multiple of as many tokens: 16 windows of SQuAD have about four sizes, 9 % of it wasted."""


def fill_bucket(batch: Batch, *, max_length: int) -> Batch:
    """Return the batch padded to the next bucket; its loss is the same. `max_length`: tokens that a window can have."""
    ids = batch.inputs["input_ids"]
    if is_packed(batch):
        step = min(TOKEN_STEP, max_length)
        # Always one token more at least: an empty window has no softmax.
        return add_dummy_window(batch, tokens=step - ids.shape[1] % step)
    columns = min(-(-ids.shape[1] // COLUMN_STEP) * COLUMN_STEP, max_length) - ids.shape[1]
    if columns <= 0:
        return batch
    return replace(batch, inputs={name: functional.pad(rows, (0, columns)) for name, rows in batch.inputs.items()})


def add_dummy_window(batch: Batch, *, tokens: int) -> Batch:
    """Return a packed batch with one more window, of padding tokens and without a label."""
    row = batch.inputs["input_ids"]
    inputs = {name: functional.pad(value, (0, tokens)) for name, value in batch.inputs.items() if name != "cu_seqlens"}
    inputs["position_ids"][:, row.shape[1] :] = torch.arange(tokens, device=row.device)
    inputs["cu_seqlens"] = functional.pad(batch.inputs["cu_seqlens"], (0, 1), value=row.shape[1] + tokens)
    return replace(
        batch,
        inputs=inputs,
        labels={name: functional.pad(value, (0, 1), value=NO_LABEL) for name, value in batch.labels.items()},
    )


Shape = tuple[tuple[str, torch.Size], ...]


def shape_of(batch: Batch) -> Shape:
    """Return what decides which graph a batch runs in."""
    return tuple((name, value.shape) for name, value in sorted(batch.tensors().items()))


def copy_batch(source: Batch, target: Batch) -> None:
    """Copy a batch into buffers of the same shape; nothing waits for the device."""
    tensors = source.tensors()
    for name, buffer in target.tensors().items():
        buffer.copy_(tensors[name], non_blocking=True)


@dataclass(frozen=True, kw_only=True)
class ShapeUse:
    """A shape in a plan."""

    example: np.ndarray
    """Window numbers of the first batch that has it."""
    count: int
    """Planned batches that have it."""


def count_shapes(setup: TrainSetup, windows: Windows, plan: list[np.ndarray]) -> dict[Shape, ShapeUse]:
    """Return the shapes that the planned batches have once they fill their buckets.

    Only a few batches are made, one for each set of buckets: its number of windows, its longest window's columns, its
    tokens. Whatever the layout, padded or packed, the filled shape follows from these.
    """
    tokens_step = min(TOKEN_STEP, setup.max_length)
    alike: dict[tuple[int, int, int], list[np.ndarray]] = {}
    for numbers in plan:
        lengths = windows.lengths[numbers]
        key = len(numbers), -(-int(lengths.max()) // COLUMN_STEP), int(lengths.sum()) // tokens_step
        alike.setdefault(key, []).append(numbers)
    uses: dict[Shape, ShapeUse] = {}
    for batches in alike.values():
        shape = shape_of(fill_bucket(setup.collate(windows, batches[0]), max_length=setup.max_length))
        before = uses.get(shape, ShapeUse(example=batches[0], count=0))
        uses[shape] = replace(before, count=before.count + len(batches))
    return uses
