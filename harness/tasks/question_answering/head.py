"""The head of question answering: start and end logits of every token, and the loss over them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.config import RunConfig
from harness.data.batching import Batch
from harness.data.packing import NO_LABEL, is_packed, unpack

LABELS = ("start_positions", "end_positions")
"""Of each window: the answer's first and last token, counted within it; 0 if the answer isn't wholly inside."""

LOGITS = ("start_logits", "end_logits")

LOWEST = torch.finfo(torch.float32).min
"""Logit of places where a window has no token."""


def read_logits(model: nn.Module, batch: Batch, longest: int, *, fill: float = LOWEST) -> tuple[Tensor, ...]:
    """Return one row of logits for each window, also where the batch is packed into one: float32 (windows, tokens).

    A packed batch's rows have `longest` columns, with `fill` where a window has no token.
    """
    output = model(**batch.inputs)
    rows: tuple[Tensor, ...] = tuple(getattr(output, name).float() for name in LOGITS)
    if not is_packed(batch):
        return rows
    cu_seqlens = batch.inputs["cu_seqlens"]
    return tuple(unpack(row[0], cu_seqlens, length=longest, fill=fill) for row in rows)


def window_loss(model: nn.Module, batch: Batch, *, longest: int) -> Tensor:
    """Return the mean of the start and end cross-entropies, each over its window's own tokens: padding is no answer.

    A label beyond the row counts for nothing, as in transformers' own loss. `longest`: tokens that a window can have.
    """
    rows = read_logits(model, batch, longest, fill=-torch.inf)
    labels = [batch.labels[name] for name in LABELS]
    beyond = NO_LABEL
    if not is_packed(batch):
        padding = batch.inputs["attention_mask"] == 0
        beyond = padding.shape[1]
        rows = tuple(logits.masked_fill(padding, -torch.inf) for logits in rows)
        labels = [positions.clamp(max=beyond) for positions in labels]
    losses = [functional.cross_entropy(*pair, ignore_index=beyond) for pair in zip(rows, labels, strict=True)]
    return (losses[0] + losses[1]) / 2


def row_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Return the model's own loss: the same over all positions of the padded rows."""
    loss: Tensor = model(**batch.inputs, **batch.labels).loss
    return loss


def make_loss(config: RunConfig) -> Callable[[nn.Module, Batch], Tensor]:
    """Return the loss over the positions that the configuration says."""
    if config.training.loss_over == "row":
        return row_loss
    return partial(window_loss, longest=config.data.max_length)
