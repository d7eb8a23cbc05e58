"""What a strategy says of itself, and the words that it may use: the run's catalogue, by which it is advised."""

from __future__ import annotations

from dataclasses import dataclass

HARNESS_PHASES = (
    "process_start", "imports", "cuda_start", "load_data", "tokenise", "load_model", "span_search", "scoring", "saving"
)  # fmt: skip
"""Phases of a job that are the harness's own code, the same for every contender unless a strategy declares them."""

BOTTLENECKS = (
    "evaluation", "start_up", "warm_up", "padding_waste", "spare_memory", "allocator_retries",
    "fp32_products:bfloat16", "fp32_products:float16", "fp32_products:tf32",
    "fp32_traffic:bfloat16", "fp32_traffic:float16",
    "slow_products", "eager_attention", "elementwise", "optimizer", "unfused_optimizer",
    "loader", "launch_bound", "copies", "small_kernels",
)  # fmt: skip
"""What the diagnosis can find and a strategy can address: a rule's name, after a colon the type that would be faster.
An "unfused_optimizer" launches kernels for each parameter; an "optimizer" takes time even when it is fused."""

SAME_MATH, LOWER_PRECISION, NEW_SCHEDULE, NEW_MODEL = "SAME_MATH", "LOWER_PRECISION", "NEW_SCHEDULE", "NEW_MODEL"
"""`StrategyRecord.effect`: `harness.strategy.Effect`, by name."""

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class StrategyRecord:
    """A strategy, as it describes itself (`harness.strategy.Strategy`)."""

    name: str
    summary: str
    effect: str
    phases: tuple[str, ...] = ()
    """Of `HARNESS_PHASES`: what it says it changes."""
    is_peer: bool = False
    """Another program to compare with, not a strategy."""
    addresses: tuple[str, ...] = ()
    """Of `BOTTLENECKS`: what it is advised for."""
    devices: tuple[str, ...] = DEVICES
    """Where it is advised."""
