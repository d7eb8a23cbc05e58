"""What the rules of the diagnosis look at, gathered from a run's records: one configuration's job and its step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.analysis.advice.amdahl import EVALUATION, TRAINING, Cell, Removal, cut_job
from harness.analysis.advice.flops import TRAINING_FACTOR, read_model_sizes
from harness.analysis.advice.roofline import matmul_dtype
from harness.analysis.evidence.work import Work
from harness.analysis.explain import Category, Ledger, LedgerRow
from harness.analysis.model import ContenderAnalysis
from harness.records.checks import RoofRecord
from harness.records.store import LoadedRun
from harness.records.trial import MemoryRecord

TF32_CAPABILITY = (8, 0)
"""First compute capability with units for bf16 and TF32 (NVIDIA A100 white paper)."""

FP16_CAPABILITY = (7, 0)
"""First compute capability with tensor cores, fp16 only (NVIDIA V100 white paper)."""

FAST_RATE = 1.2
"""A dtype is called fast if the roof measured its products at this many times the rate of fp32."""


@dataclass(frozen=True, kw_only=True)
class OneTimeCost:
    """What a contender that compiles pays once, and when that is earned back."""

    contender: str
    extra_s: float
    """Warm-up beyond the baseline's, compiler caches cold."""
    contender_s: float
    """Its whole job."""
    baseline_s: float
    saved_per_step_s: float | None
    break_even_steps: float | None
    """None if it never is."""
    steps: float
    """Of the baseline's job."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One configuration: its job's phases, its step's ledger, its settings, and the machine. None is "not known"."""

    phases_s: dict[str, float]
    """Disjoint; their sum is the job."""
    ledger: Ledger | None
    computed_per_useful: float | None = None
    """Tokens with padding ÷ tokens without."""
    forward_dtype: str | None = None
    """Of the matrix products: "float32", "tf32", "bfloat16" or "float16"."""
    attention: str | None = None
    """"eager", "sdpa", …"""
    fused_optimizer: bool | None = None
    compiles: bool = False
    device: Literal["cpu", "cuda"] = "cpu"
    fast_dtypes: tuple[str, ...] = ()
    """Types whose products are faster than fp32's on this device."""
    matmul_tflops: dict[str, float] = field(default_factory=dict)
    """Measured rate by dtype; empty without a roof."""
    achieved_tflops: float | None = None
    """Rate of the matrix products of a step."""
    peak_memory_gib: float | None = None
    memory_gib: float | None = None
    """Of the device; without one of the machine."""
    allocator_retries: int | None = None
    one_time_costs: tuple[OneTimeCost, ...] = ()

    @property
    def job_s(self) -> float:
        """The whole job."""
        return sum(self.phases_s.values())

    @property
    def cells(self) -> dict[Cell, float]:
        """The job's seconds, cut where the ledger cuts them."""
        return cut_job(self.phases_s, self.ledger)

    def row(self, category: Category) -> LedgerRow | None:
        """Return a row of the ledger; None without a ledger."""
        rows = () if self.ledger is None else self.ledger.rows
        return next((row for row in rows if row.category == category), None)

    def phases(self, names: Sequence[str]) -> float:
        """Return the seconds of several phases together."""
        return sum(self.phases_s.get(name, 0.0) for name in names)


def of_step(removal: Mapping[str, float]) -> Removal:
    """Return the removal of shares of the step's categories: training only."""
    return {(TRAINING, category): share for category, share in removal.items()}


def of_passes(removal: Mapping[str, float]) -> Removal:
    """Return the removal of shares of categories wherever the model runs: training and evaluation."""
    return {(phase, category): share for phase in (TRAINING, EVALUATION) for category, share in removal.items()}


def facts_of_run(loaded: LoadedRun, contenders: Sequence[ContenderAnalysis], environment: Mapping[str, Any]) -> Facts:
    """Return the facts of a run's baseline, the first of the contenders. Without its job there are no phases."""
    baseline, roof = contenders[0], loaded.run.roof
    device = device_kind(environment)
    computed_per_step, computed_per_useful = token_ratios(baseline.work)
    return Facts(
        phases_s=dict(baseline.phases_s),
        ledger=baseline.ledger,
        computed_per_useful=computed_per_useful,
        forward_dtype=forward_dtype(baseline.knobs),
        attention=baseline.knobs.get("attention"),
        fused_optimizer="fused=True" in baseline.knobs["optimizer"] if "optimizer" in baseline.knobs else None,
        compiles=baseline.knobs.get("compile", "off") != "off",
        device=device,
        fast_dtypes=fast_dtypes(environment, roof),
        matmul_tflops={} if roof is None else dict(roof.matmul_tflops),
        achieved_tflops=achieved_tflops(baseline.ledger, loaded.run.model_sizes, computed_per_step),
        peak_memory_gib=held_memory_gib(None if baseline.evidence is None else baseline.evidence.memory),
        memory_gib=memory_gib(environment),
        allocator_retries=count_allocator_retries(loaded, baseline.name),
        one_time_costs=tuple(filter(None, (one_time_cost(baseline, contender) for contender in contenders[1:]))),
    )


def token_ratios(work: Work | None) -> tuple[float | None, float | None]:
    """Return tokens with padding per step, and per token without; None where no work was recorded."""
    if work is None or not work.updates or not work.useful_tokens:
        return None, None
    return work.computed_tokens / work.updates, work.computed_tokens / work.useful_tokens


def device_kind(environment: Mapping[str, Any]) -> Literal["cpu", "cuda"]:
    """Return what the environment says of the device."""
    return "cuda" if str(environment.get("device", "cpu")).startswith("cuda") else "cpu"


def forward_dtype(knobs: Mapping[str, str]) -> str | None:
    """Return the type in which matrices are multiplied; None if the knobs were not recorded."""
    return matmul_dtype(knobs) if "forward dtype" in knobs else None


def fast_dtypes(environment: Mapping[str, Any], roof: RoofRecord | None) -> tuple[str, ...]:
    """Return the types that this device multiplies faster than fp32: as measured, or as its generation is known for.

    What a processor can do is only known if it was measured.
    """
    rates = {} if roof is None else roof.matmul_tflops
    if rates.get("float32"):
        return tuple(dtype for dtype, rate in rates.items() if rate >= FAST_RATE * rates["float32"])
    gpu = environment.get("gpu") or {}
    version = str(gpu.get("compute_capability", "0.0")).split(".")
    capability = (int(version[0]), int(version[1]))
    if capability >= TF32_CAPABILITY:
        return ("bfloat16", "float16", "tf32")
    return ("float16",) if capability >= FP16_CAPABILITY else ()


def achieved_tflops(
    ledger: Ledger | None, model_sizes: Mapping[str, int], computed_tokens_per_step: float | None
) -> float | None:
    """Return the rate of a step's matrix products in TFLOP/s, padding included; None if a part is not known.

    The products inside attention have a row of their own, so only linear maps count.
    """
    sizes = read_model_sizes(model_sizes)
    if ledger is None or computed_tokens_per_step is None or sizes is None:
        return None
    time_ms = sum(row.time_ms for row in ledger.rows if row.category == "matmul")
    flops = TRAINING_FACTOR * 2.0 * sizes.linear_weights * computed_tokens_per_step
    return flops / time_ms / 1e9 if time_ms > 0 else None


def held_memory_gib(memory: MemoryRecord | None) -> float | None:
    """Return the peak that the device's allocator held; without a device the process's."""
    if memory is None:
        return None
    return memory.rss_gib if memory.reserved_gib is None else memory.reserved_gib


def memory_gib(environment: Mapping[str, Any]) -> float | None:
    """Return the memory of the device, without one that of the machine."""
    holder = (environment.get("gpu") or {}) if device_kind(environment) == "cuda" else environment
    value = holder.get("memory_gib")
    return None if value is None else float(value)


def count_allocator_retries(loaded: LoadedRun, contender: str) -> int | None:
    """Return how often the allocator had to try again in the timed blocks of `contender`; None if nobody counted."""
    blocks = [
        block.conditions.allocator_retries
        for trial in loaded.trials
        if trial.record.contender == contender and trial.record.speed is not None
        for block in trial.record.speed.blocks
    ]
    counted = [retries for retries in blocks if retries is not None]
    return sum(counted) if counted else None


def one_time_cost(baseline: ContenderAnalysis, contender: ContenderAnalysis) -> OneTimeCost | None:
    """Return what a contender's compiler cost; None if it compiles nothing or a part was not measured."""
    own, reference, speedup = contender.evidence, baseline.evidence, contender.job_speedup
    if own is None or reference is None or speedup is None or not baseline.job_time_s:
        return None
    warm_up = own.warm_up
    if warm_up is None or not warm_up.compiles or reference.throughput is None:
        return None
    return OneTimeCost(
        contender=contender.name,
        extra_s=warm_up.cold_s + warm_up.stall_s - warm_up.baseline_s,
        contender_s=baseline.job_time_s / speedup.estimate,
        baseline_s=baseline.job_time_s,
        saved_per_step_s=warm_up.saved_per_step_s,
        break_even_steps=warm_up.break_even_steps,
        steps=reference.throughput.steps / len(reference.seeds),
    )
