"""Windows to batches: the order of an epoch, padding, and the plain loader of the baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

if TYPE_CHECKING:
    from harness.config import TrainingConfig
    from harness.data.windows import Windows
    from harness.strategy import TrainSetup


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Windows of one forward pass."""

    inputs: dict[str, Tensor]
    """Keyword arguments of the model: input_ids, attention_mask, …, each int64 (windows, length)."""
    labels: dict[str, Tensor]
    """What the task's loss learns from, each int64 (windows,), by name."""
    window_index: np.ndarray
    """Which windows these are, int64 (windows,)."""
    useful_tokens: int
    """Tokens that are not padding."""
    computed_tokens: int
    """Tokens with padding."""

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with each of its tensors changed."""
        return replace(
            self,
            inputs={name: change(value) for name, value in self.inputs.items()},
            labels={name: change(value) for name, value in self.labels.items()},
        )

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Batch:
        """Return the batch with its tensors on `device`."""
        return self.map(lambda value: value.to(device, non_blocking=non_blocking))

    def tensors(self) -> dict[str, Tensor]:
        """Return inputs and labels under their names, which differ."""
        return {**self.inputs, **self.labels}


def make_padding_collate(*, length: int, pad_id: int, token_types: bool) -> Callable[[Windows, np.ndarray], Batch]:
    """Return a collate function that pads every window to `length` tokens.

    `token_types` adds token_type_ids (0 question, 1 context) for models that were trained with them.
    """

    def collate(windows: Windows, numbers: np.ndarray) -> Batch:
        input_ids = np.full((len(numbers), length), pad_id, dtype=np.int64)
        attention_mask = np.zeros((len(numbers), length), dtype=np.int64)
        types = np.zeros((len(numbers), length), dtype=np.int64)
        for row, number in enumerate(numbers):
            tokens = windows.row(int(number))
            count = tokens.stop - tokens.start
            input_ids[row, :count] = windows.input_ids[tokens]
            types[row, :count] = windows.token_type_ids[tokens]
            attention_mask[row, :count] = 1
        inputs = {"input_ids": torch.from_numpy(input_ids), "attention_mask": torch.from_numpy(attention_mask)}
        if token_types:
            inputs["token_type_ids"] = torch.from_numpy(types)
        return Batch(
            inputs=inputs,
            labels={name: torch.from_numpy(values[numbers]) for name, values in windows.labels.items()},
            window_index=numbers,
            useful_tokens=int(attention_mask.sum()),
            computed_tokens=attention_mask.size,
        )

    return collate


def plan_shuffled_batches(windows: Windows, training: TrainingConfig, seed: int, epoch: int) -> list[np.ndarray]:
    """Return the epoch's batches in a random order that depends on seed and epoch only; the last may be smaller."""
    order = np.random.default_rng([seed, epoch]).permutation(len(windows))
    return [order[start : start + training.batch_size] for start in range(0, len(order), training.batch_size)]


def load_in_process(setup: TrainSetup, windows: Windows, plan: list[np.ndarray]) -> Iterable[Batch]:
    """Yield the planned batches through a DataLoader with no workers and no pinned memory."""
    return DataLoader(
        range(len(windows)),  # type: ignore[arg-type]
        batch_sampler=plan,  # type: ignore[arg-type]
        collate_fn=lambda numbers: setup.collate(windows, np.asarray(numbers)),
        num_workers=0,
        pin_memory=False,
    )
