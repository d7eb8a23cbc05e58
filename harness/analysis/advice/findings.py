"""What the diagnosis and the roofline say: only data. What was not measured is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that the baseline's ledger and phases show."""

    rule: str
    """Name of the rule, e.g. "padding_waste"."""
    sentence: str
    """What was seen, with its numbers, and what it means."""
    share: float
    """Of the job that it would take away at most, 0 to 1: `job_speedup_bound` is 1 ÷ (1 − share)."""
    strategies: tuple[str, ...]
    """Registered strategies that address it."""
    job_speedup_bound: float
    """Job speedup if it cost nothing any more (Amdahl): no strategy that addresses only this can do better."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What was predicted for a contender from the baseline alone, beside what was measured."""

    contender: str
    rules: tuple[str, ...]
    """Findings that its strategies address; none: no gain was predicted."""
    job_speedup_bound: float
    """Upper bound of the job speedup; 1 where no finding is addressed."""
    measured: float | None
    """Job speedup; None if it was not measured."""
    measured_low: float | None
    measured_high: float | None
    missed: bool
    """The measured interval lies beyond the bound by more than the tolerance, or far below what was promised."""
    sentence: str
    """Prediction and outcome in words."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What holds the baseline back, largest share first, and what was predicted for each contender."""

    findings: tuple[Finding, ...]
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True, kw_only=True)
class RooflinePoint:
    """One contender against the machine's measured roof."""

    contender: str
    useful_tflops: float
    """TFLOP/s of the training steps, counted on useful tokens."""
    mfu: float
    """`useful_tflops` ÷ the measured matrix-product rate of its dtype, 0 to 1."""
    dtype: str
    """"float32", "tf32", "bfloat16" or "float16": the rate it is held against."""
    mfu_dense_peak: float | None
    """Against the vendor's dense peak, where the device is in the cited table."""
    job_over_light: float | None = None
    """Its whole job ÷ `Roofline.speed_of_light_s`; None if the job's time is not known."""


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """How far the job is from the speed of light."""

    flops_per_useful_token: float
    """Training: forward and backward, matrix products and attention, mean over the training windows."""
    job_useful_flops: float
    """Training and evaluation of the whole job on useful tokens."""
    speed_of_light_s: float
    """`job_useful_flops` ÷ the best measured rate: no job here can be shorter."""
    best_dtype: str
    matmul_tflops: dict[str, float]
    """Measured matrix-product rate by dtype."""
    copy_gb_per_s: float | None
    points: tuple[RooflinePoint, ...]
    note: str | None
    """Why there is no dense peak, for instance."""
