"""One step of a training, caught: the state before it and what it did, on its way from a contender to the referee."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.experiment.tensor_file import load_tensors, named_rows, rows_of, save_tensors
from harness.training.loop import spread_elements

TABLES = ("before", "after", "exp_avg", "exp_avg_sq", "exp_avg_after")
"""Fields of `Snapshot` that hold a tensor for each parameter."""

RANDOM_STATES = ("random_state", "cuda_random_state")

FACTS = ("updates_before", "dtype", "betas", "eps", "weight_decay", "loss", "gradient_norm")
"""Fields that are plain values and the contender's to tell; what was planned is not."""

SETTINGS = ("updates_before", "betas", "eps", "weight_decay")
"""Those of them that AdamW's update depends on beside gradients and learning rate."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One step: the state before it, and what it did. Tensors are float32 on the host, by the parameter's name."""

    epoch: int
    """Counted from 1; in a segment the repetition."""
    step: int
    """Counted from 1 over the whole training; in a segment from the repetition's begin."""
    numbers: tuple[int, ...]
    """Of the windows that the plan names for this step, whatever was trained on."""
    before: dict[str, Tensor]
    """Parameters that require gradients, before the step."""
    after: dict[str, Tensor]
    exp_avg: dict[str, Tensor]
    """AdamW's first moments before the step; empty before the first one, when they are 0."""
    exp_avg_sq: dict[str, Tensor]
    """The second ones."""
    updates_before: int
    """Updates that the optimizer had counted."""
    exp_avg_after: dict[str, Tensor]
    dtype: str
    """Of the contender's forward pass, as in `harness.records.tolerances`."""
    betas: tuple[float, float]
    """As the contender's optimizer has them, like the next two."""
    eps: float
    weight_decay: float
    learning_rate: float
    """Found: that which explains the change of the parameters best; see `find_learning_rate`."""
    planned_learning_rate: float
    """That of the baseline's schedule for this step."""
    loss: float
    """As the step said, like the next one."""
    gradient_norm: float
    """Before clipping."""
    random_state: Tensor
    """Of the host's generator before the step."""
    cuda_random_state: Tensor | None


def save_tables(
    path: Path, tables: Mapping[str, Mapping[str, Tensor]], random_states: Mapping[str, Tensor], facts: dict[str, Any]
) -> None:
    """Write what a contender tells of a step as one file, whole or not at all."""
    tensors = dict(random_states)
    for table, values in tables.items():
        on_host = {name: value.detach().to("cpu", torch.float32).contiguous() for name, value in values.items()}
        tensors |= named_rows(table, on_host)
    save_tensors(path, tensors, facts)


def save_snapshot(snapshot: Snapshot, path: Path) -> None:
    """Write what a contender would have told of it."""
    states = {name: getattr(snapshot, name) for name in RANDOM_STATES}
    save_tables(
        path,
        {table: getattr(snapshot, table) for table in TABLES},
        {name: state for name, state in states.items() if state is not None},
        {name: getattr(snapshot, name) for name in FACTS},
    )


def load_snapshot(
    path: Path, *, epoch: int, step: int, numbers: tuple[int, ...], learning_rate_after: Callable[[int], float]
) -> Snapshot:
    """Read what a contender told of a step, and add what was planned for it.

    `learning_rate_after` gives the planned learning rate of the update after so many.
    """
    tensors, facts = load_tensors(path)
    tables: dict[str, Any] = {table: rows_of(table, tensors) for table in TABLES}
    facts["betas"] = tuple(facts["betas"])
    return Snapshot(
        epoch=epoch,
        step=step,
        numbers=numbers,
        planned_learning_rate=learning_rate_after(facts["updates_before"]),
        learning_rate=find_learning_rate(tables, **{name: facts[name] for name in SETTINGS}),
        random_state=tensors["random_state"],
        cuda_random_state=tensors.get("cuda_random_state"),
        **tables,
        **facts,
    )


def used_gradient(snapshot: Snapshot) -> dict[str, Tensor]:
    """Return the gradients that the optimizer really used, whatever became of `.grad`: clipped, and all that was added.

    AdamW's first moment is m' = β₁·m + (1 − β₁)·g, so g = (m' − β₁·m) ÷ (1 − β₁), up to the rounding of m' (a relative
    6e-8 of it, ten times that of g).
    """
    return {
        name: gradient_of(snapshot.exp_avg.get(name), after, snapshot.betas[0])
        for name, after in snapshot.exp_avg_after.items()
    }


def keep_gradient(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot without all but the parameters before the step and the gradient that it used."""
    first = 1 - snapshot.betas[0]
    moments = {name: first * gradient for name, gradient in used_gradient(snapshot).items()}
    return replace(snapshot, after={}, exp_avg={}, exp_avg_sq={}, exp_avg_after=moments)


def gradient_of(before: Tensor | None, after: Tensor, beta: float) -> Tensor:
    """Return the gradient that took a first moment from `before` (None: 0) to `after`."""
    return (after if before is None else after - beta * before) / (1 - beta)


def adamw_direction(
    parameter: Tensor,
    exp_avg: Tensor | None,
    exp_avg_sq: Tensor | None,
    exp_avg_after: Tensor,
    *,
    updates_before: int,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> Tensor:
    """Return what AdamW subtracts from a parameter at learning rate 1 (Loshchilov and Hutter 2019, algorithm 2)."""
    first, second = betas
    gradient = gradient_of(exp_avg, exp_avg_after, first)
    square = (1 - second) * gradient.square()
    if exp_avg_sq is not None:
        square += second * exp_avg_sq
    number = updates_before + 1
    root = (square / (1 - second**number)).sqrt_().add_(eps)
    direction = (exp_avg_after / (1 - first**number)).div_(root)
    return direction.add_(parameter, alpha=weight_decay) if weight_decay else direction


def find_learning_rate(
    tables: Mapping[str, Mapping[str, Tensor]],
    *,
    updates_before: int,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> float:
    """Return the learning rate with which AdamW comes closest to what the parameters changed by (least squares).

    A sample of the elements is enough to tell it; whether all of them changed so is looked at elsewhere.
    """
    product = square = 0.0
    for name in tables["after"]:
        if name not in tables["exp_avg_after"]:
            continue
        sample = {table: spread_elements(values[name]) for table, values in tables.items() if name in values}
        direction = adamw_direction(
            sample["before"],
            sample.get("exp_avg"),
            sample.get("exp_avg_sq"),
            sample["exp_avg_after"],
            updates_before=updates_before,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
        )
        product += float(torch.dot(sample["before"] - sample["after"], direction))
        square += float(torch.dot(direction, direction))
    return product / square if square else 0.0
