"""What the timed blocks say: step and evaluation speedups, and the noise floor."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from harness.statistics.paired import LEAST_GAIN, Ratio, exactly_one, ratio_of_logs
from harness.statistics.processes import Between, against_restarts, between_processes, pool, restarts_alone

if TYPE_CHECKING:
    from harness.records.checks import BlockKind, SpeedRecord
    from harness.records.trial import StepRecord


@dataclass(frozen=True, kw_only=True)
class SpeedEvidence:
    """Segments of one contender against the baseline; speedup = baseline time ÷ contender time."""

    training: Ratio | None
    """Against the baseline's restarts; of the baseline itself: A/A, centred on 1."""
    evaluation: Ratio | None
    """Likewise; exactly 1 where `same_evaluation`."""
    same_evaluation: bool = False
    """Its evaluation is the baseline's, operator by operator, so it takes as long, and nothing is uncertain."""
    processes: int = 1
    """That were timed, each beside the same live baseline."""
    blocks: int
    """Measured, contaminated ones too."""
    cold: int = 0
    """Blocks that were measured before a process was steady; they don't count either."""
    repeats: int
    """Blocks that repeat a contaminated one."""
    spoilt: int
    """Blocks that don't count as something else went on."""
    contamination: tuple[str, ...]
    """Why, each kind of reason once."""
    stopped: str
    same_samples: bool
    """Whether both trained on the same tokens in their segments."""


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """A/A: the baseline's restarts, timed beside the live baseline like any contender."""

    ratio: Ratio
    """Of training segments, centred on 1: how well it is known where equals lie."""
    share: float
    """How far A/A, centred on 1, may still lie from it: 0.01 is 1 %. Every interval holds this error, so no step
    speedup nearer to 1 can be claimed."""
    live: float = 1.0
    """Mean time of the restarts' steps ÷ the live baseline's: what all ratios have been corrected for."""
    between: float = 0.0
    """By which equals differ from process to process, as a share: standard deviation."""
    processes: int = 1
    """Restarts."""


ByLive = Mapping[float | None, Sequence[Ratio]]
"""Ratios of processes, by the live baseline that they were timed beside. A run that is extended has another one."""


class Restarts(NamedTuple):
    """What all contenders are held against: processes of the baseline that were timed beside the live one."""

    training: ByLive
    evaluation: ByLive
    between_training: Between
    """How processes of one program differ."""
    between_evaluation: Between


NO_RESTARTS = Restarts({}, {}, between_processes([]), between_processes([]))
"""There is no A/A."""


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """How fast the steps were. All steps count, those of the first epoch too: warm-up is a phase before them."""

    steps: int
    median_step_time_ms: float
    windows_per_s: float
    useful_tokens_per_s: float
    """Tokens that are not padding."""
    computed_tokens_per_s: float
    """Tokens with padding."""


def process_ratios(records: Sequence[SpeedRecord], kind: BlockKind) -> ByLive:
    """Return the ratio to its live baseline of each process that has enough blocks."""
    found: dict[float | None, list[Ratio]] = {}
    for record in records:
        blocks = [block.log_ratio for block in record.blocks if block.kind == kind and block.is_evidence]
        ratio = ratio_of_logs(blocks)
        if ratio is not None:
            found.setdefault(record.live_started_s, []).append(ratio)
    return found


def find_restarts(everyone: Sequence[Sequence[SpeedRecord]]) -> Restarts:
    """Return what the timed processes of all contenders, the baseline's first, say of restarts.

    How far processes of one program lie apart is learned from every contender that has several of them.
    """
    training, evaluation = ([process_ratios(one, kind) for one in everyone] for kind in ("training", "evaluation"))
    return Restarts(training[0], evaluation[0], _between(training), _between(evaluation))


def _between(programs: Iterable[ByLive]) -> Between:
    return between_processes([beside_one for program in programs for beside_one in program.values()])


def _against(own: ByLive, restarts: ByLive, between: Between) -> Ratio | None:
    """Hold processes against the restarts beside the same live baseline, whose luck cancels so."""
    ratios = [against_restarts(beside_one, restarts.get(live, ()), between) for live, beside_one in own.items()]
    return pool([ratio for ratio in ratios if ratio is not None])


def _centred(restarts: ByLive, between: Between) -> Ratio | None:
    ratios = [restarts_alone(beside_one, between) for beside_one in restarts.values()]
    return pool([ratio for ratio in ratios if ratio is not None])


def summarise_speed(
    records: Sequence[SpeedRecord], restarts: Restarts, *, same_evaluation: bool = False
) -> SpeedEvidence | None:
    """Return what the blocks that count say of a contender; None if nothing was timed.

    `same_evaluation`: its evaluation is provably the baseline's. Where the blocks show that it takes longer all the
    same, with their whole interval, they count: the clock sees what footprints don't.
    """
    if not records:
        return None
    evaluation = _against(process_ratios(records, "evaluation"), restarts.evaluation, restarts.between_evaluation)
    is_same = same_evaluation and (evaluation is None or evaluation.high >= 1.0)
    return _evidence(
        records,
        training=_against(process_ratios(records, "training"), restarts.training, restarts.between_training),
        evaluation=exactly_one() if is_same else evaluation,
        same_evaluation=is_same,
    )


def summarise_restarts(records: Sequence[SpeedRecord], restarts: Restarts) -> SpeedEvidence | None:
    """Return A/A, centred on 1; None if nothing was timed."""
    if not records:
        return None
    return _evidence(
        records,
        training=_centred(restarts.training, restarts.between_training),
        evaluation=_centred(restarts.evaluation, restarts.between_evaluation),
        same_evaluation=False,
    )


def _evidence(
    records: Sequence[SpeedRecord], *, training: Ratio | None, evaluation: Ratio | None, same_evaluation: bool
) -> SpeedEvidence:
    blocks = [block for record in records for block in record.blocks]
    spoilt = [block for block in blocks if block.contamination]
    reasons: dict[str, list[str]] = {}
    for reason in (reason for block in spoilt for reason in block.contamination):
        # Reasons that differ in their numbers only are one kind.
        reasons.setdefault(re.sub(r"\d+(\.\d+)?", "#", reason), []).append(reason)
    return SpeedEvidence(
        training=training,
        evaluation=evaluation,
        same_evaluation=same_evaluation,
        processes=len(records),
        blocks=len(blocks),
        cold=sum(block.cold for block in blocks),
        repeats=sum(block.attempt > 1 for block in blocks),
        spoilt=len(spoilt),
        contamination=tuple(
            same[0] if len(same) == 1 else f"{same[0]} (in {len(same)} blocks alike)" for same in reasons.values()
        ),
        stopped="; ".join(dict.fromkeys(record.stopped for record in records)),
        same_samples=all(segment_difference(record) is None for record in records),
    )


def segment_difference(record: SpeedRecord) -> str | None:
    """Return in words how the work in the timed segments differed; None if it did not."""
    for block in record.blocks:
        for name, (baseline, contender) in block.work.items():
            if baseline != contender:
                return f"{name.replace('_', ' ')} {contender:,}, the baseline's {baseline:,}"
    return None


def find_noise_floor(restarts: Restarts) -> NoiseFloor | None:
    """Return the floor; None without A/A.

    How far A/A may still lie from 1 when it is centred on 1: the end of its own interval, and at least `LEAST_GAIN`.
    """
    ratio = _centred(restarts.training, restarts.between_training)
    beside_live = _against(restarts.training, {}, restarts.between_training)
    if ratio is None or beside_live is None:
        return None
    return NoiseFloor(
        ratio=ratio,
        share=max(LEAST_GAIN, ratio.high - 1.0),
        live=1.0 / beside_live.estimate,
        between=math.sqrt(restarts.between_training.variance),
        processes=sum(map(len, restarts.training.values())),
    )


def measure_throughput(steps: Sequence[StepRecord]) -> Throughput | None:
    """Return the throughput over all steps given; None if there are none, or no time passed."""
    total_s = sum(step.time_s for step in steps)
    if not steps or total_s <= 0:
        return None
    return Throughput(
        steps=len(steps),
        median_step_time_ms=median(step.time_s for step in steps) * 1000.0,
        windows_per_s=sum(step.windows for step in steps) / total_s,
        useful_tokens_per_s=sum(step.useful_tokens for step in steps) / total_s,
        computed_tokens_per_s=sum(step.computed_tokens for step in steps) / total_s,
    )
