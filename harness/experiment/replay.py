"""A contender's step made again by the reference, and how far the two are apart.

One step of AdamW splits into two exact questions: is the gradient the reference's (whatever became of it afterwards),
and is the change of the parameters AdamW's for the contender's own gradient, at the planned learning rate?
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.data.windows import Windows
from harness.experiment.snapshot import Snapshot, adamw_direction, used_gradient
from harness.records.checks import ReplayRecord, TensorError
from harness.records.tolerances import AUDITED_UPDATE, Tolerance, tolerance_of
from harness.strategy import TrainSetup

ROUNDING = 2.0**-24
"""Of one float32 operation, as a share of its result."""

GRADIENT_ROUNDINGS = 2.0
"""Roundings of the first moment that a gradient taken from it carries, each ÷ (1 − β₁)."""

DRAWS = 6
"""Gradients that the scatter of dropout is taken from, where a contender does not draw the reference's numbers."""

WORST_TENSORS = 5


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the reference made of a step."""

    loss: float
    gradient_norm: float
    """Before clipping."""
    gradients: dict[str, Tensor]
    """Clipped, float32 on the host."""


def replay(snapshot: Snapshot, setup: TrainSetup, windows: Windows, *, lowers_precision: bool) -> ReplayRecord:
    """Replay a step with the reference's setup, on the planned windows; the model's parameters are overwritten."""
    tolerance = tolerance_of(snapshot.dtype, lowers_precision=lowers_precision)
    _load_parameters(setup, snapshot.before)
    given = used_gradient(snapshot)
    _restore_random_state(snapshot)
    made = make_gradients(setup, windows, snapshot.numbers)
    errors = compare_step(snapshot, given, made, setup, tolerance)
    matrices = [error.gradient for error in errors if made.gradients[error.name].dim() > 1]
    typical = _median(matrices)
    loss_error = abs(snapshot.loss - made.loss) / max(abs(made.loss), 1e-12)
    same = (
        all(error.gradient is not None and error.gradient <= tolerance.gradient for error in errors)
        and typical is not None
        and typical <= tolerance.typical_gradient
        and loss_error <= tolerance.typical_gradient
    )
    draws: list[dict[str, Tensor]] = []
    if not same and draws_random_numbers(setup, snapshot):
        draws = [_draw(setup, windows, snapshot, number) for number in range(DRAWS)]
    distance, degrees_of_freedom = (None, None) if not draws else measure_distance(given, draws)
    return ReplayRecord(
        dtype=snapshot.dtype,
        worst=tuple(sorted(errors, key=lambda error: _excess(error, tolerance), reverse=True)[:WORST_TENSORS]),
        typical_gradient=typical,
        missing=tuple(name for name in made.gradients if name not in given),
        loss=snapshot.loss,
        loss_reference=made.loss,
        gradient_norm=snapshot.gradient_norm,
        gradient_norm_reference=made.gradient_norm,
        same_random_numbers=same,
        draws=len(draws),
        distance=distance,
        degrees_of_freedom=degrees_of_freedom,
    )


def make_gradients(setup: TrainSetup, windows: Windows, numbers: Iterable[int]) -> Made:
    """Return loss and gradients of a batch, clipped as the baseline clips, from the present random state."""
    model = setup.model
    batch = setup.collate(windows, np.asarray(tuple(numbers))).to(setup.device)
    model.zero_grad(set_to_none=True)
    with setup.autocast():
        loss = setup.forward_loss(model, batch)
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    norm = setup.clip_gradients(parameters, setup.training.max_grad_norm)
    return Made(
        loss=float(loss.detach()),
        gradient_norm=float(norm),
        gradients={
            name: parameter.grad.to("cpu", torch.float32, copy=True)
            for name, parameter in model.named_parameters()
            if parameter.grad is not None
        },
    )


def compare_step(
    snapshot: Snapshot, given: Mapping[str, Tensor], made: Made, setup: TrainSetup, tolerance: Tolerance
) -> list[TensorError]:
    """Return the errors of each tensor of the reference, whose optimizer is the baseline's."""
    group = setup.make_optimizer(setup.model, setup.training).param_groups[0]
    settings = {name: group[name] for name in ("betas", "eps", "weight_decay")}
    whole_norm = math.sqrt(sum(_norm(gradient) ** 2 for gradient in made.gradients.values()))
    errors = []
    for name, expected in made.gradients.items():
        found = given.get(name)
        if found is None or found.shape != expected.shape:
            errors.append(TensorError(name=name, gradient=None, update=None))
            continue
        moments = snapshot.exp_avg.get(name), snapshot.exp_avg_sq.get(name), snapshot.exp_avg_after[name]
        share = tolerance.matrix_share if expected.dim() > 1 else tolerance.vector_share
        # The gradient was taken from the moments, whose rounding it shares.
        rounding = GRADIENT_ROUNDINGS * ROUNDING / (1 - settings["betas"][0]) * _norm(moments[2])
        difference = _beyond(_norm(found - expected), rounding)
        before, after = snapshot.before[name], snapshot.after[name]
        direction = adamw_direction(before, *moments, updates_before=snapshot.updates_before, **settings)
        planned = snapshot.planned_learning_rate * direction
        # A parameter that is large beside its update rounds it.
        off = _beyond(_norm(before - after - planned), ROUNDING * _norm(before))
        errors.append(
            TensorError(
                name=name,
                gradient=difference / max(_norm(expected), share * whole_norm, 1e-300),
                update=off / max(_norm(planned), 1e-300),
            )
        )
    return errors


def draws_random_numbers(setup: TrainSetup, snapshot: Snapshot) -> bool:
    """Return whether the step that was just made has drawn any: with dropout off there is no scatter."""
    if snapshot.cuda_random_state is not None:
        return not torch.equal(torch.cuda.get_rng_state(setup.device), snapshot.cuda_random_state)
    return not torch.equal(torch.get_rng_state(), snapshot.random_state)


def measure_distance(given: Mapping[str, Tensor], draws: list[dict[str, Tensor]]) -> tuple[float, float]:
    """Return how far a gradient is from the mean of the draws, and the scatter's degrees of freedom.

    The distance is ‖g − mean‖² ÷ (s²·(1 + 1/K)) with s² = Σ‖gₖ − mean‖² ÷ (K − 1): 1 on average for one more draw. In
    d directions of equal scatter it would be F-distributed with d and d·(K − 1) degrees of freedom; d = (tr Σ)² ÷ tr Σ²
    is Satterthwaite's (1946) number of them. Disjoint pairs of draws, whose differences have covariance 2Σ, give
    4·tr Σ² as the mean square of two differences' product.
    """
    count = len(draws)
    distance = scatter = 0.0
    products = torch.zeros(count // 2, count // 2, dtype=torch.float64)
    for name in draws[0]:
        stacked = torch.stack([draw[name].flatten() for draw in draws])
        mean = stacked.mean(dim=0)
        scatter += _norm(stacked - mean) ** 2
        if name in given:
            distance += _norm(given[name].flatten() - mean) ** 2
        else:
            distance += _norm(mean) ** 2
        differences = stacked[0 : 2 * (count // 2) : 2] - stacked[1::2]
        products += (differences @ differences.T).double()
    variance = scatter / (count - 1)
    others = products[~torch.eye(count // 2, dtype=torch.bool)]
    squares = float(others.square().mean()) / 4
    return distance / max(variance * (1 + 1 / count), 1e-300), max(1.0, variance**2 / max(squares, 1e-300))


def _draw(setup: TrainSetup, windows: Windows, snapshot: Snapshot, number: int) -> dict[str, Tensor]:
    torch.manual_seed(number)
    return make_gradients(setup, windows, snapshot.numbers).gradients


def _load_parameters(setup: TrainSetup, before: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in setup.model.named_parameters():
            if name in before:  # what is missing shows in the gradients
                parameter.copy_(before[name])


def _restore_random_state(snapshot: Snapshot) -> None:
    torch.set_rng_state(snapshot.random_state)
    if snapshot.cuda_random_state is not None:
        torch.cuda.set_rng_state(snapshot.cuda_random_state)


def _excess(error: TensorError, tolerance: Tolerance) -> float:
    """Return an error in units of what is allowed; what is no number comes first."""
    sizes = [math.inf if error.gradient is None else error.gradient / tolerance.gradient]
    sizes += [] if error.update is None else [error.update / AUDITED_UPDATE]
    return math.inf if any(math.isnan(size) for size in sizes) else max(sizes)


def _beyond(error: float, rounding: float) -> float:
    """Return what of an error rounding does not explain; what is no number stays none."""
    return 0.0 if error <= rounding else error - rounding


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64))


def _median(errors: Iterable[float | None]) -> float | None:
    known = [math.inf if error is None or math.isnan(error) else error for error in errors]
    return statistics.median(known) if known else None
