"""What the referee measures beside the replays of a job that lowers the precision, and a twin's gradients in a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from harness.data.windows import Windows
from harness.experiment.commands import KeptStep, Perturbed
from harness.experiment.perturbation import OTHER_BATCHES, Gradients, StepBeside, measure_step, summarise_steps
from harness.experiment.snapshot import Snapshot, keep_gradient, load_snapshot, save_snapshot
from harness.experiment.twin import TwinGradients
from harness.records.perturbation import SAME_NUMBERS
from harness.strategy import TrainSetup
from harness.training.loop import plan_training

MOST_MEASURED = 6
"""Steps of a job that are measured: two tensors for each parameter of each lie on the disk until the job's end."""


class Beside:
    """Gathers what is measured of a job's steps, one by one."""

    def __init__(self) -> None:
        self._measured: list[StepBeside] = []
        self._kept: list[KeptStep] = []
        self._job: tuple[Path, int] | None = None

    def has_room(self, path: Path, seed: int) -> bool:
        """Whether a further step of a job is measured; steps are told apart from another job's by path and seed."""
        if self._job != (path, seed):
            # What is left is of a job that failed.
            self._begin((path, seed))
        return len(self._measured) < MOST_MEASURED

    def measure(
        self, snapshot: Snapshot, setup: TrainSetup, windows: Windows, path: Path, *, expected: Gradients
    ) -> None:
        """Measure one step for which there is room, and keep what a twin needs of it beside `path`.

        `expected`: the reference's gradient from the step's own random state.
        """
        others = other_batches(snapshot, setup, windows)
        self._measured.append(measure_step(snapshot, setup, windows, expected=expected, others=others))
        kept = path.with_name(f"{path.stem}-{snapshot.step}.safetensors")
        save_snapshot(keep_gradient(snapshot), kept)
        self._kept.append(KeptStep(path=str(kept), epoch=snapshot.epoch, step=snapshot.step, numbers=snapshot.numbers))

    def end(self) -> Perturbed:
        """Return what there is, and begin anew; files that no twin is wanted for are removed."""
        measured, kept = self._measured, self._kept
        record = summarise_steps(measured) if measured else None
        # A twin must explain even one step that is not the reference's: that one may be a fault.
        if record is None or max(map(_share, measured)) < SAME_NUMBERS:
            self._begin(None)
            return Perturbed(record=record, kept=())
        self._measured, self._kept, self._job = [], [], None
        return Perturbed(record=record, kept=tuple(kept))

    def _begin(self, job: tuple[Path, int] | None) -> None:
        for step in self._kept:
            Path(step.path).unlink(missing_ok=True)
        self._measured, self._kept, self._job = [], [], job


def _share(step: StepBeside) -> float:
    """Return the deviation of the whole gradient as a share of it."""
    deviation = sum((value or 0.0) ** 2 for value in step.deviation.norms.values())
    return math.sqrt(deviation / max(sum(step.reference.values()), 1e-300))


def other_batches(snapshot: Snapshot, setup: TrainSetup, windows: Windows) -> list[np.ndarray]:
    """Return other batches of the plan, as large as most, drawn by the step's number."""
    plan = plan_training(setup, windows)
    largest = max(map(len, plan))
    others = [numbers for numbers in plan if len(numbers) == largest and set(numbers) != set(snapshot.numbers)]
    drawn = np.random.default_rng(snapshot.step).permutation(len(others))[:OTHER_BATCHES]
    return [others[int(number)] for number in drawn]


def load_kept(step: KeptStep) -> Snapshot:
    """Read a step that was kept; its learning rate is not asked for again."""
    return load_snapshot(
        Path(step.path), epoch=step.epoch, step=step.step, numbers=step.numbers, learning_rate_after=lambda _: 0.0
    )


def save_twin(twin: TwinGradients, path: Path) -> None:
    """Write a twin's gradients as one file."""
    rows = {
        "again": twin.again,
        **{f"dropout-{number}": made for number, made in enumerate(twin.with_dropout)},
        **{f"plain-{number}": made for number, made in enumerate(twin.without)},
    }
    tensors = {f"{row}:{name}": value for row, made in rows.items() for name, value in (made or {}).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def load_twin(path: Path, steps: int) -> TwinGradients:
    """Read what `save_twin` wrote of so many steps."""
    rows: dict[str, dict[str, Tensor]] = {}
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 - not a dict
            row, name = key.split(":", 1)
            rows.setdefault(row, {})[name] = file.get_tensor(key)
    of_kind: dict[str, Sequence[dict[str, Tensor] | None]] = {
        kind: [rows.get(f"{kind}-{number}") for number in range(steps)] for kind in ("dropout", "plain")
    }
    return TwinGradients(with_dropout=of_kind["dropout"], again=rows.get("again"), without=of_kind["plain"])
