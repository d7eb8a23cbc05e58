"""Rules about the rows of a step's ledger: products, attention, element-wise work, optimizer, loader, copies, gaps."""

from __future__ import annotations

from collections.abc import Iterable

from harness.analysis.advice.facts import Facts, of_passes, of_step
from harness.analysis.advice.rule import Observation, rule
from harness.analysis.trace.model import Category, KernelLine
from harness.records.tolerances import BFLOAT16, FLOAT16, FULL_PRECISION, TF32

NOTABLE_SHARE = 0.05
"""Share of a step from which a row that could vanish is worth a finding: 5 % is what predictions may be off by."""

LARGE_SHARE = 0.1
"""The same for rows of which a part always stays."""

ROOF_SHARE = 0.7
"""Share of the measured rate below which the products of a step are called slow."""

SMALL_KERNEL_MS = 0.01
"""A kernel or operator of 10 µs takes about as long as its launch (CUDA: 4 to 8 µs from Python through PyTorch)."""

HALF_THE_BYTES = 0.5
"""What 16-bit activations save of work that is bound by memory traffic."""


@rule
def fp32_products(facts: Facts) -> Observation | None:
    """Matrices are multiplied in fp32 on a device with faster types."""
    row = facts.row("matmul")
    faster = facts.fast_dtypes
    if facts.settings.forward_dtype != FULL_PRECISION or not faster or row is None or row.share < LARGE_SHARE:
        return None
    plain = facts.matmul_tflops.get(FULL_PRECISION)
    best = max(faster, key=lambda dtype: facts.matmul_tflops.get(dtype, 0.0))
    rate = facts.matmul_tflops.get(best)
    if plain and rate:
        left = plain / rate
        why = f"{best} reaches {rate:.3g} TFLOP/s here, fp32 {plain:.3g}"
    else:
        left, why = (
            0.0,
            f"{' and '.join(faster)} are faster here; how much was not measured: the bound is the whole row",
        )
    sentence = f"matrix products take {row.time_ms:.1f} ms of a step ({row.share:.0%}) and run in fp32: {why}"
    return Observation(
        sentence=sentence,
        takes=of_passes({"matmul": 1.0 - left, "attention": 1.0 - left}),
        bottlenecks=tuple(f"fp32_products:{dtype}" for dtype in faster),
    )


@rule
def fp32_traffic(facts: Facts) -> Observation | None:
    """Activations are 32 bits wide where 16 would do."""
    faster = [dtype for dtype in facts.fast_dtypes if dtype in (BFLOAT16, FLOAT16)]
    categories: tuple[Category, ...] = ("elementwise", "attention", "loss")
    rows = [row for category in categories if (row := facts.row(category)) is not None]
    share = sum(row.share for row in rows)
    if facts.settings.forward_dtype not in (FULL_PRECISION, TF32) or not faster or share < LARGE_SHARE:
        return None
    sentence = (
        f"element-wise work and attention take {share:.0%} of a step with 32-bit activations: where memory traffic "
        "bounds them, 16 bits halve it"
    )
    return Observation(
        sentence=sentence,
        takes=of_passes({row.category: HALF_THE_BYTES for row in rows}),
        bottlenecks=tuple(f"fp32_traffic:{dtype}" for dtype in faster),
    )


@rule
def slow_products(facts: Facts) -> Observation | None:
    """Products run far below the rate that this machine reached with shapes of this model."""
    row, rate = facts.row("matmul"), facts.matmul_tflops.get(facts.settings.forward_dtype or "")
    if row is None or facts.achieved_tflops is None or not rate or row.share < LARGE_SHARE:
        return None
    reached = facts.achieved_tflops / rate
    if reached >= ROOF_SHARE:
        return None
    sentence = (
        f"the products of a step run at {facts.achieved_tflops:.3g} TFLOP/s, {reached:.0%} of the {rate:.3g} that "
        f"{facts.settings.forward_dtype} reached on this machine, and take {row.share:.0%} of the step"
    )
    return Observation(sentence=sentence, takes=of_passes({"matmul": 1.0 - reached}))


@rule
def eager_attention(facts: Facts) -> Observation | None:
    """Attention runs as separate products, softmax and dropout."""
    row = facts.row("attention")
    if facts.settings.attention != "eager" or row is None or row.share < NOTABLE_SHARE:
        return None
    sentence = (
        f"attention is eager and takes {row.time_ms:.1f} ms of a step ({row.share:.0%}): the matrix of all pairs of "
        "tokens goes through memory several times"
    )
    return Observation(sentence=sentence, takes=of_passes({"attention": 1.0}))


@rule
def elementwise(facts: Facts) -> Observation | None:
    """Normalisation, activation, dropout and residuals each read and write everything."""
    row = facts.row("elementwise")
    if row is None or row.share < LARGE_SHARE:
        return None
    sentence = (
        f"normalisation and element-wise work take {row.time_ms:.1f} ms of a step ({row.share:.0%}) in "
        f"{row.events:.0f} operations; fused, each value crosses memory once"
    )
    return Observation(sentence=sentence, takes=of_passes({"elementwise": 1.0}))


@rule
def optimizer(facts: Facts) -> Observation | None:
    """The update takes a notable part of the step, on a device the gaps between its kernels included."""
    row = facts.row("optimizer")
    if row is None or facts.ledger is None or row.share < NOTABLE_SHARE:
        return None
    loops = facts.settings.fused_optimizer is False
    how = ", one parameter after the other" if loops else ""
    sentence = (
        f"the optimizer takes {row.time_ms:.1f} ms of a step ({row.share:.0%}) in {row.events:.0f} operations{how}"
    )
    # What its part of the step takes beyond its own row is taken for gaps: small kernels launched one by one.
    part_ms = sum(part.profiled_ms for part in facts.ledger.parts if part.name == "optimizer")
    idle_ms = sum(other.profiled_ms for other in facts.ledger.rows if other.category == "idle")
    gaps = min(1.0, max(0.0, part_ms - row.profiled_ms) / idle_ms) if idle_ms > 0 else 0.0
    return Observation(
        sentence=sentence,
        takes=of_step({"optimizer": 1.0, "idle": gaps}),
        bottlenecks=("optimizer",) if facts.settings.fused_optimizer else ("unfused_optimizer", "optimizer"),
    )


@rule
def loader(facts: Facts) -> Observation | None:
    """Batches are made while nothing else runs."""
    row = facts.row("data")
    if row is None or row.share < NOTABLE_SHARE:
        return None
    sentence = f"data loading takes {row.time_ms:.1f} ms of a step ({row.share:.0%}), and the step waits for it"
    return Observation(sentence=sentence, takes=of_step({"data": 1.0}))


@rule
def launch_bound(facts: Facts) -> Observation | None:
    """Nothing runs for a large part of the step: it is bound by launches."""
    row = facts.row("idle")
    if row is None or facts.ledger is None or row.share < LARGE_SHARE:
        return None
    launches = sum(other.events for other in facts.ledger.rows if other.category != "idle")
    what = "kernel" if facts.ledger.time_kind == "device" else "operator"
    host = "" if facts.ledger.host_ms is None else f"; the host spends {facts.ledger.host_ms:.1f} ms in runtime calls"
    sentence = (
        f"no {what} runs for {row.time_ms:.1f} ms of a step ({row.share:.0%}) between {launches:.0f} {what}s{host}: "
        "the step is bound by launches"
    )
    bottlenecks = ("small_kernels", "launch_bound")
    return Observation(sentence=sentence, takes=of_step({"idle": 1.0}), bottlenecks=bottlenecks)


@rule
def copies(facts: Facts) -> Observation | None:
    """Copies between host and device, casts, and changes of layout."""
    row = facts.row("copies")
    if row is None or row.share < NOTABLE_SHARE:
        return None
    sentence = f"copies and casts take {row.time_ms:.1f} ms of a step ({row.share:.0%}), {row.events:.0f} of them"
    return Observation(sentence=sentence, takes=of_passes({"copies": 1.0}))


@rule
def small_kernels(facts: Facts) -> Observation | None:
    """Much of the step's time goes to kernels that are over about when the next one is launched."""
    lines = () if facts.ledger is None else facts.ledger.kernels
    small = [line for line in lines if line.time_ms_per_step < SMALL_KERNEL_MS * line.calls_per_step]
    share = sum(line.share for line in small)
    if share < NOTABLE_SHARE:
        return None
    calls, all_calls = (sum(line.calls_per_step for line in group) for group in (small, lines))
    sentence = (
        f"{calls:.0f} of {all_calls:.0f} kernels or operators of a step take less than {SMALL_KERNEL_MS * 1000:.0f} µs "
        f"each, together {share:.0%} of their time: fused or replayed, most of them would go"
    )
    parts, wholes = _time_ms_by_category(small), _time_ms_by_category(lines)
    return Observation(
        sentence=sentence,
        takes=of_passes({category: time_ms / wholes[category] for category, time_ms in parts.items()}),
    )


def _time_ms_by_category(lines: Iterable[KernelLine]) -> dict[str, float]:
    times_ms: dict[str, float] = {}
    for line in lines:
        times_ms[line.category] = times_ms.get(line.category, 0.0) + line.time_ms_per_step
    return times_ms
