"""What an analysis says: the contents of `analysis.json` (DESIGN §8). What was not measured is None, never 0."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from harness.analysis.advice.findings import Diagnosis
from harness.analysis.advice.roofline import Roofline
from harness.analysis.evidence.energy import EnergyEvidence
from harness.analysis.evidence.job import JobSpeed, WarmUp
from harness.analysis.evidence.quality import Learning, QualityEvidence
from harness.analysis.evidence.sameness import Equivalence, FootprintDifference
from harness.analysis.evidence.sampling import SamplingSummary
from harness.analysis.evidence.speed import NoiseFloor, SpeedEvidence
from harness.analysis.evidence.summary import Difference, Estimate, Throughput
from harness.analysis.evidence.time_to_quality import TimeToScore
from harness.analysis.evidence.work import Work
from harness.analysis.trace.kernels import ProfileSummary
from harness.analysis.trace.model import Ledger, Waterfall
from harness.analysis.verdict.rules import Verdict
from harness.records.serialise import plain
from harness.records.trial import BASELINE, MemoryRecord, ScoringRecord, Settings, StrategyRecord

ANALYSIS_SCHEMA_VERSION = 3
"""Raised when a key of `analysis.json` changes its meaning."""

State = Literal["measured", "not_applicable", "failed", "not_run"]


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """One epoch of a contender, each value the mean over its seeds."""

    epoch: int
    """Counted from 1."""
    train_time_s: float | None
    train_loss: float | None
    scores: dict[str, float]
    """Percent, by metric; empty where nothing was scored."""
    evaluation_time_s: float | None


@dataclass(frozen=True, kw_only=True)
class ContenderAnalysis:
    """Everything about one contender."""

    name: str
    parts: tuple[str, ...]
    """Names of its strategies; none for the baseline."""
    strategies: tuple[StrategyRecord, ...]
    """Summaries and effects of the parts; empty if no trial got so far."""
    state: State
    verdict: Verdict | None
    reasons: tuple[str, ...]
    seeds: tuple[int, ...]
    """Seeds of the whole fine-tunings that ended."""
    job_time_s: float | None
    """Mean over the seeds."""
    train_time_s: float | None
    """All epochs' training together, mean over the seeds."""
    job_speedup: Estimate | None
    """Of the whole job, from its parts (`job`); without timed segments of the jobs as they ran."""
    step_speedup: Estimate | None
    """Of training, from the timed segments; without them of the training time per epoch."""
    scores: dict[str, Difference]
    """By metric, beside the baseline's; empty where nothing was scored."""
    speed: SpeedEvidence | None
    """The timed segments against the live baseline; of the baseline: A/A."""
    job: JobSpeed | None
    warm_up: WarmUp | None
    time_to_score: TimeToScore | None
    quality: QualityEvidence | None
    equivalence: Equivalence | None
    footprint: FootprintDifference | None
    peak_memory_gib: float | None
    """Highest of any seed: tensors on the device, or without one the resident memory of the process."""
    memory: MemoryRecord | None
    energy_j: float | None
    """From the first step to the last evaluation, mean over the seeds."""
    energy: EnergyEvidence | None
    """Of training per epoch and token, from long segments beside the baseline; of the baseline: A/A."""
    work: Work | None
    phases_s: dict[str, float]
    """Mean over the seeds."""
    epochs: tuple[EpochRow, ...]
    throughput: Throughput | None
    sampling: SamplingSummary | None
    profile: ProfileSummary | None
    ledger: Ledger | None
    """Where its step's time goes, from its trace."""
    waterfall: Waterfall | None
    """From the baseline's step to its own; None for the baseline."""
    compile_cache: str | None
    """State of the compiler's caches before the first job; None when nothing was compiled."""
    knobs: dict[str, str]
    settings: Settings
    notes: tuple[str, ...]
    """What bears on how far to trust the numbers."""

    @property
    def is_baseline(self) -> bool:
        """Whether the others are held against this one."""
        return self.name == BASELINE

    @property
    def is_peer(self) -> bool:
        """Whether it is another program, shown to compare with and never recommended."""
        return any(part.is_peer for part in self.strategies)


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What was run."""

    name: str
    started: str
    """ISO 8601, UTC."""
    command: str
    config: dict[str, Any]
    data: dict[str, Any]
    trials_planned: int
    trials_missing: tuple[str, ...]
    """Planned, but not run."""
    trials_damaged: tuple[str, ...]
    """One line per record that could not be read."""


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """A run, analysed; the baseline is the first contender."""

    schema_version: int = ANALYSIS_SCHEMA_VERSION
    baseline: str = BASELINE
    run: RunSummary
    contenders: tuple[ContenderAnalysis, ...]
    seeds: int
    """Whole fine-tunings of the baseline that ended."""
    scoring: ScoringRecord
    untrained: dict[str, float] | None
    """Scores of the baseline's model before training, in percent."""
    learning: Learning | None
    """Whether the baseline has learned enough for scores to tell anything."""
    noise_floor: NoiseFloor | None
    """From A/A: the baseline against itself."""
    diagnosis: Diagnosis | None
    roofline: Roofline | None
    environment: dict[str, Any]
    warnings: tuple[str, ...]
    """What makes the headline doubtful; shown beside it."""
    notes: tuple[str, ...]
    """What else bears on how far to trust the run."""

    @property
    def baseline_contender(self) -> ContenderAnalysis:
        """The baseline, measured or not."""
        return self.contenders[0]


def to_json(analysis: Analysis) -> dict[str, Any]:
    """Return the analysis as plain data that strict JSON can hold: what is not finite becomes None."""
    data: dict[str, Any] = plain(dataclasses.asdict(analysis))
    return data
