"""From a run's records to the facts that the rules of the diagnosis look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from harness.analysis.advice.facts import Facts, OneTimeCost
from harness.analysis.advice.flops import TRAINING_FACTOR, read_model_sizes
from harness.records.tolerances import BFLOAT16, FLOAT16, TF32

if TYPE_CHECKING:
    from harness.analysis.model import ContenderAnalysis
    from harness.analysis.trace.model import Ledger
    from harness.records.machine import RoofRecord
    from harness.records.store import LoadedRun
    from harness.records.trial import MemoryRecord

TF32_CAPABILITY = (8, 0)
"""First compute capability with units for bf16 and TF32 (NVIDIA A100 white paper)."""

FP16_CAPABILITY = (7, 0)
"""First compute capability with tensor cores, fp16 only (NVIDIA V100 white paper)."""

FAST_RATE = 1.2
"""A dtype is called fast if the roof measured its products at this many times the rate of fp32."""


def facts_of_run(loaded: LoadedRun, contenders: Sequence[ContenderAnalysis], environment: Mapping[str, Any]) -> Facts:
    """Return the facts of a run's baseline, the first of the contenders. Without its job there are no phases."""
    baseline, roof = contenders[0], loaded.run.roof
    work = baseline.work
    if work is not None and not (work.updates and work.useful_tokens):
        work = None
    speeds = [trial.record.speed for trial in loaded.trials if trial.record.contender == baseline.name]
    blocks = [block for speed in speeds if speed is not None for block in speed.blocks]
    retries = [block.conditions.allocator_retries for block in blocks]
    counted = [number for number in retries if number is not None]
    return Facts(
        phases_s=dict(baseline.phases_s),
        ledger=baseline.ledger,
        computed_per_useful=None if work is None else work.computed_tokens / work.useful_tokens,
        settings=baseline.settings,
        device=device_kind(environment),
        fast_dtypes=fast_dtypes(environment, roof),
        matmul_tflops={} if roof is None else dict(roof.matmul_tflops),
        achieved_tflops=achieved_tflops(
            baseline.ledger, loaded.run.model_sizes, None if work is None else work.computed_tokens / work.updates
        ),
        peak_memory_gib=held_memory_gib(None if baseline.evidence is None else baseline.evidence.memory),
        memory_gib=memory_gib(environment),
        allocator_retries=sum(counted) if counted else None,
        one_time_costs=tuple(filter(None, (one_time_cost(baseline, contender) for contender in contenders[1:]))),
        catalogue=loaded.run.catalogue,
    )


def device_kind(environment: Mapping[str, Any]) -> Literal["cpu", "cuda"]:
    """Return what the environment says of the device."""
    return "cuda" if str(environment.get("device", "cpu")).startswith("cuda") else "cpu"


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
        return (BFLOAT16, FLOAT16, TF32)
    return (FLOAT16,) if capability >= FP16_CAPABILITY else ()


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
