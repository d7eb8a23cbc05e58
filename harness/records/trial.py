"""What a trial leaves behind: raw values, one frozen record each. Every statistic is derived from them later.

What was not measured is None, never 0. Times are seconds, memory is GiB (2**30 bytes).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from harness.config import RunConfig
from harness.records.checks import (
    AuditsRecord,
    Conditions,
    EquivalenceRecord,
    EvaluationCheckRecord,
    FootprintRecord,
    SpeedRecord,
)
from harness.records.machine import RoofRecord, SpeedometerReading
from harness.records.profile import ProfileRecord
from harness.records.strategy import StrategyRecord

SCHEMA_VERSION = 4
"""Raised when a field of a record changes its meaning; what readers know of older ones is in
`harness.records.upgrade`."""

BASELINE = "baseline"
"""The contender without any strategy."""

Status = Literal["done", "failed", "not_applicable"]

TrialKind = Literal["job", "speed", "profile"]
"""A whole fine-tuning; timed segments beside the live baseline, with the checks; a few steps under `torch.profiler`."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the analysis needs to know of a setup; None is "not known"."""

    forward_dtype: str | None = None
    """In which matrices are multiplied: "float32", "tf32", "bfloat16" or "float16"."""
    attention: str | None = None
    """"eager", "sdpa", or another that transformers knows."""
    fused_optimizer: bool | None = None
    compiles: bool = False
    """Whether `torch.compile` works in warm-up."""


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One step: an optimizer update and the work in it."""

    epoch: int
    """Counted from 1."""
    step: int
    """Counted from 1 over the whole training."""
    time_s: float
    """From the end of the step before to the end of this one, on the device's clock."""
    loss: float
    learning_rate: float
    gradient_norm: float
    """L2 norm before clipping; not finite when a scaled gradient overflowed."""
    windows: int
    useful_tokens: int
    """Tokens that are not padding."""
    computed_tokens: int
    """Tokens with padding, as the model saw them."""
    token_id_sum: int
    """Sum of the token numbers in the batch, padding left out, counted in the tensors: which text was trained on."""
    applied: bool
    """Whether the parameters really changed, seen at the answer head's weights."""


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One row of the per-epoch table."""

    epoch: int
    train_time_s: float
    train_loss: float
    """Mean over the epoch's steps, each weighted with its windows."""
    evaluation_time_s: float
    scores: dict[str, float] = field(default_factory=dict)
    """In percent, by the task's metrics; empty when evaluation was switched off."""


@dataclass(frozen=True, kw_only=True)
class WorkRecord:
    """How much training work was done, for the comparison of equals."""

    updates: int
    updates_applied: int
    windows: int
    useful_tokens: int
    computed_tokens: int
    token_id_sum: int
    """Sum of all token numbers trained on, padding left out."""
    trained_parameters: int
    """Elements of the tensors that training changed."""
    total_parameters: int
    untrained_tensors: tuple[str, ...]
    """Names of tensors that no update changed."""
    order_sha256: str
    """Hash over the window numbers in the order they were trained on."""
    learning_rate_sha256: str
    """Hash over the learning rates of all steps, to 9 digits."""


@dataclass(frozen=True, kw_only=True)
class MemoryRecord:
    """Peaks over the whole trial, with the buffers of audits (`AuditCost.memory_gib`)."""

    allocated_gib: float | None
    """Device memory in tensors (CUDA only)."""
    reserved_gib: float | None
    """Device memory held by the allocator (CUDA only)."""
    rss_gib: float
    """Resident memory of the process."""


@dataclass(frozen=True, kw_only=True)
class SamplingRecord:
    """Which sampler watched the trial, and what it cost."""

    source: Literal["nvml", "psutil"]
    source_reason: str | None
    """Why it was not NVML, or how NVML's device was chosen."""
    file: str
    """Samples, as CSV in the trial's directory."""
    ticks: int
    errors: int
    overhead_share: float
    """Processor time of the sampling thread over elapsed time."""
    power_source: Literal["instant", "average"] | None = None
    """Which of NVML's power readings it was; None without NVML."""
    training_start_s: float
    """Epoch time at which training began, to cut the samples."""
    training_end_s: float
    pauses_s: tuple[tuple[float, float], ...] = ()
    """Epoch times, [begin, end], between which the job waited for an audit, outside its time; older records lack it."""


@dataclass(frozen=True, kw_only=True)
class MetricRecord:
    """One of the scores by which a task's answers are measured; more is better."""

    name: str
    """Its key in `scores`."""
    title: str
    """As reports print it."""


@dataclass(frozen=True, kw_only=True)
class ScoringRecord:
    """How a task's answers are scored."""

    metrics: tuple[MetricRecord, ...]
    """In the order in which they are shown."""
    headline: str
    """The metric by which it is told whether a model has learned, and how soon."""
    examples: str = "examples"
    """What is answered, in the plural: "questions"."""

    @property
    def headline_title(self) -> str:
        """The headline metric as reports print it."""
        return next(metric.title for metric in self.metrics if metric.name == self.headline)

    @property
    def titles(self) -> str:
        """All metrics in words: "EM and F1"."""
        *first, last = (metric.title for metric in self.metrics)
        return f"{', '.join(first)} and {last}" if first else last


@dataclass(frozen=True, kw_only=True)
class QualitySetRecord:
    """The trained model on the set by which quality is judged, where that is larger than the validation set."""

    examples: int
    windows: int
    scores: dict[str, float]
    """In percent, by the task's metrics."""
    time_s: float
    """Loading, evaluation and scoring together; after the job and no part of it."""


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial, whole."""

    schema_version: int = SCHEMA_VERSION
    contender: str
    kind: TrialKind
    seed: int
    process: int = 1
    """Of timed segments: which of the contender's processes, counted from 1 (of the baseline: A/A)."""
    status: Status
    reason: str | None = None
    """Why it is not applicable, or the error in one line."""
    strategies: tuple[StrategyRecord, ...] = ()
    knobs: dict[str, str] = field(default_factory=dict)
    """Every pinned setting after the strategies were applied, to be shown."""
    settings: Settings = field(default_factory=Settings)
    """Those that the analysis needs."""
    environment: dict[str, Any] = field(default_factory=dict)
    phases_s: dict[str, float] = field(default_factory=dict)
    """Disjoint parts of the job, in order; "other" is what no phase covers."""
    job_time_s: float | None = None
    """From the start of the process to the last byte saved: what the user waits for."""
    excluded_s: float = 0.0
    """Time for the harness's own purposes (audits, checks, the untrained model, pauses between epochs), no part of
    `job_time_s`."""
    clock_error_s: float | None = None
    """What the worker's clock said of the whole job and its checks, minus what the parent's said."""
    compile_cache: Literal["cold", "warm"] | None = None
    """State of the compiler caches at the start; None when nothing was compiled."""
    untrained: dict[str, float] | None = None
    """Scores of the model before training, in percent."""
    epochs: tuple[EpochRecord, ...] = ()
    quality_set: QualitySetRecord | None = None
    """None where quality is judged on the validation set."""
    work: WorkRecord | None = None
    memory: MemoryRecord | None = None
    conditions: Conditions | None = None
    """Of a job, from the start of its process to the end of what was checked after it."""
    contamination: tuple[str, ...] = ()
    """Why the job's times don't count, in words."""
    speedometer: tuple[SpeedometerReading, ...] = ()
    """Of a job: how fast the machine was before it, between its epochs and after it; empty: not measured."""
    superseded: TrialRecord | None = None
    """The same job as it was measured first, while it was disturbed: its times don't count."""
    recording_s: float | None = None
    """Time that the harness took inside the steps to note what they did, over all epochs; None: not measured."""
    sampling: SamplingRecord | None = None
    profile: ProfileRecord | None = None
    evaluation_check: EvaluationCheckRecord | None = None
    """Of a job: whether its scores are those of the trained model."""
    equivalence: EquivalenceRecord | None = None
    footprint: FootprintRecord | None = None
    speed: SpeedRecord | None = None
    audits: AuditsRecord | None = None
    """Of a job's steps, or of segments beside the timed ones; None: nothing was audited."""


@dataclass(frozen=True, kw_only=True)
class ExamplePrediction:
    """What a model answered to one example, and how that scored."""

    id: str
    text: str
    scores: dict[str, float]
    """0 to 1, by the task's metrics."""
    covariates: dict[str, float] = field(default_factory=dict)
    """What the model's distribution says of the example, as `Task.expect` has it; empty where it was not looked at."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The head of a run directory."""

    schema_version: int = SCHEMA_VERSION
    name: str
    started: str
    """ISO 8601, UTC."""
    config: RunConfig
    command: str
    """The command line that makes this run again."""
    environment: dict[str, Any]
    data: dict[str, Any]
    """Counts and fingerprints of the data: questions, windows, tokens."""
    scoring: ScoringRecord
    """How the task's answers are scored."""
    trials: tuple[str, ...]
    """Planned trial directories, in order, relative to the run directory."""
    looks: int = 1
    """How often the run was judged: once, and once more each time that it was extended afterwards."""
    earlier_commands: tuple[str, ...] = ()
    """Of the run before it was extended, the first one first."""
    roof: RoofRecord | None = None
    """None where it was not measured (runs of an earlier version, or `--no-roof`)."""
    model_sizes: dict[str, int] = field(default_factory=dict)
    """"hidden_size", "layers", "heads", "intermediate_size", "parameters"; empty where they can't be told."""
    catalogue: tuple[StrategyRecord, ...] = ()
    """All strategies that there were, plug-ins included, in the order in which they are advised."""
