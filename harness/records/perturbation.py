"""What audited steps leave behind of their gradients: norms and inner products, tensor by tensor. Raw values only."""

from __future__ import annotations

from dataclasses import dataclass

SAME_NUMBERS = 0.2
"""Relative deviation of the whole gradient below which a contender drew the reference's random numbers. Other numbers
give 0.4 to 1.0 (bundled encoder, 8 windows, over a training), bf16 with the same ones 0.007 to 0.02."""

Products = tuple[tuple[float, ...], ...]
"""Inner products of some vectors, each with each."""


@dataclass(frozen=True, kw_only=True)
class TwinRecord:
    """The same of a twin: the contender's strategies on a fresh model, put into the state before each audited step.

    Where a contender draws other random numbers than the reference, its own steps can't be compared with the
    reference's; with dropout off its twin's can.
    """

    deviations: tuple[tuple[float | None, ...], ...]
    """As in `PerturbationRecord`, of the twin from the reference, dropout off in both."""
    products: Products
    disagreements: tuple[float | None, ...]
    """‖g − g_twin‖ ÷ ‖g‖ of each audited step and the twin's from the same random state, dropout on: 0 if the step in
    the job was what the strategies do on a fresh model. None: the twin could not make the step."""
    repeatability: float | None
    """The same of the twin's first step made twice: above 0 where steps can't be made again from a random state."""


@dataclass(frozen=True, kw_only=True)
class PerturbationRecord:
    """Gradients of the audited steps of one job beside the reference's from the same states, on the planned windows.

    All are the gradients that AdamW used, so clipped. Tables are in the order of `steps` and `tensors`.
    """

    tensors: tuple[str, ...]
    """Of the reference."""
    steps: tuple[int, ...]
    """Counted from 1 over the whole training."""
    reference: tuple[float, ...]
    """Root mean square norm of the reference's gradient of each tensor."""
    scatter: tuple[float, ...]
    """Standard deviation (over all elements of a tensor together) of the reference's gradient over the choice of the
    batch and of dropout, pooled over the audited states."""
    scatter_degrees: int
    """Draws that it was taken from, less one for each state."""
    deviations: tuple[tuple[float | None, ...], ...]
    """‖g − g_ref‖ of each step and tensor, the random state restored; None: the contender does not train it."""
    products: Products
    """Of the steps' deviations with each other, each tensor in units of its scale (`part_scales`), ÷ number of tensors:
    their diagonal is the mean square of deviation ÷ scale."""
    twin: TwinRecord | None = None
