"""Few shapes: batches are filled up to buckets, counted in a plan, and copied into buffers of their shape."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from harness.strategy import Batch, TrainSetup, Windows

COLUMN_STEP = 32
"""Padded batches have a multiple of as many columns: in random order, SQuAD's have then about five lengths."""

TOKEN_STEP = 512
"""Packed batches have a multiple of as many tokens: 16 windows of SQuAD have about four sizes, 9 % of it wasted."""

NO_LABEL = -100
"""Position that the cross-entropy leaves out (PyTorch's `ignore_index`)."""


def fill_bucket(batch: Batch, *, max_length: int) -> Batch:
    """Return the batch padded to the next bucket; its loss is the same. `max_length`: tokens that a window can have."""
    ids = batch.inputs["input_ids"]
    if "cu_seqlens" in batch.inputs:
        step = min(TOKEN_STEP, max_length)
        # Always one token more at least: an empty window has no softmax.
        return add_dummy_window(batch, tokens=step - ids.shape[1] % step)
    wanted = min(-(-ids.shape[1] // COLUMN_STEP) * COLUMN_STEP, max_length)
    return add_columns(batch, columns=max(0, wanted - ids.shape[1]))


def add_columns(batch: Batch, *, columns: int) -> Batch:
    """Return a padded batch with more columns of padding on the right."""
    if columns == 0:
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
        start_positions=functional.pad(batch.start_positions, (0, 1), value=NO_LABEL),
        end_positions=functional.pad(batch.end_positions, (0, 1), value=NO_LABEL),
    )


Shape = tuple[tuple[str, torch.Size], ...]


def shape_of(batch: Batch) -> Shape:
    """Return what decides which graph a batch runs in."""
    inputs = ((name, value.shape) for name, value in sorted(batch.inputs.items()))
    return (*inputs, ("labels", batch.start_positions.shape))


def clone_batch(batch: Batch) -> Batch:
    """Return a copy with memory of its own: a graph's input buffers."""
    return replace(
        batch,
        inputs={name: value.clone() for name, value in batch.inputs.items()},
        start_positions=batch.start_positions.clone(),
        end_positions=batch.end_positions.clone(),
    )


def copy_batch(source: Batch, target: Batch) -> None:
    """Copy a batch into buffers of the same shape; nothing waits for the device."""
    for name, buffer in target.inputs.items():
        buffer.copy_(source.inputs[name], non_blocking=True)
    target.start_positions.copy_(source.start_positions, non_blocking=True)
    target.end_positions.copy_(source.end_positions, non_blocking=True)


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
