"""What the timed blocks say: step and evaluation speedups, and the noise floor."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.records.checks import BlockKind, SpeedRecord
from harness.statistics.paired import Ratio, ratio_of_logs

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
    floor: float
    """Share beyond which a step speedup must lie, with its whole interval, to be claimed: 0.01 is 1 %."""


def summarise_speed(record: SpeedRecord) -> SpeedEvidence:
    """Return what the clean blocks say."""
    spoilt = [block for block in record.blocks if block.contamination]
    return SpeedEvidence(
        training=_ratio(record, "training"),
        evaluation=_ratio(record, "evaluation"),
        blocks=len(record.blocks),
        repeats=sum(block.attempt > 1 for block in record.blocks),
        spoilt=len(spoilt),
        contamination=group_reasons([reason for block in spoilt for reason in block.contamination]),
        stopped=record.stopped,
        same_samples=all(ours == theirs for block in record.blocks for ours, theirs in block.work.values()),
    )


def group_reasons(reasons: Sequence[str]) -> tuple[str, ...]:
    """Return each kind of reason once: the first of those that differ in their numbers only, and how often it was."""
    kinds: dict[str, list[str]] = {}
    for reason in reasons:
        kinds.setdefault(re.sub(r"\d+(\.\d+)?", "#", reason), []).append(reason)
    return tuple(same[0] if len(same) == 1 else f"{same[0]} (in {len(same)} blocks alike)" for same in kinds.values())


def _ratio(record: SpeedRecord, kind: BlockKind) -> Ratio | None:
    return ratio_of_logs([block.log_ratio for block in record.blocks if block.kind == kind and not block.contamination])


def find_noise_floor(evidence: SpeedEvidence | None) -> NoiseFloor | None:
    """Return the floor: the far end of the A/A interval, and no less than `LEAST_FLOOR`; None without A/A."""
    if evidence is None or evidence.training is None:
        return None
    ratio = evidence.training
    far = max(abs(math.log(ratio.low)), abs(math.log(ratio.high)))
    return NoiseFloor(ratio=ratio, floor=max(LEAST_FLOOR, math.expm1(far)))
