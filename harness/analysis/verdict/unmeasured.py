"""Why a contender's speed was not measured: the true cause, and only the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.analysis.evidence.speed import SpeedEvidence, summarise_restarts
from harness.analysis.verdict.reason import Words

if TYPE_CHECKING:
    from harness.analysis.evidence.gather import Case

GOES_ON = "the same command goes on where it stopped"


def why_not_measured(case: Case) -> list[Words]:
    """Return why there is no speed to judge; nothing if there is one."""
    evidence, reference = case.evidence, case.reference
    if evidence.pairs == 0:
        return [Words("no job of it has a baseline job of the same seed, so its work could not be compared")]
    if not reference.run.config.speed.enabled:
        return [Words("not asked for: the run was made without timed segments (--no-speed)")]
    for whose, trials in (("the baseline", reference.baseline), ("it", case.trials)):
        if trials.done and not trials.timed_jobs:
            told = f"the machine was busy, or ran at another speed, in every job of {whose}"
            return [Words(f"{told}: it takes another run, on an idle machine")]
    if evidence.speed is None:
        return [Words(f"its segments beside the live baseline have not been timed; {GOES_ON}")]
    if (spoilt := _spoilt(evidence.speed)) is not None:
        return [spoilt]
    if reference.floor is None:
        against_itself = summarise_restarts(reference.baseline.timed, reference.restarts)
        if against_itself is None:
            return [Words(f"no noise floor: the baseline has not been timed against itself (A/A); {GOES_ON}")]
        spoilt = _spoilt(against_itself)
        why = "too few blocks" if spoilt is None else spoilt.text
        numbers = {} if spoilt is None else spoilt.numbers
        return [Words(f"no noise floor: of the baseline against itself (A/A) {why}", numbers)]
    if evidence.job is None:
        return [Words("its whole job was not measured: a phase is missing in a record")]
    return []


def _spoilt(speed: SpeedEvidence) -> Words | None:
    """Return how many blocks are spoilt, and by what, where too few are left."""
    if speed.training is not None and speed.evaluation is not None:
        return None
    why = "; ".join(speed.contamination) or "too few were measured"
    return Words(
        f"{speed.spoilt} of {speed.blocks} timed blocks spoilt: {why}",
        {"spoilt": speed.spoilt, "blocks": speed.blocks},
    )
