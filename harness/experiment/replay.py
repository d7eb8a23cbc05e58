"""A contender's step made again by the reference, and how far the two are apart.

One step of AdamW splits into two exact questions: is the gradient the reference's (whatever became of it afterwards),
and is the change of the parameters AdamW's for the contender's own gradient, at the planned learning rate?
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.data.windows import Windows
from harness.experiment.snapshot import SETTINGS, Snapshot, adamw_direction, used_gradient
from harness.records.checks import ReplayRecord, TensorError
from harness.records.tolerances import AUDITED_UPDATE, Tolerance, tolerance_of
from harness.statistics.perturbation import scatter_ratios
from harness.strategy import TrainSetup

ROUNDING = 2.0**-24
"""Of one float32 operation, as a share of its result."""

GRADIENT_ROUNDINGS = 2.0
"""Roundings of the first moment that a gradient taken from it carries, each ÷ (1 − β₁)."""

DRAWS = 6
"""Gradients that the scatter of dropout is taken from, where a contender does not draw the reference's numbers."""

NEAR_DRAWS = 3
"""Gradients that the distance of other dropout from the reference's own is taken from, there."""

WORST_TENSORS = 5


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the reference made of a step."""

    loss: float
    gradient_norm: float
    """Before clipping."""
    gradients: dict[str, Tensor]
    """Clipped, float32 on the host."""


def replay(
    snapshot: Snapshot, setup: TrainSetup, windows: Windows, *, lowers_precision: bool, has_twin: bool = False
) -> tuple[ReplayRecord, Made]:
    """Replay a step with the reference's setup, on the planned windows; the model's parameters are overwritten.

    `has_twin`: a twin will tell whether a step with other dropout is what the contender's strategies make of it, and
    whether that is the reference's without dropout; so no draws need to.
    """
    tolerance = tolerance_of(snapshot.dtype, lowers_precision=lowers_precision)
    # Whatever the contender's optimizer says of itself: with other settings its gradients and updates are others.
    snapshot = replace(snapshot, **planned_settings(setup))
    load_parameters(setup, snapshot.before)
    given = {name: gradient for name, gradient in used_gradient(snapshot).items() if name not in left_out(snapshot)}
    restore_random_state(snapshot)
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
    nearness: tuple[float, ...] = ()
    drew_others = not same and draws_random_numbers(setup, snapshot)
    if drew_others and not has_twin:
        draws = [_draw(setup, windows, snapshot, number) for number in range(DRAWS)]
        nearness = measure_nearness(given, made.gradients, draw_after_first(setup, windows, snapshot))
    record = ReplayRecord(
        dtype=snapshot.dtype,
        worst=tuple(sorted(errors, key=lambda error: _excess(error, tolerance), reverse=True)[:WORST_TENSORS]),
        typical_gradient=typical,
        missing=tuple(name for name in made.gradients if name not in given),
        loss=snapshot.loss,
        loss_reference=made.loss,
        gradient_norm=snapshot.gradient_norm,
        gradient_norm_reference=made.gradient_norm,
        same_random_numbers=same,
        left_to_twin=drew_others and has_twin,
        draws=len(draws),
        ratios=measure_ratios(given, draws) if draws else (),
        nearness=nearness,
    )
    return record, made


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
            name: parameter.grad.to("cpu", torch.float32)
            for name, parameter in model.named_parameters()
            if parameter.grad is not None
        },
    )


def compare_step(
    snapshot: Snapshot, given: Mapping[str, Tensor], made: Made, setup: TrainSetup, tolerance: Tolerance
) -> list[TensorError]:
    """Return the errors of each tensor of the reference."""
    settings = {name: getattr(snapshot, name) for name in SETTINGS}
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
        direction = adamw_direction(before, *moments, **settings)
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


def planned_settings(setup: TrainSetup) -> dict[str, Any]:
    """Return what the baseline's optimizer is set to, but for the learning rate."""
    group = setup.make_optimizer(setup.model, setup.training).param_groups[0]
    return {name: group[name] for name in ("betas", "eps", "weight_decay")}


def draws_random_numbers(setup: TrainSetup, snapshot: Snapshot) -> bool:
    """Return whether the step that was just made has drawn any: with dropout off there is no scatter."""
    if snapshot.cuda_random_state is not None:
        return not torch.equal(torch.cuda.get_rng_state(setup.device), snapshot.cuda_random_state)
    return not torch.equal(torch.get_rng_state(), snapshot.random_state)


def measure_ratios(given: Mapping[str, Tensor], draws: list[dict[str, Tensor]]) -> tuple[float, ...]:
    """Return `scatter_ratios` of a gradient and, after it, of the draws; what it lacks counts as 0."""
    products = np.zeros((len(draws) + 1, len(draws) + 1))
    for name, drawn in draws[0].items():
        stacked = torch.stack([vector.get(name, torch.zeros_like(drawn)).flatten() for vector in (given, *draws)])
        # Centred before and not after: what all have in common may be large beside what differs.
        stacked -= stacked.mean(dim=0)
        products += (stacked @ stacked.T).double().numpy()
    return tuple(float(f"{ratio:.4g}") for ratio in scatter_ratios(products))


def measure_nearness(
    given: Mapping[str, Tensor], same: Mapping[str, Tensor], draws: Iterable[Mapping[str, Tensor]]
) -> tuple[float, ...]:
    """Return the squared distances of a gradient and of draws from the replay's, as shares of its squared norm."""
    square = max(sum(_norm(value) ** 2 for value in same.values()), 1e-300)
    zero = torch.zeros(())
    distances = (
        sum(_norm(vector.get(name, zero) - value) ** 2 for name, value in same.items()) for vector in (given, *draws)
    )
    return tuple(float(f"{distance / square:.4g}") for distance in distances)


def draw_after_first(setup: TrainSetup, windows: Windows, snapshot: Snapshot) -> Iterator[dict[str, Tensor]]:
    """Yield gradients whose first dropout draws what it drew in the step, and all others something else.

    So does an honest contender whose first random operation is the reference's and whose second is not: attention's
    dropout by a fused kernel, after that of the embeddings.
    """
    for number in range(NEAR_DRAWS):
        restore_random_state(snapshot)
        with _reseed_after_first_dropout(setup.model, DRAWS + number):
            gradients = make_gradients(setup, windows, snapshot.numbers).gradients
        yield gradients


@contextmanager
def _reseed_after_first_dropout(model: nn.Module, seed: int) -> Iterator[None]:
    """Seed the random generators anew once the first dropout has been applied."""
    seeded = False

    def reseed(*_: Any) -> None:
        nonlocal seeded
        if not seeded:
            torch.manual_seed(seed)
        seeded = True

    dropouts = (module for module in model.modules() if "dropout" in type(module).__name__.lower())
    hooks = [module.register_forward_hook(reseed) for module in dropouts]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def left_out(snapshot: Snapshot) -> set[str]:
    """Return the tensors that the step made no update of: their first moments stood still, which those of a gradient
    of 0 do not.
    """
    return {
        name
        for name, after in snapshot.exp_avg_after.items()
        if name in snapshot.exp_avg and torch.equal(after, snapshot.exp_avg[name]) and bool(after.any())
    }


def _draw(setup: TrainSetup, windows: Windows, snapshot: Snapshot, number: int) -> dict[str, Tensor]:
    torch.manual_seed(number)
    return make_gradients(setup, windows, snapshot.numbers).gradients


def load_parameters(setup: TrainSetup, before: Mapping[str, Tensor]) -> None:
    """Put the model into the state before a step."""
    with torch.no_grad():
        for name, parameter in setup.model.named_parameters():
            if name in before:  # what is missing shows in the gradients
                parameter.copy_(before[name])


def restore_random_state(snapshot: Snapshot) -> None:
    """Let dropout draw what it drew in the step."""
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
    return float(torch.linalg.vector_norm(tensor))


def _median(errors: Iterable[float | None]) -> float | None:
    known = [math.inf if error is None or math.isnan(error) else error for error in errors]
    return statistics.median(known) if known else None
