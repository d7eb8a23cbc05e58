"""What some updates did, on its way between processes, and how far that is from the fp32 reference's."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from harness.experiment.tensor_file import load_tensors, named_rows, rows_of, save_tensors
from harness.records.checks import EquivalenceRecord, TensorError
from harness.records.tolerances import UPDATE_SHARE, Tolerance, tolerance_of

MOST_PASSES = 24
"""Passes over the checked batches in which a gradient scaler may look for its scale. Each skipped update halves it, and
a job's begins at 2^16."""


NEAR_ZERO_SHARE = 1e-2
"""Elements whose gradient is below this share of the tensor's root mean square are left out of the update's error:
Adam's first update is lr × sign(g) almost everywhere, so near 0 rounding decides it."""

WORST_TENSORS = 5

FACTS = ("losses", "gradient_norms", "dtype", "windows", "dropout_losses", "attention_losses", "skipped")
"""Fields of `Updates` that are no tensors."""


@dataclass(frozen=True, kw_only=True)
class Updates:
    """What a few updates did."""

    losses: list[float]
    gradient_norms: list[float]
    gradients: dict[str, Tensor]
    """Of the first update, as the loop left them, float32 on the host; tensors without one are missing."""
    updates: dict[str, Tensor]
    """Parameters after the last update minus before the first, of those that require gradients."""
    dtype: str
    windows: int
    dropout_losses: list[float] = field(default_factory=list)
    """Of one window with dropout on, drawn again and again; see `harness.experiment.equivalence.draw_losses`."""
    attention_losses: list[float] = field(default_factory=list)
    """The same with dropout on attention's weights alone."""
    skipped: int = 0
    """Updates that a gradient scaler left out to the last."""


def save_updates(made: Updates, path: Path) -> None:
    """Write them as one file, whole or not at all."""
    tensors = named_rows("gradient", made.gradients) | named_rows("update", made.updates)
    save_tensors(path, tensors, {name: getattr(made, name) for name in FACTS})


def load_updates(path: Path) -> Updates:
    """Read what `save_updates` wrote."""
    tensors, facts = load_tensors(path)
    return Updates(gradients=rows_of("gradient", tensors), updates=rows_of("update", tensors), **facts)


def compare_updates(reference: Updates, given: Updates, *, lowers_precision: bool = False) -> EquivalenceRecord:
    """Return how far `given` is from `reference`, tensor by tensor; for `lowers_precision` see `tolerance_of`."""
    tolerance = tolerance_of(given.dtype, lowers_precision=lowers_precision)
    whole_norm = _whole_norm(reference.gradients.values())
    errors = {name: _tensor_error(name, reference, given, tolerance, whole_norm) for name in reference.gradients}
    matrices = [errors[name] for name, expected in reference.gradients.items() if expected.dim() > 1]
    worst = sorted(
        errors.values(),
        key=lambda error: max(_size(error.gradient) / tolerance.gradient, _size(error.update) / tolerance.update),
        reverse=True,
    )
    shared = [name for name in errors if errors[name].gradient is not None]
    product = sum(
        float(torch.dot(reference.gradients[name].double().flatten(), given.gradients[name].double().flatten()))
        for name in shared
    )
    norms = whole_norm * _whole_norm(given.gradients.values())
    unmade = (
        f"its gradients overflowed, so that {given.skipped} of {len(given.losses)} updates were skipped, also "
        f"after {MOST_PASSES - 1} attempts at smaller scales"
    )
    return EquivalenceRecord(
        dtype=given.dtype,
        windows=given.windows,
        losses=tuple(given.losses),
        losses_reference=tuple(reference.losses),
        gradient_norms=tuple(given.gradient_norms),
        gradient_norms_reference=tuple(reference.gradient_norms),
        cosine=product / norms if shared and norms > 0 else None,
        worst=tuple(worst[:WORST_TENSORS]),
        missing=tuple(name for name in reference.updates if name not in given.updates),
        dropout_scatter=scatter(given.dropout_losses),
        dropout_scatter_reference=scatter(reference.dropout_losses),
        attention_scatter=scatter(given.attention_losses),
        attention_scatter_reference=scatter(reference.attention_losses),
        typical_gradient=_median(error.gradient for error in matrices),
        typical_update=_median(error.update for error in matrices),
        unmade=unmade if given.skipped else None,
    )


def _tensor_error(
    name: str, reference: Updates, given: Updates, tolerance: Tolerance, whole_norm: float
) -> TensorError:
    gradient, expected = reference.gradients[name], reference.updates[name]
    is_matrix = gradient.dim() > 1
    share = tolerance.matrix_share if is_matrix else tolerance.vector_share
    gradient_norm = _norm(gradient)
    gradient_error = update_error = None
    found = given.gradients.get(name)
    if found is not None and found.shape == gradient.shape:
        gradient_error = _norm(found - gradient) / max(gradient_norm, share * whole_norm, 1e-300)
    made = given.updates.get(name)
    if made is not None and made.shape == expected.shape:
        if not bool(made.isfinite().all()):
            update_error = math.nan
        elif not gradient_norm < (UPDATE_SHARE if is_matrix else tolerance.vector_share) * whole_norm:
            # Factors of 0 and 1 take a tenth of the time that picking the elements out would.
            counted = gradient.abs() > NEAR_ZERO_SHARE * gradient_norm / math.sqrt(gradient.numel())
            scale = _norm(expected * counted)
            update_error = _norm((made - expected) * counted) / scale if scale else None
    return TensorError(name=name, gradient=gradient_error, update=update_error)


def _size(error: float | None) -> float:
    """Return an error to sort by: what is no number comes first, what is not known last."""
    if error is None:
        return 0.0
    return math.inf if math.isnan(error) else error


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64))


def _whole_norm(tensors: Iterable[Tensor]) -> float:
    return math.sqrt(sum(_norm(tensor) ** 2 for tensor in tensors))


def _median(errors: Iterable[float | None]) -> float | None:
    """Return the median of those that there are; None if there is none, NaN if one is no number."""
    known = [error for error in errors if error is not None]
    if any(math.isnan(error) for error in known):
        return math.nan
    return statistics.median(known) if known else None


def scatter(losses: Sequence[float]) -> float | None:
    """Return the standard deviation of the losses; None if there are fewer than two."""
    return statistics.stdev(losses) if len(losses) > 1 else None
