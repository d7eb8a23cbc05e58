"""The parent's side of the speed evidence: blocks of four segments, alternated between live baseline and contender.

Both workers go through the same samples, one at a time, in the order ABBA or BAAB, so that a linear drift of the
machine cancels in each block (the balanced order of pair designs; see harness/statistics/paired.py for the estimate).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.config import RunConfig, SpeedConfig
from harness.experiment.audits import SegmentAudits
from harness.experiment.commands import LoadBlock, Prepare, RunSegment
from harness.experiment.energy import Who, measure_energy, plan_energy
from harness.experiment.listener import Report
from harness.experiment.process import Worker, WorkerError
from harness.measurement.conditions import ConditionsWatch
from harness.measurement.speedometer import Speedometer
from harness.records.checks import BlockKind, BlockRecord, SpeedRecord
from harness.statistics.paired import LEAST_BLOCKS, is_tight, ratio_of_logs

SETTLE_S = 0.01
"""Idle time before each segment: the other worker's threads stop spinning within milliseconds."""

USUAL_EVALUATION_SHARE = 0.2
"""Of a job's time in training and evaluation, where no job of the baseline tells."""

EVALUATION_SEGMENT_FACTOR = 0.5
"""Evaluation's segments may be shorter, as its ratio may be less precise: more blocks fit into the same time."""

MOST_COLD_BLOCKS = 3

GIVE_UP_BLOCKS = 3 * LEAST_BLOCKS
"""Where so many are measured, the budget is spent and still too few are good, the machine is busy."""

COLD_FALL = 0.05
"""A worker that goes through the same samples this much faster the second time within a block was not steady yet."""

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
class Goal:
    """What the segments of one process are to show, and how long they may take."""

    budget_s: float
    """Seconds of segments. Three good blocks of each kind are measured in any case: fewer tell of no scatter."""
    least_blocks: int
    """Before which nothing is called clear or known well enough."""
    most_blocks: int
    """That may count, of each kind."""
    evaluation_share: float = USUAL_EVALUATION_SHARE
    """Of a job's time in training and evaluation, the baseline's: evaluation gets so much of the budget, and its ratio
    may be so much less precise."""
    times_evaluation: bool = True
    measures_energy: bool = True
    decide: Callable[[list[BlockRecord]], str | None] = lambda _: None
    """Says of the blocks of training so far what is clear of the steps, if anything: no more are needed then."""

    @property
    def evaluation_factor(self) -> float:
        """How much less precise evaluation's ratio may be: its error then weighs as much in the job as the steps'."""
        return (1.0 - self.evaluation_share) / max(self.evaluation_share, 0.01)


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
        goal: Goal,
        gpu: Any = None,
        audits: SegmentAudits | None = None,
        speedometer: Speedometer | None = None,
    ) -> None:
        self._workers: dict[Who, Worker] = {"baseline": baseline, "contender": contender}
        self._config: SpeedConfig = config.speed
        self._goal = goal
        self._gpu = gpu
        self._speedometer = speedometer
        self._audits = audits
        self._ready = {who: worker.ask(Prepare()) for who, worker in self._workers.items()}
        self._retries: dict[Who, int] = {}
        self._work: dict[Who, dict[str, int]] = {"baseline": {}, "contender": {}}
        self._rng = np.random.default_rng(0)

    def measure(self, on_progress: Report) -> SpeedRecord:
        """Measure training, then evaluation, each until its interval is tight, all is clear, or the budget's end.

        Energy follows.
        """
        goal, precision = self._goal, self._config.precision
        share = goal.evaluation_share if goal.times_evaluation else 0.0
        training, reason = self._measure_kind("training", goal.budget_s * (1.0 - share), precision, on_progress)
        evaluation: list[BlockRecord] = []
        if goal.times_evaluation:
            less_precise = precision * goal.evaluation_factor
            evaluation, _ = self._measure_kind("evaluation", goal.budget_s * share, less_precise, on_progress)
        record = SpeedRecord(blocks=tuple(training + evaluation), stopped=reason, settle_s=SETTLE_S)
        if self._gpu is None or not self._config.energy or not goal.measures_energy:
            return record
        sizes, available = self._batches("training")
        plan = plan_energy(
            [block for block in training if not block.cold],
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
        plan = self._plan(kind)
        blocks = self._warm_up(plan)
        for done in range(1, self._goal.most_blocks + 1):
            numbers, number = self._draw(plan), blocks[-1].number + 1
            # A block is measured again while it is contaminated and there are repeats and time left.
            for attempt in range(1, self._config.repeats + 2):
                blocks.append(self._measure_block(plan, number, attempt, numbers))
                spent_s = sum(block.segments_s for block in blocks)
                if not blocks[-1].contamination or spent_s > budget_s:
                    break
            self._audit(plan, done, numbers)
            good = [block for block in blocks if block.is_evidence]
            on_progress(f"timing {kind}", len(good), self._goal.most_blocks)
            reason = self._why_enough(kind, good, precision) if done >= self._goal.least_blocks else None
            if reason is not None:
                return blocks, reason
            if spent_s >= budget_s and (len(good) >= LEAST_BLOCKS or done >= GIVE_UP_BLOCKS):
                return blocks, f"its share of the budget ({budget_s:.3g} s) was spent"
        return blocks, f"the most blocks ({self._goal.most_blocks}) were measured"

    def _warm_up(self, plan: SegmentPlan) -> list[BlockRecord]:
        """Measure blocks over the same samples until both workers are steady: recorded, but no evidence.

        Which blocks count must not depend on how long they took: whatever comes after these does.
        """
        numbers, blocks = self._draw(plan), []
        for number in range(1, MOST_COLD_BLOCKS + 1):
            block = self._measure_block(plan, number, 1, numbers)
            blocks.append(replace(block, cold=True))
            both = (block.baseline_s, block.contender_s)
            if not any(again_s < (1.0 - COLD_FALL) * first_s for first_s, again_s in both):
                break
        return blocks

    def _draw(self, plan: SegmentPlan) -> tuple[int, ...]:
        """Return the windows of a block: both workers and both segments take the same."""
        return tuple(self._rng.permutation(self._batches(plan.kind)[1])[: plan.windows].tolist())

    def _why_enough(self, kind: BlockKind, good: list[BlockRecord], precision: float) -> str | None:
        """Return why no more blocks are needed; None: they are."""
        decision = self._goal.decide(good) if kind == "training" else None
        if decision is not None:
            return f"what its steps make of the job is clear: {decision}"
        ratio = ratio_of_logs([block.log_ratio for block in good])
        is_enough = len(good) >= self._goal.least_blocks and ratio is not None and is_tight(ratio, precision)
        return f"the interval was narrower than ±{precision:.1%}" if is_enough else None

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

    def _audit(self, plan: SegmentPlan, done: int, numbers: tuple[int, ...]) -> None:
        """Have the contender run an audited segment over a block's windows, if it was drawn; it has time of its own.

        The live baseline does the same, though none of its steps is wanted: both go on with the same history.
        """
        if self._audits is None or plan.kind != "training":
            return
        batch_size = self._ready["contender"].batch_size
        if self._audits.after_block(done, numbers, repetitions=plan.repetitions, batch_size=batch_size):
            self._workers["baseline"].ask(RunSegment(repetitions=plan.repetitions, audited=True))

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
