"""What the timed blocks say: step and evaluation speedups, and the noise floor."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.statistics.paired import Ratio, ratio_of_logs

if TYPE_CHECKING:
    from harness.records.checks import SpeedRecord
    from harness.records.trial import StepRecord

LEAST_FLOOR = 0.01
"""No speedup below 1 % is claimed, however quiet A/A was. Of a step, as where a process's memory lies differs from
start to start and lasts as long as the process, so one A/A pair may be lucky; of a job, as its one-time phases are
measured once in a process, and a cold page cache in any of them is no property of the contender."""


@dataclass(frozen=True, kw_only=True)
class SpeedEvidence:
    """Segments of one contender against the live baseline; speedup = baseline time ÷ contender time."""

    training: Ratio | None
    evaluation: Ratio | None
    blocks: int
    """Measured, contaminated ones too."""
    repeats: int
    """Blocks that repeat a contaminated one."""
    spoilt: int
    """Blocks that don't count."""
    contamination: tuple[str, ...]
    """Why, each kind of reason once."""
    stopped: str
    same_samples: bool
    """Whether both trained on the same tokens in their segments."""


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """A/A: the baseline against itself in another process."""

    ratio: Ratio
    """Of its training segments; 1 in truth."""
    share: float
    """Beyond which a step speedup must lie, with its whole interval, to be claimed: 0.01 is 1 %."""


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


def summarise_speed(record: SpeedRecord | None) -> SpeedEvidence | None:
    """Return what the clean blocks say; None if nothing was timed."""
    if record is None:
        return None
    spoilt = [block for block in record.blocks if block.contamination]
    reasons: dict[str, list[str]] = {}
    for reason in (reason for block in spoilt for reason in block.contamination):
        # Reasons that differ in their numbers only are one kind.
        reasons.setdefault(re.sub(r"\d+(\.\d+)?", "#", reason), []).append(reason)
    clean = [block for block in record.blocks if not block.contamination]
    return SpeedEvidence(
        training=ratio_of_logs([block.log_ratio for block in clean if block.kind == "training"]),
        evaluation=ratio_of_logs([block.log_ratio for block in clean if block.kind == "evaluation"]),
        blocks=len(record.blocks),
        repeats=sum(block.attempt > 1 for block in record.blocks),
        spoilt=len(spoilt),
        contamination=tuple(
            same[0] if len(same) == 1 else f"{same[0]} (in {len(same)} blocks alike)" for same in reasons.values()
        ),
        stopped=record.stopped,
        same_samples=segment_difference(record) is None,
    )


def segment_difference(record: SpeedRecord) -> str | None:
    """Return in words how the work in the timed segments differed; None if it did not."""
    for block in record.blocks:
        for name, (baseline, contender) in block.work.items():
            if baseline != contender:
                return f"{name.replace('_', ' ')} {contender:,}, the baseline's {baseline:,}"
    return None


def find_noise_floor(evidence: SpeedEvidence | None) -> NoiseFloor | None:
    """Return the floor: the far end of the A/A interval, and no less than `LEAST_FLOOR`; None without A/A."""
    if evidence is None or evidence.training is None:
        return None
    ratio = evidence.training
    far = max(abs(math.log(ratio.low)), abs(math.log(ratio.high)))
    return NoiseFloor(ratio=ratio, share=max(LEAST_FLOOR, math.expm1(far)))


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
