"""Ledgers, waterfalls, a diagnosis and a roof by hand, to put into the analysis of a recorded run."""

from __future__ import annotations

from dataclasses import replace

from harness.analysis.advice.findings import Diagnosis, Finding, Prediction, Roofline, RooflinePoint
from harness.analysis.model import Analysis
from harness.analysis.trace.model import CATEGORY_WORDS, Ledger, LedgerRow, StepPart, Waterfall, WaterfallBar

BASELINE_MS = {"matmul": 200.0, "attention": 60.0, "elementwise": 90.0, "loss": 2.5, "optimizer": 60.0,
               "copies": 12.0, "data": 4.0, "idle": 70.0, "other": 6.0}  # fmt: skip


def make_ledger(
    times_ms: dict[str, float], *, step_ms: float | None = 520.0, windows: float = 16.0, absent: str = ""
) -> Ledger:
    """Return a ledger with these rows; of the category `absent` nothing occurred."""
    total = sum(times_ms.values())
    rows = tuple(
        LedgerRow(
            category=category,
            profiled_ms=times_ms[category] * 1.1,
            time_ms=0.0 if category == absent else times_ms[category],
            share=times_ms[category] / total,
            events=0 if category in (absent, "idle") else 12.0,
        )
        for category in CATEGORY_WORDS
    )
    return Ledger(
        time_kind="cpu",
        steps=3,
        windows_per_step=windows,
        profiled_step_ms=total * 1.1,
        unprofiled_step_ms=step_ms,
        rows=rows,
        residual_ms=None if step_ms is None else step_ms - sum(row.time_ms for row in rows),
        parts=(
            StepPart(name="forward", profiled_ms=200.0, share=0.35),
            StepPart(name="backward", profiled_ms=300.0, share=0.65),
        ),
        kernels=(),
        host_ms=None,
        notes=("views | copies can't be told apart",),
    )


def make_waterfall() -> Waterfall:
    """Return a step of 520 ms that becomes one of 325 ms."""
    bars = tuple(
        WaterfallBar(category=category, difference_ms=-120.0 if category == "matmul" else -8.5)
        for category in CATEGORY_WORDS
    )
    return Waterfall(baseline_ms=520.0, contender_ms=325.0, bars=bars, residual_ms=-195.0 + 120.0 + 8 * 8.5)


def make_diagnosis() -> Diagnosis:
    """Return one finding and a prediction that came true, one that missed, one without a measurement."""
    finding = Finding(rule="padding_waste", sentence="26 % of the computed tokens are padding", share=0.2,
                      strategies=("dynamic_padding",), job_speedup_bound=1.25)  # fmt: skip
    rest = {"job_speedup_bound": 1.25, "sentence": "at most 1.25× was predicted; measured 1.60×, beyond the bound"}
    return Diagnosis(
        findings=(finding, replace(finding, rule="compile_not_amortised", strategies=(), share=0.43)),
        predictions=(
            Prediction(contender="amp_bf16", rules=("padding_waste",), measured=1.6, measured_low=1.593,
                       measured_high=1.607, missed=True, **rest),
            Prediction(contender="fused_adamw+sdpa", rules=("padding_waste",), measured=1.1, measured_low=1.08,
                       measured_high=1.12, missed=False, **rest),
            Prediction(contender="channels_last", rules=(), measured=None, measured_low=None, measured_high=None,
                       missed=False, **rest),
        ),
    )  # fmt: skip


def make_roofline() -> Roofline:
    """Return a roof with one contender below it."""
    point = RooflinePoint(contender="baseline", useful_tflops=0.14, mfu=0.155, dtype="float32", mfu_dense_peak=None)
    return Roofline(
        flops_per_useful_token=6.51e7,
        job_useful_flops=1.83e12,
        speed_of_light_s=1.31,
        best_dtype="bfloat16",
        matmul_tflops={"float32": 0.9, "bfloat16": 1.4},
        copy_gb_per_s=None,
        points=(point,),
        note="the dense peak of this processor is not in the table",
    )


def explain(analysis: Analysis) -> Analysis:
    """Return the analysis of a recorded run with everything that explains it."""
    ledgers = {
        "baseline": make_ledger(BASELINE_MS),
        "amp_bf16": make_ledger(BASELINE_MS | {"matmul": 80.0}, step_ms=650.0, windows=32.0, absent="data"),
    }
    contenders = tuple(
        replace(
            contender,
            ledger=ledgers.get(contender.name),
            waterfall=make_waterfall() if contender.name == "amp_bf16" else None,
        )
        for contender in analysis.contenders
    )
    return replace(analysis, contenders=contenders, diagnosis=make_diagnosis(), roofline=make_roofline())


def unexplain(analysis: Analysis) -> Analysis:
    """Return the analysis without anything that explains it."""
    contenders = tuple(replace(contender, ledger=None, waterfall=None) for contender in analysis.contenders)
    return replace(analysis, contenders=contenders, diagnosis=None, roofline=None)
