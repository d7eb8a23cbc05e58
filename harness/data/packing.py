"""Batches with less padding or none, made from padded ones: trimmed to their longest window, or packed into one row.

The packed layout, on which everything without padding builds; n windows with T tokens in all:

- `input_ids`, int64 (1, T): the windows' tokens, one window after the other, in the batch's order;
- `position_ids`, int64 (1, T): counted from 0 again in each window;
- `token_type_ids`, int64 (1, T), where the padded batch has them;
- `cu_seqlens`, int32 (n + 1): window i has the tokens cu_seqlens[i] to cu_seqlens[i + 1] (name and type as the
  variable-length attention kernels want them).

There is no `attention_mask`: attention has to stay inside each window by `cu_seqlens`. What has a value for each token
comes out as (1, T, …); `unpack` makes rows of it. Labels and window numbers are the padded batch's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from harness.data.batching import Batch
from harness.data.windows import Windows

NO_LABEL = -100
"""Label of a packed window that the loss leaves out (PyTorch's `ignore_index`)."""

Collate = Callable[[Windows, np.ndarray], Batch]
"""(windows, window numbers) → one batch on the host."""


def is_packed(batch: Batch) -> bool:
    """Whether the batch has the packed layout."""
    return "cu_seqlens" in batch.inputs


def make_trimming_collate(collate: Collate) -> Collate:
    """Return a collate function whose batches are padded to their longest window only."""
    return lambda windows, numbers: trim_batch(collate(windows, numbers))


def make_packing_collate(collate: Collate) -> Collate:
    """Return a collate function whose batches are the padded ones of `collate`, packed."""
    return lambda windows, numbers: pack_batch(collate(windows, numbers))


def trim_batch(batch: Batch) -> Batch:
    """Return a padded batch without the columns that are padding in every row; a packed batch as it is."""
    if is_packed(batch):
        return batch
    longest = int(batch.inputs["attention_mask"].sum(dim=1).max())
    inputs = {name: value[:, :longest].contiguous() for name, value in batch.inputs.items()}
    return replace(batch, inputs=inputs, computed_tokens=inputs["input_ids"].numel())


def pack_batch(batch: Batch) -> Batch:
    """Return a padded batch in the packed layout (see the module)."""
    real = batch.inputs["attention_mask"].bool()
    lengths = real.sum(dim=1)
    columns = torch.arange(real.shape[1]).expand(real.shape)
    packed = {name: value[real][None] for name, value in batch.inputs.items() if name != "attention_mask"}
    packed["position_ids"] = columns[real][None]
    packed["cu_seqlens"] = torch.nn.functional.pad(lengths.cumsum(dim=0), (1, 0)).to(torch.int32)
    return replace(batch, inputs=packed, computed_tokens=int(lengths.sum()))


def select_windows(batch: Batch, rows: np.ndarray) -> Batch:
    """Return a packed batch of the windows at `rows`, in that order; the token counts are theirs."""
    starts = batch.inputs["cu_seqlens"].numpy()
    lengths = np.diff(starts)[rows]
    tokens = torch.from_numpy(np.concatenate([np.arange(starts[row], starts[row + 1]) for row in rows]))
    chosen = torch.from_numpy(rows)
    inputs = {name: value[:, tokens] for name, value in batch.inputs.items() if name != "cu_seqlens"}
    inputs["cu_seqlens"] = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    return replace(
        batch,
        inputs=inputs,
        labels={name: value[chosen] for name, value in batch.labels.items()},
        window_index=batch.window_index[rows],
        useful_tokens=int(lengths.sum()),
        computed_tokens=int(lengths.sum()),
    )


def unpack(values: Tensor, cu_seqlens: Tensor, *, length: int, fill: float) -> Tensor:
    """Return packed values (T, …) as rows (n, length, …), with `fill` where a window has no token.

    `length` is at least the longest window's. Nothing waits for the device.
    """
    windows, rest = cu_seqlens.shape[0] - 1, values.shape[1:]
    rows = values.new_full((windows * length, *rest), fill)
    slots = row_slots(cu_seqlens, tokens=values.shape[0], length=length)
    return rows.index_copy(0, slots, values).view(windows, length, *rest)


def row_slots(cu_seqlens: Tensor, *, tokens: int, length: int) -> Tensor:
    """Return where each of T packed tokens stands in rows of `length`, flattened: int64 (T,)."""
    token = torch.arange(tokens, device=cu_seqlens.device, dtype=cu_seqlens.dtype)
    window = torch.bucketize(token, cu_seqlens[1:], right=True)
    return window * length + token - cu_seqlens[window]
