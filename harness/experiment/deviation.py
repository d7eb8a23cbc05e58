"""How far some updates are from the fp32 reference's, tensor by tensor."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

import torch
from torch import Tensor

from harness.experiment.dropout import scatter
from harness.experiment.equivalence import MOST_PASSES, Updates
from harness.records.checks import EquivalenceRecord, TensorError
from harness.records.tolerances import UPDATE_SHARE, Tolerance, tolerance_of

NEAR_ZERO_SHARE = 1e-2
"""Elements whose gradient is below this share of the tensor's root mean square are left out of the update's error:
Adam's first update is lr × sign(g) almost everywhere, so near 0 rounding decides it."""

WORST_TENSORS = 5


def compare_updates(reference: Updates, given: Updates, *, lowers_precision: bool = False) -> EquivalenceRecord:
    """Return how far `given` is from `reference`, tensor by tensor; for `lowers_precision` see `tolerance_of`."""
    tolerance = tolerance_of(given.dtype, lowers_precision=lowers_precision)
    whole_norm = _whole_norm(reference.gradients.values())
    errors = {name: _tensor_error(name, reference, given, tolerance, whole_norm) for name in reference.gradients}
    matrices = [errors[name] for name, expected in reference.gradients.items() if expected.dim() > 1]

    def share_of_allowance(error: TensorError) -> float:
        shares = ((error.gradient or 0.0) / tolerance.gradient, (error.update or 0.0) / tolerance.update)
        return math.inf if any(math.isnan(share) for share in shares) else max(shares)

    worst = sorted(errors.values(), key=share_of_allowance, reverse=True)
    return EquivalenceRecord(
        dtype=given.dtype,
        windows=given.windows,
        losses=tuple(given.losses),
        losses_reference=tuple(reference.losses),
        gradient_norms=tuple(given.gradient_norms),
        gradient_norms_reference=tuple(reference.gradient_norms),
        cosine=_cosine(reference.gradients, given.gradients),
        worst=tuple(worst[:WORST_TENSORS]),
        missing=tuple(name for name in reference.updates if name not in given.updates),
        dropout_scatter=scatter(given.dropout_losses),
        dropout_scatter_reference=scatter(reference.dropout_losses),
        typical_gradient=_median(error.gradient for error in matrices),
        typical_update=_median(error.update for error in matrices),
        unmade=f"its gradients overflowed, so that {given.skipped} of {len(given.losses)} updates were skipped, also "
        f"after {MOST_PASSES - 1} attempts at smaller scales"
        if given.skipped
        else None,
    )


def _tensor_error(
    name: str, reference: Updates, given: Updates, tolerance: Tolerance, whole_norm: float
) -> TensorError:
    expected = reference.gradients[name]
    is_matrix = expected.dim() > 1
    share = tolerance.matrix_share if is_matrix else tolerance.vector_share
    least_norm = (UPDATE_SHARE if is_matrix else tolerance.vector_share) * whole_norm
    gradient, error = given.gradients.get(name), None
    if gradient is not None and gradient.shape == expected.shape:
        error = _norm(gradient - expected) / max(_norm(expected), share * whole_norm, 1e-300)
    return TensorError(
        name=name,
        gradient=error,
        update=_update_error(reference.updates[name], given.updates.get(name), expected, least_norm),
    )


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64))


def _whole_norm(tensors: Iterable[Tensor]) -> float:
    return math.sqrt(sum(_norm(tensor) ** 2 for tensor in tensors))


def _update_error(expected: Tensor, given: Tensor | None, gradient: Tensor, least_norm: float) -> float | None:
    if given is None or given.shape != expected.shape:
        return None
    if not bool(given.isfinite().all()):
        return math.nan
    gradient_norm = _norm(gradient)
    if gradient_norm < least_norm:
        return None
    # Factors of 0 and 1 take a tenth of the time that picking the elements out would.
    counted = gradient.abs() > NEAR_ZERO_SHARE * gradient_norm / math.sqrt(gradient.numel())
    scale = _norm(expected * counted)
    if scale == 0.0:
        return None
    return _norm((given - expected) * counted) / scale


def _median(errors: Iterable[float | None]) -> float | None:
    """Return the median of those that there are; None if there is none, NaN if one is no number."""
    known = [error for error in errors if error is not None]
    if any(math.isnan(error) for error in known):
        return math.nan
    return statistics.median(known) if known else None


def _cosine(reference: dict[str, Tensor], given: dict[str, Tensor]) -> float | None:
    shared = [name for name in reference if name in given and given[name].shape == reference[name].shape]
    if not shared:
        return None
    product = sum(
        float(torch.dot(reference[name].double().flatten(), given[name].double().flatten())) for name in shared
    )
    norms = _whole_norm(reference.values()) * _whole_norm(given.values())
    return product / norms if norms > 0 else None
