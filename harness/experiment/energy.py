"""Energy of training, from segments long enough for the GPU's energy counter, which moves about every 100 ms.

A job of seconds is too short for it. So after a contender's blocks are timed, baseline and contender go through the
same samples once more, for some seconds each, in the order baseline, contender, baseline, so that a linear drift (a
chip that grows warm leaks more) cancels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from harness.experiment.commands import LoadBlock, RunSegment
from harness.experiment.listener import Report
from harness.measurement.conditions import ConditionsWatch
from harness.measurement.energy import EDGES_S, READINGS_EVERY_S, find_energy
from harness.measurement.nvml import NvmlGpu
from harness.measurement.readings import read_during
from harness.records.checks import BlockRecord, EnergyRecord, EnergyUse

if TYPE_CHECKING:
    from harness.experiment.process import Worker

Who = Literal["baseline", "contender"]
ORDER: tuple[Who, ...] = ("baseline", "contender", "baseline")


@dataclass(frozen=True, kw_only=True)
class EnergyPlan:
    """How long each goes through which samples."""

    numbers: tuple[int, ...]
    """Windows of the training set, the same for both."""
    repetitions: dict[Who, int]
    """Times that a segment of each goes through them."""
    epoch_windows: int
    """Windows of a whole epoch."""


def plan_energy(
    blocks: Sequence[BlockRecord], order: Sequence[int], *, unit: int, epoch_windows: int, energy_s: float
) -> EnergyPlan:
    """Return segments of at least `energy_s` between the counter's moves, by the pace of the timed `blocks`.

    The slower one goes through its samples about once; they are whole batches of both (`unit`), taken from `order`.
    """
    windows = sum(2 * block.windows for block in blocks)
    pace_s: dict[Who, float] = {
        "baseline": sum(sum(block.baseline_s) for block in blocks) / windows,
        "contender": sum(sum(block.contender_s) for block in blocks) / windows,
    }
    length_s = energy_s + EDGES_S
    count = math.ceil(length_s / max(pace_s.values()) / unit) * unit
    numbers = tuple(order[:count])
    repetitions = {who: math.ceil(length_s / (pace * len(numbers))) for who, pace in pace_s.items()}
    return EnergyPlan(numbers=numbers, repetitions=repetitions, epoch_windows=epoch_windows)


def measure_energy(
    workers: Mapping[Who, Worker], plan: EnergyPlan, gpu: NvmlGpu, on_progress: Report
) -> EnergyRecord | None:
    """Return what both used; None where the driver reports neither energy nor power."""
    for who, worker in workers.items():
        worker.ask(LoadBlock(kind="training", numbers=plan.numbers, rehearse=True, repetitions=plan.repetitions[who]))
    watch = ConditionsWatch([worker.pid for worker in workers.values()], gpu)
    uses: dict[Who, list[EnergyUse]] = {"baseline": [], "contender": []}
    for number, who in enumerate(ORDER):
        on_progress("measuring energy", number, len(ORDER))
        with read_during(gpu.read_energy, first_s=READINGS_EVERY_S, every_s=READINGS_EVERY_S) as readings:
            start_s = time.perf_counter()
            answer = workers[who].ask(RunSegment(repetitions=plan.repetitions[who]))
            elapsed_s = time.perf_counter() - start_s
        found = find_energy(readings)
        if found is None:
            return None
        use = EnergyUse(
            energy_j=found.energy_j,
            integrated_j=found.integrated_j,
            window_s=found.window_s,
            error_s=found.error_s,
            segment_s=elapsed_s,
            windows=len(plan.numbers) * plan.repetitions[who],
            useful_tokens=answer.work["useful_tokens"],
        )
        uses[who].append(use)
        watch.note_others()
    _, contamination = watch.finish(allocator_retries=None)
    return EnergyRecord(
        baseline=add_up(uses["baseline"]),
        contender=add_up(uses["contender"]),
        epoch_windows=plan.epoch_windows,
        power_source=gpu.power_source,
        contamination=contamination,
    )


def add_up(uses: Sequence[EnergyUse]) -> EnergyUse:
    """Return several segments as one; an energy that one of them lacks is not known of all."""
    columns = {field.name: [getattr(use, field.name) for use in uses] for field in fields(EnergyUse)}
    totals: dict[str, Any] = {name: None if None in column else sum(column) for name, column in columns.items()}
    return EnergyUse(**totals)
