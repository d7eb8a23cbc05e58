"""Few shapes: batches are filled up to buckets."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional

from harness.strategy import NO_LABEL, Batch, is_packed

COLUMN_STEP = 32
"""Padded batches have a multiple of as many columns: in random order, SQuAD's have then about five lengths."""

TOKEN_STEP = 512
"""Packed batches have a multiple of as many tokens: 16 windows of SQuAD have about four sizes, 9 % of it wasted."""


def fill_bucket(batch: Batch, *, max_length: int) -> Batch:
    """Return the batch padded to the next bucket; its loss is the same. `max_length`: tokens that a window can have."""
    ids = batch.inputs["input_ids"]
    length = ids.shape[1]
    if not is_packed(batch):
        columns = min(-(-length // COLUMN_STEP) * COLUMN_STEP, max_length) - length
        if columns <= 0:
            return batch
        return replace(batch, inputs={name: functional.pad(rows, (0, columns)) for name, rows in batch.inputs.items()})
    # One more window, of padding tokens and without a label. Of one token at least: an empty one has no softmax.
    step = min(TOKEN_STEP, max_length)
    tokens = step - length % step
    inputs = {name: functional.pad(value, (0, tokens)) for name, value in batch.inputs.items() if name != "cu_seqlens"}
    inputs["position_ids"][:, length:] = torch.arange(tokens, device=ids.device)
    inputs["cu_seqlens"] = functional.pad(batch.inputs["cu_seqlens"], (0, 1), value=length + tokens)
    labels = {name: functional.pad(value, (0, 1), value=NO_LABEL) for name, value in batch.labels.items()}
    return replace(batch, inputs=inputs, labels=labels)


Shape = tuple[tuple[str, torch.Size], ...]


def shape_of(batch: Batch) -> Shape:
    """Return what decides which graph a batch runs in."""
    return tuple((name, value.shape) for name, value in sorted(batch.tensors().items()))
