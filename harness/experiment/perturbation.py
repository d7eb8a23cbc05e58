"""How far rounding moves the gradients of audited steps, beside what scatters them anyway.

The referee holds the reference: for each audited step it makes the reference's gradient from the state before the step
and from the same random state, and some more on other planned batches, whose scatter is that of any training. Where a
contender draws other random numbers, a twin of it makes its gradients from the same states with dropout off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from harness.data.windows import Windows
from harness.experiment.replay import load_parameters, make_gradients, planned_settings, restore_random_state
from harness.experiment.snapshot import Snapshot, used_gradient
from harness.records.perturbation import PerturbationRecord, Products
from harness.statistics.perturbation import part_scales
from harness.strategy import TrainSetup

Gradients = Mapping[str, Tensor]
"""By the parameter's name, float32 on the host, clipped."""

OTHER_BATCHES = 2
"""Other planned batches that the scatter is taken from at each audited state, beside the step's own."""

SKETCH_SIZE = 4096
"""Numbers that are kept of each tensor's deviation for the products: their relative error is about 1 / √size."""


def reference_gradient(
    setup: TrainSetup, windows: Windows, snapshot: Snapshot, numbers: Iterable[int], *, seed: int | None = None
) -> dict[str, Tensor]:
    """Return the reference's gradient of a batch from the state before a step: with the step's random numbers, or with
    those of a seed. The model's parameters are overwritten.
    """
    load_parameters(setup, snapshot.before)
    if seed is None:
        restore_random_state(snapshot)
    else:
        torch.manual_seed(seed)
    return make_gradients(setup, windows, numbers).gradients


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """How far one gradient is from another."""

    norms: dict[str, float | None]
    """Of each tensor of the reference; None: it is missing."""
    sketches: dict[str, Tensor]
    """Of the same tensors; see `sketch`."""


@dataclass(frozen=True, kw_only=True)
class StepBeside:
    """One audited step beside the reference's."""

    step: int
    deviation: Deviation
    reference: dict[str, float]
    """Squared norms of the reference's gradient, by tensor."""
    scatter: dict[str, float]
    """Sums of squares about the mean, over the step's own batch and some others."""
    degrees: int


def measure_step(
    snapshot: Snapshot,
    setup: TrainSetup,
    windows: Windows,
    *,
    expected: Gradients,
    others: Sequence[np.ndarray],
) -> StepBeside:
    """Return the gradient that a step used beside what is `expected`: that which the reference, whose setup is given,
    makes of it from the same random state.

    `others`: some other batches of the plan, of full size, for the scatter; `OTHER_BATCHES` are enough.
    """
    given = used_gradient(replace(snapshot, **planned_settings(setup)))
    sums = dict(expected)
    squares = {name: _square(value) for name, value in expected.items()}
    for number, batch in enumerate(others):
        seed = _seed(snapshot, number)
        for name, value in reference_gradient(setup, windows, snapshot, batch.tolist(), seed=seed).items():
            sums[name] = sums[name] + value
            squares[name] += _square(value)
    count = 1 + len(others)
    return StepBeside(
        step=snapshot.step,
        deviation=measure_deviation(given, expected),
        reference={name: _square(value) for name, value in expected.items()},
        scatter={name: max(0.0, squares[name] - _square(sums[name]) / count) for name in expected},
        degrees=count - 1,
    )


def measure_deviation(given: Gradients, expected: Gradients) -> Deviation:
    """Return how far a gradient is from the expected one, tensor by tensor."""
    norms: dict[str, float | None] = {}
    sketches = {}
    for number, (name, value) in enumerate(expected.items()):
        found = given.get(name)
        is_there = found is not None and found.shape == value.shape
        # What is missing has made no step there.
        difference = found - value if found is not None and is_there else -value
        norms[name] = math.sqrt(_square(difference)) if is_there else None
        sketches[name] = sketch(difference, seed=number)
    return Deviation(norms=norms, sketches=sketches)


def sketch(tensor: Tensor, *, seed: int, size: int = SKETCH_SIZE) -> Tensor:
    """Return few numbers whose inner products with other tensors' of the same seed are those of the tensors, without
    bias and up to a share 1 / √size of their norms: elements with random signs, added up `size` apart.

    Charikar, Chen and Farach-Colton 2004 (count sketch); a tensor of no more than `size` elements stays as it is.
    """
    flat = tensor.flatten()
    if flat.numel() <= size:
        return flat.clone()
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, flat.shape, generator=generator, dtype=torch.int8).mul_(2).sub_(1)
    padded = torch.nn.functional.pad(flat * signs, (0, -flat.numel() % size))
    return padded.view(-1, size).sum(dim=0)


def summarise_steps(steps: Sequence[StepBeside]) -> PerturbationRecord:
    """Return the record of a job's audited steps, in their order; there must be one at least."""
    tensors = tuple(steps[0].reference)
    degrees = sum(step.degrees for step in steps)
    scatter = np.array([sum(step.scatter[name] for step in steps) / max(degrees, 1) for name in tensors]) ** 0.5
    squares = [sum(step.reference[name] for step in steps) / len(steps) for name in tensors]
    return PerturbationRecord(
        tensors=tensors,
        steps=tuple(step.step for step in steps),
        reference=_rounded(np.sqrt(squares)),
        scatter=_rounded(scatter),
        scatter_degrees=degrees,
        deviations=table_of([step.deviation for step in steps], tensors),
        products=scaled_products([step.deviation for step in steps], tensors, scatter),
    )


def scaled_products(deviations: Sequence[Deviation], tensors: Sequence[str], scatter: np.ndarray) -> Products:
    """Return the inner products of deviations, each tensor in units of its scale, ÷ number of tensors."""
    total = np.zeros((len(deviations), len(deviations)))
    for name, scale in zip(tensors, part_scales(scatter), strict=True):
        if scale > 0:
            stacked = torch.stack([deviation.sketches[name] for deviation in deviations]).double() / scale
            total += (stacked @ stacked.T).numpy()
    return tuple(map(_rounded, total / len(tensors)))


def table_of(deviations: Sequence[Deviation], tensors: Sequence[str]) -> tuple[tuple[float | None, ...], ...]:
    """Return the norms as a record has them."""
    rows = [[deviation.norms[name] for name in tensors] for deviation in deviations]
    return tuple(tuple(None if value is None else float(f"{value:.4g}") for value in row) for row in rows)


def relative_distance(given: Gradients, other: Gradients) -> float:
    """Return ‖given − other‖ ÷ ‖given‖ over all tensors; what is missing is 0."""
    names = {*given, *other}
    zero = torch.zeros(())
    difference = sum(_square(given.get(name, zero) - other.get(name, zero)) for name in names)
    return math.sqrt(difference / max(sum(map(_square, given.values())), 1e-300))


def _seed(snapshot: Snapshot, number: int) -> int:
    return 1000 * snapshot.step + number


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    """Four digits are more than the numbers are known to."""
    return tuple(float(f"{value:.4g}") for value in values)


def _square(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64)) ** 2


def on_host(tensor: Tensor) -> Tensor:
    """Return a float32 copy on the host: some steps write into the same gradients again."""
    return tensor.detach().to("cpu", torch.float32, copy=True)
