"""What an analysis says: the contents of `analysis.json`. What was not measured is None, never 0."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from harness.analysis.advice.findings import Diagnosis, Roofline
from harness.analysis.evidence.gather import Evidence
from harness.analysis.evidence.machine import MachineSpeed
from harness.analysis.evidence.overhead import Overhead
from harness.analysis.evidence.quality import Difference, Learning
from harness.analysis.evidence.speed import NoiseFloor
from harness.analysis.evidence.trials import State
from harness.analysis.evidence.work import Work
from harness.analysis.trace.kernels import ProfileSummary
from harness.analysis.trace.model import Ledger, Waterfall
from harness.analysis.verdict.reason import Quality, Reason, Speed, Verdict
from harness.records.serialise import plain
from harness.records.strategy import StrategyRecord
from harness.records.trial import BASELINE, ScoringRecord, Settings
from harness.statistics.estimate import Estimate

ANALYSIS_SCHEMA_VERSION = 4
"""Raised when a key of `analysis.json` changes its meaning."""


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
    """One contender: what other programs read of it, and below that all the evidence."""

    name: str
    parts: tuple[str, ...]
    """Names of its strategies; none for the baseline."""
    strategies: tuple[StrategyRecord, ...]
    """Summaries and effects of the parts; empty if no trial got so far."""
    state: State
    verdict: Verdict | None
    """None for the baseline that was measured."""
    speed: Speed | None
    """Of the job; None where it was not measured or does not matter."""
    quality: Quality | None
    """None where nothing was judged, and where the work was not the same."""
    reasons: tuple[Reason, ...]
    """Of the verdict; of what was not measured, why."""
    job_time_s: float | None
    """Mean over the seeds."""
    train_time_s: float | None
    """All epochs' training together, mean over the seeds."""
    job_speedup: Estimate | None
    """Of the whole job, from its parts (`evidence.job`); None without timed segments."""
    step_speedup: Estimate | None
    """Of training, from the timed segments."""
    scores: dict[str, Difference]
    """By metric, beside the baseline's; empty where nothing was scored."""
    peak_memory_gib: float | None
    """Highest of any seed: tensors on the device, or without one the resident memory of the process."""
    energy_j: float | None
    """From the first step to the last evaluation, mean over the seeds."""
    work: Work | None
    phases_s: dict[str, float]
    """Mean over the seeds."""
    epochs: tuple[EpochRow, ...]
    knobs: dict[str, str]
    settings: Settings
    evidence: Evidence | None
    """Whole, of what ended a fine-tuning, even if another seed failed; None of what did not."""
    profile: ProfileSummary | None
    ledger: Ledger | None
    """Where its step's time goes, from its trace."""
    waterfall: Waterfall | None = None
    """From the baseline's step to its own; None for the baseline."""
    no_waterfall: str | None = None
    """Why there is none, in words: above all where the profiled steps were unlike the timed ones."""
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
    earlier_commands: tuple[str, ...]
    """Before the run was extended, the first one first."""
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
    machine: MachineSpeed | None = None
    """How fast the machine was through the run; None: the speedometer did not read enough."""
    overhead: tuple[Overhead, ...] = ()
    """What the harness itself costs per step, part by part."""
    environment: dict[str, Any]
    warnings: tuple[str, ...]
    """What makes the headline doubtful; shown beside it."""
    notes: tuple[str, ...]
    """What else bears on how far to trust the run."""

    @property
    def baseline_contender(self) -> ContenderAnalysis:
        """The baseline, measured or not."""
        return self.contenders[0]

    @property
    def ran(self) -> tuple[tuple[ContenderAnalysis, Evidence], ...]:
        """Those that ended a whole fine-tuning, each with its evidence; the baseline first."""
        return tuple((contender, contender.evidence) for contender in self.contenders if contender.evidence is not None)


def to_json(analysis: Analysis) -> dict[str, Any]:
    """Return the analysis as plain data that strict JSON can hold: what is not finite becomes None."""
    data: dict[str, Any] = plain(dataclasses.asdict(analysis))
    return data
