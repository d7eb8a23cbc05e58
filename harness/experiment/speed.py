"""The parent's side of the speed evidence: blocks of four segments, alternated between live baseline and contender.

Both workers go through the same samples, one at a time, in the order ABBA or BAAB, so that a linear drift of the
machine cancels in each block (the balanced order of pair designs; see harness/statistics/paired.py for the estimate).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.config import RunConfig, SpeedConfig
from harness.experiment.commands import LoadBlock, Prepare, RunSegment
from harness.experiment.energy import Who, measure_energy, plan_energy
from harness.experiment.listener import Report
from harness.experiment.process import Worker, WorkerError
from harness.measurement.conditions import ConditionsWatch
from harness.measurement.speedometer import Speedometer
from harness.records.checks import BlockKind, BlockRecord, SpeedRecord
from harness.statistics.paired import is_tight, ratio_of_logs

SETTLE_S = 0.01
"""Idle time before each segment: the other worker's threads stop spinning within milliseconds."""

EVALUATION_SHARE = 0.2
"""Of the budget; evaluation is a small part of most jobs, so its ratio may be less precise."""

EVALUATION_PRECISION_FACTOR = 3.0

EVALUATION_SEGMENT_FACTOR = 0.5
"""Evaluation's segments may be shorter for the same reason: more blocks fit into the same time."""

LEAST_SEGMENT_S = 0.02
"""No segment is made shorter than this to keep the other worker's short: a request and its answer take a tenth of a
millisecond, now more, now less, which is then half a percent."""

SURELY_LONG_FACTOR = 4.0
"""A first pass that took this many times the least segment is not repeated: a warm one is not four times as fast."""

ORDERS: dict[Who, tuple[Who, ...]] = {
    "baseline": ("baseline", "contender", "contender", "baseline"),
    "contender": ("contender", "baseline", "baseline", "contender"),
}


@dataclass(frozen=True, kw_only=True)
class SegmentPlan:
    """How large the segments of one kind are."""

    kind: BlockKind
    windows: int
    """Different windows in a segment."""
    repetitions: int
    """Times that a segment goes through them."""


def whole_batches(sizes: list[int]) -> int:
    """Return the fewest windows that make whole batches of every size; of the largest only, if that were too many."""
    common, largest = math.lcm(*sizes), max(sizes)
    return common if common <= 4 * largest else largest


def size_segments(
    kind: BlockKind,
    pass_s: Sequence[float],
    *,
    unit: int,
    available: int,
    segment_s: float,
    most_segment_s: float,
) -> SegmentPlan:
    """Return segments of whole batches, `unit` windows or a multiple, of which `available` can be different.

    `pass_s`: the seconds that each worker takes for `unit` windows. The faster one's segment is as long as `segment_s`,
    unless the slower one's then took longer than `most_segment_s` (if that is more than `segment_s`); for that it is
    never made shorter than the clock needs (`LEAST_SEGMENT_S`), nor than one unit.
    """
    fastest_s, slowest_s = max(min(pass_s), 1e-6), max(*pass_s, 1e-6)
    most_units = max(1, math.floor(max(most_segment_s, segment_s) / slowest_s), math.ceil(LEAST_SEGMENT_S / fastest_s))
    units = min(max(1, math.ceil(segment_s / fastest_s)), most_units)
    different = min(units, max(1, available // unit))
    repetitions = min(math.ceil(units / different), most_units // different)
    return SegmentPlan(kind=kind, windows=unit * different, repetitions=repetitions)


class Duel:
    """The live baseline against one contender."""

    def __init__(
        self,
        baseline: Worker,
        contender: Worker,
        config: RunConfig,
        gpu: Any = None,
        speedometer: Speedometer | None = None,
    ) -> None:
        self._workers: dict[Who, Worker] = {"baseline": baseline, "contender": contender}
        self._config: SpeedConfig = config.speed
        self._gpu = gpu
        self._speedometer = speedometer
        self._ready = {who: worker.ask(Prepare()) for who, worker in self._workers.items()}
        self._retries: dict[Who, int] = {}
        self._work: dict[Who, dict[str, int]] = {"baseline": {}, "contender": {}}
        self._rng = np.random.default_rng(0)

    def measure(self, on_progress: Report) -> SpeedRecord:
        """Measure training, then evaluation; stop when the interval is tight, or the budget's end. Energy follows."""
        budget_s, precision = self._config.budget_s, self._config.precision
        training, reason = self._measure_kind("training", budget_s * (1 - EVALUATION_SHARE), precision, on_progress)
        evaluation, _ = self._measure_kind(
            "evaluation", budget_s * EVALUATION_SHARE, precision * EVALUATION_PRECISION_FACTOR, on_progress
        )
        record = SpeedRecord(blocks=tuple(training + evaluation), stopped=reason, settle_s=SETTLE_S)
        if self._gpu is None or not self._config.energy:
            return record
        sizes, available = self._batches("training")
        plan = plan_energy(
            training,
            self._rng.permutation(available).tolist(),
            unit=whole_batches(sizes),
            epoch_windows=available,
            energy_s=self._config.energy_s,
        )
        try:
            return replace(record, energy=measure_energy(self._workers, plan, self._gpu, on_progress))
        except WorkerError as error:
            # What was timed before stays: a meter that fails is no reason to lose it.
            return replace(record, energy_problem=str(error))

    def _measure_kind(
        self, kind: BlockKind, budget_s: float, precision: float, on_progress: Report
    ) -> tuple[list[BlockRecord], str]:
        plan, available = self._plan(kind), self._batches(kind)[1]
        blocks: list[BlockRecord] = []
        start_s = time.monotonic()
        for number in range(1, self._config.most_blocks + 1):
            # Both workers and both segments take the same windows.
            numbers = tuple(self._rng.permutation(available)[: plan.windows].tolist())
            # A block is measured again while it is contaminated and there are repeats and time left.
            for attempt in range(1, self._config.repeats + 2):
                blocks.append(self._measure_block(plan, number, attempt, numbers))
                if not blocks[-1].contamination or time.monotonic() > start_s + budget_s:
                    break
            good = [block for block in blocks if not block.contamination]
            on_progress(f"timing {kind}", len(good), self._config.most_blocks)
            ratio = ratio_of_logs([block.log_ratio for block in good])
            if len(good) >= self._config.least_blocks and ratio is not None and is_tight(ratio, precision):
                return blocks, f"the interval was narrower than ±{precision:.1%}"
            if number >= self._config.least_blocks and time.monotonic() - start_s >= budget_s:
                return blocks, f"the budget of {budget_s:g} s was spent"
        return blocks, f"the most blocks ({self._config.most_blocks}) were measured"

    def _plan(self, kind: BlockKind) -> SegmentPlan:
        """Choose the size of the segments from a rehearsal of each worker, which is also its warm-up."""
        sizes, available = self._batches(kind)
        unit = min(whole_batches(sizes), available)
        factor = 1.0 if kind == "training" else EVALUATION_SEGMENT_FACTOR
        segment_s = self._config.segment_s * factor
        self._load(LoadBlock(kind=kind, numbers=tuple(range(unit)), rehearse=False, repetitions=1))
        pass_s = [self._segment(who, 1) for who in self._workers]
        if min(pass_s) < SURELY_LONG_FACTOR * segment_s:
            pass_s = [self._segment(who, 1) for who in self._workers]
        return size_segments(
            kind,
            pass_s,
            unit=unit,
            available=available,
            segment_s=segment_s,
            most_segment_s=self._config.most_segment_s * factor,
        )

    def _batches(self, kind: BlockKind) -> tuple[list[int], int]:
        """Return both workers' batch sizes, and how many windows there are."""
        ready = self._ready.values()
        if kind == "training":
            return [one.batch_size for one in ready], min(one.train_windows for one in ready)
        return [one.eval_batch_size for one in ready], min(one.validation_windows for one in ready)

    def _measure_block(self, plan: SegmentPlan, number: int, attempt: int, numbers: tuple[int, ...]) -> BlockRecord:
        on_cuda = self._ready["baseline"].device == "cuda"
        self._load(LoadBlock(kind=plan.kind, numbers=numbers, rehearse=on_cuda, repetitions=plan.repetitions))
        first: Who = "baseline" if number % 2 else "contender"
        retries_before = dict(self._retries)
        watch = ConditionsWatch([worker.pid for worker in self._workers.values()], self._gpu, self._speedometer)
        times_s: dict[Who, list[float]] = {"baseline": [], "contender": []}
        for who in ORDERS[first]:
            times_s[who].append(self._segment(who, plan.repetitions, watch))
        retries = sum(self._retries.values()) - sum(retries_before.values()) if self._retries else None
        conditions, contamination = watch.finish(allocator_retries=retries)
        return BlockRecord(
            kind=plan.kind,
            number=number,
            attempt=attempt,
            first=first,
            windows=plan.windows * plan.repetitions,
            baseline_s=(times_s["baseline"][0], times_s["baseline"][1]),
            contender_s=(times_s["contender"][0], times_s["contender"][1]),
            work={name: (count, self._work["contender"][name]) for name, count in self._work["baseline"].items()},
            conditions=conditions,
            contamination=contamination,
            speedometer=watch.reading,
        )

    def _load(self, block: LoadBlock) -> None:
        for worker in self._workers.values():
            worker.ask(block)

    def _segment(self, who: Who, repetitions: int, watch: ConditionsWatch | None = None) -> float:
        """Return the seconds from request to answer, by this process's clock: a worker's own can be tampered with."""
        time.sleep(SETTLE_S)
        with nullcontext() if watch is None else watch.during(who):
            start_s = time.perf_counter()
            answer = self._workers[who].ask(RunSegment(repetitions=repetitions))
            elapsed_s = time.perf_counter() - start_s
        self._work[who] = answer.work
        if answer.allocator_retries is not None:
            self._retries[who] = answer.allocator_retries
        return elapsed_s
