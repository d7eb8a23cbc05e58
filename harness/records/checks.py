"""What the checks beside the jobs leave behind: timed blocks, equivalence, footprint, evaluation. Raw values only.

What was not measured is None, never 0. Times are seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from harness.records.machine import SpeedometerReading
from harness.records.perturbation import PerturbationRecord

BlockKind = Literal["training", "evaluation"]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What else happened on the machine while a block was measured."""

    foreign_cpu_cores: float | None = None
    """Processor time of everything but this run, per second: 1.0 is one core kept busy by somebody else."""
    steal_share: float | None = None
    """Share of all cores' time that the hypervisor gave to other machines."""
    swapped_gib: float | None = None
    """Memory swapped in and out."""
    load_average_1min: float | None = None
    allocator_retries: int | None = None
    """Times that the device's allocator had to free its cache and try again, in both workers (CUDA only)."""
    throttle_reasons: tuple[str, ...] = ()
    """NVML's reasons for lowered clocks, but for those that say nothing against a measurement."""
    sm_clock_ratio: float | None = None
    """SM clock while the contender's segments ran ÷ while the baseline's did: means over the segments' medians."""
    other_gpu_processes: int | None = None
    machine_speed: float | None = None
    """Speed of the machine just before the block, as a share of its usual one by the speedometer's last readings."""


@dataclass(frozen=True, kw_only=True)
class BlockRecord:
    """Four segments over the same samples, alternated so that a linear drift cancels: ABBA, or BAAB."""

    kind: BlockKind
    number: int
    """Counted from 1, for each kind."""
    attempt: int
    """Counted from 1; above 1 the block is a repeat of a contaminated one."""
    first: Literal["baseline", "contender"]
    """Whose segments stand outside."""
    windows: int
    """Windows in each segment, with repetitions."""
    baseline_s: tuple[float, float]
    """Both segments of the baseline, in order, by the parent's clock."""
    contender_s: tuple[float, float]
    work: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Baseline's and contender's counts in their last segment of training: "lost_updates", "useful_tokens",
    "token_id_sum"."""
    conditions: Conditions = field(default_factory=Conditions)
    contamination: tuple[str, ...] = ()
    """Why the block does not count, in words; empty for a good one."""
    cold: bool = False
    """Measured before both processes were steady: no evidence."""
    speedometer: SpeedometerReading | None = None
    """How fast the machine was just before the block; on a GPU, in it."""

    @property
    def log_ratio(self) -> float:
        """Log of baseline ÷ contender. Both means of logs lie at the same time, so that a linear drift cancels."""
        both = (self.baseline_s, self.contender_s)
        baseline, contender = ([math.log(time_s) for time_s in times_s] for times_s in both)
        return fmean(baseline) - fmean(contender)

    @property
    def is_evidence(self) -> bool:
        """Whether it counts: nothing else went on, and both processes were steady."""
        return not self.contamination and not self.cold

    @property
    def segments_s(self) -> float:
        """Seconds of its four segments."""
        return sum(self.baseline_s) + sum(self.contender_s)


@dataclass(frozen=True, kw_only=True)
class TensorError:
    """How far one parameter tensor is from the reference."""

    name: str
    gradient: float | None
    """‖g − g_ref‖ ÷ max(‖g_ref‖, share × norm of the whole reference gradient) of the first update, with the share that
    `harness.records.tolerances` has for the dtype and the kind of tensor; None if there is no gradient."""
    update: float | None
    """‖u − u_ref‖ ÷ ‖u_ref‖ of the sum of all updates, over elements whose first gradient is not near 0."""


@dataclass(frozen=True, kw_only=True)
class EquivalenceRecord:
    """Some updates of the contender against the fp32 reference, the same batches, dropout off: made of those who claim
    the reference's mathematics, in full or in a lower precision, and of the baseline.
    """

    dtype: str
    """Of the contender's forward pass: "float32", "tf32", "bfloat16", "float16"."""
    windows: int
    """Over all updates."""
    losses: tuple[float, ...]
    """Of each update."""
    losses_reference: tuple[float, ...]
    gradient_norms: tuple[float, ...]
    gradient_norms_reference: tuple[float, ...]
    cosine: float | None
    """Cosine between the whole first gradients; None where the contender keeps none."""
    worst: tuple[TensorError, ...]
    """Tensors that differ most, worst first."""
    missing: tuple[str, ...] = ()
    """Tensors of the reference that the contender does not have, or does not train."""
    dropout_scatter: float | None = None
    """Standard deviation of the loss of one window in training mode, dropout on; None: not measured."""
    dropout_scatter_reference: float | None = None
    attention_scatter: float | None = None
    """The same with dropout on attention's weights alone."""
    attention_scatter_reference: float | None = None
    typical_gradient: float | None = None
    """The median of the matrices' gradient errors; None: no gradients were kept, or an older run did not look at it."""
    typical_update: float | None = None
    """The same of their updates."""
    unmade: str | None = None
    """Why the numbers say nothing, in words: a gradient scaler that skipped updates, at whatever scale."""


AuditPlace = Literal["job", "segment"]


@dataclass(frozen=True, kw_only=True)
class ReplayRecord:
    """How far a contender's step is from the reference's, made from the same state on the planned windows."""

    dtype: str
    """Of the contender's forward pass, as in `EquivalenceRecord`."""
    worst: tuple[TensorError, ...]
    """Tensors that differ most, worst first: the gradient from the reference's with the same random state, the update
    from AdamW's of the contender's own gradient at the planned learning rate."""
    typical_gradient: float | None
    """The median of the matrices' gradient errors."""
    missing: tuple[str, ...] = ()
    """Tensors of the reference that the contender's optimizer does not train."""
    loss: float
    """As the step said."""
    loss_reference: float
    gradient_norm: float
    """As the step said, before clipping."""
    gradient_norm_reference: float
    same_random_numbers: bool
    """Whether gradient and loss are the reference's up to rounding when it draws dropout from the same random state.
    False: the contender draws other numbers or computes something else; which of them, the scatter tells."""
    left_to_twin: bool = False
    """Whether it drew other numbers and a twin tells what else it did, so that no draws were made."""
    draws: int = 0
    """Gradients of the same step that the reference drew with other random numbers; 0 where it was not needed."""
    ratios: tuple[float, ...] = ()
    """Of the gradient and, after it, of each draw: its squared distance from the mean of the others, ÷ what that is on
    average for one more of them (`harness.statistics.perturbation.scatter_ratios`). Empty without draws."""
    nearness: tuple[float, ...] = ()
    """Of the gradient and, after it, of draws that share the first dropout alone with the replay: the squared distance
    from the replay's gradient, as a share of its squared norm. Empty without draws."""


@dataclass(frozen=True, kw_only=True)
class AuditRecord:
    """One step of a contender, drawn by the parent and replayed by the referee."""

    where: AuditPlace
    seed: int
    epoch: int
    """Counted from 1; in a segment the repetition."""
    step: int
    """Counted from 1 over the whole training; in a segment over the segment."""
    windows: int
    """That the plan names for the step."""
    learning_rate: float
    """Found in the update."""
    planned_learning_rate: float
    updates_before: int
    """Updates that the optimizer had counted before the step."""
    planned_updates_before: int | None
    """None in a segment: how many there were is the contender's to know."""
    replay: ReplayRecord
    took_s: float
    """Of the replay, by the referee's clock."""
    lengths: tuple[int, ...] = ()
    """Tokens of the planned windows, shortest first."""


@dataclass(frozen=True, kw_only=True)
class AuditCost:
    """What looking at the steps cost the contender's process: no part of any step's or job's time."""

    steps: int
    """That could have been audited."""
    memory_gib: float
    """Of the buffers that the state before a step is kept in."""
    snapshots_s: float
    """Copying it, by the host's clock."""
    questions_s: float
    """Asking whether a step is to be audited."""
    saving_s: float
    """Writing what the audited steps did, and waiting for their replays."""


@dataclass(frozen=True, kw_only=True)
class AuditsRecord:
    """The audits of one job, or of the segments beside a contender's timed ones."""

    audits: tuple[AuditRecord, ...]
    drawn: tuple[int, ...]
    """Steps that were drawn before the job began; of segments, the numbers of the blocks that one was run after."""
    cost: AuditCost | None = None
    """None where no step was looked at."""
    replays_s: float = 0.0
    """By the parent's clock; the referee's start too, where it was not there already."""
    problem: str | None = None
    """Why steps that were drawn could not be audited, in words."""
    perturbation: PerturbationRecord | None = None
    """The gradients of these steps beside the reference's and their scatter; None: not measured."""


@dataclass(frozen=True, kw_only=True)
class FootprintRecord:
    """What really runs: equal footprints mean that a strategy changed nothing."""

    training: dict[str, int]
    """Operators, kernels and runtime calls of the same training samples, with dtypes and shapes: name → calls."""
    evaluation: dict[str, int]
    parameters_sha256: str
    """Over name, dtype, shape and strides of every parameter."""
    host_code: dict[str, str]
    """Which functions load, plan, collate, step and evaluate: their names and a hash of their code."""
    flags: dict[str, str]
    """Threads, TF32, default dtype and other settings of the process."""


@dataclass(frozen=True, kw_only=True)
class EvaluationCheckRecord:
    """Whether the logits that were scored are the trained model's: a plain fp32 pass over a sample of windows."""

    windows: int
    error: float | None
    """Relative L2 distance of the claimed logits from the plain pass, each window's mean taken out; None: `problem`."""
    dtype: str
    problem: str | None = None
    """Why the check could not be made."""


@dataclass(frozen=True, kw_only=True)
class EnergyUse:
    """Energy of the GPU in long segments of training, added up."""

    energy_j: float | None
    """By the driver's counter, between its first and its last move in each segment; None: it has no counter."""
    integrated_j: float | None
    """By integrated power, over the same time."""
    window_s: float
    """That time."""
    error_s: float
    """How far it may be off: the counter moves in steps, and is read some milliseconds apart."""
    segment_s: float
    """Whole segments, from request to answer."""
    windows: int
    """Trained in whole segments, with repetitions."""
    useful_tokens: int
    """Of these windows, as counted in the tensors."""


@dataclass(frozen=True, kw_only=True)
class EnergyRecord:
    """What baseline and contender used for the same samples: in turn, each for some seconds."""

    baseline: EnergyUse
    contender: EnergyUse
    epoch_windows: int
    """Windows of a whole epoch."""
    power_source: Literal["instant", "average"] | None
    """Which of NVML's power readings was integrated."""
    contamination: tuple[str, ...] = ()
    """What else happened on the machine meanwhile, in words."""


@dataclass(frozen=True, kw_only=True)
class SpeedRecord:
    """The speed evidence of one process of a contender against the live baseline (of the baseline: A/A)."""

    blocks: tuple[BlockRecord, ...]
    """In the order in which they were measured, contaminated ones too."""
    stopped: str
    """Why measuring stopped, in words."""
    settle_s: float
    """Idle time before each segment."""
    live_started_s: float | None = None
    """When the live baseline was started, in seconds since 1970: which of them it was; None in runs of an earlier
    version, which had one."""
    energy: EnergyRecord | None = None
    """None without NVML, where it was switched off, and in runs of an earlier version."""
    energy_problem: str | None = None
    """Why it could not be measured after all, in words."""
