"""Rules fire above their thresholds, are silent below, say their numbers, and bound what can be saved."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from harness import registry
from harness.analysis.advice.diagnosis import find
from harness.analysis.advice.facts import Facts, OneTimeCost
from harness.analysis.advice.gathering import achieved_tflops, fast_dtypes
from harness.analysis.advice.predictions import diagnose
from harness.analysis.advice.rule import RULES
from harness.analysis.trace.model import CATEGORY_WORDS, KernelLine, Ledger, LedgerRow, StepPart
from harness.records.machine import RoofRecord
from harness.records.strategy import BOTTLENECKS, StrategyRecord
from harness.records.trial import Settings

SHARES = {"matmul": 0.6, "attention": 0.03, "elementwise": 0.08, "loss": 0.01, "optimizer": 0.04, "copies": 0.04}
"""A healthy step: nothing of it is worth a finding. What is missing is "other"."""

PHASES_S = {"imports": 5.0, "warm_up": 1.0, "training": 80.0, "evaluation": 10.0, "span_search": 2.0, "saving": 2.0}
"""A healthy job of 100 s."""


SETTINGS = {field.name for field in fields(Settings)}


def make_ledger(shares: dict[str, float] | None = None, **changes: Any) -> Ledger:
    """Return the ledger of a step of 100 ms in which each category has so many operations as its name has letters."""
    shares = SHARES | (shares or {})
    shares = {"other": 1.0 - sum(shares.values())} | shares
    rows = tuple(
        LedgerRow(
            category=category,
            profiled_ms=100.0 * shares.get(category, 0.0),
            time_ms=100.0 * shares.get(category, 0.0),
            share=shares.get(category, 0.0),
            events=float(len(category)),
        )
        for category in CATEGORY_WORDS
    )
    values: dict[str, Any] = {
        "time_kind": "cpu",
        "steps": 2,
        "windows_per_step": 16.0,
        "profiled_step_ms": 100.0,
        "unprofiled_step_ms": 100.0,
        "rows": rows,
        "residual_ms": 0.0,
        "parts": (StepPart(name="optimizer", profiled_ms=100.0 * shares["optimizer"], share=shares["optimizer"]),),
        "kernels": (make_kernel("aten::addmm", "matmul", calls=120, time_ms=60.0),),
        "host_ms": None,
    }
    return Ledger(**values | changes)


def make_kernel(name: str, category: Any, *, calls: float, time_ms: float) -> KernelLine:
    """Return a line of a step of 100 ms."""
    return KernelLine(
        name=name, category=category, calls_per_step=calls, time_ms_per_step=time_ms, share=time_ms / 100.0
    )


def make_facts(shares: dict[str, float] | None = None, **changes: Any) -> Facts:
    """Return the facts of a healthy configuration, but for what is given."""
    ledger = changes.pop("ledger", None) or make_ledger(shares)
    settings = Settings(**{name: changes.pop(name) for name in SETTINGS & set(changes)})
    known = {"phases_s": PHASES_S, "ledger": ledger, "settings": settings, "catalogue": registry.catalogue()}
    return Facts(**known | changes)


RATES = {"float32": 0.2, "bfloat16": 0.8}


def cost(**changes):
    values = {
        "contender": "compile",
        "extra_s": 30.0,
        "contender_s": 120.0,
        "baseline_s": 100.0,
        "saved_per_step_s": 0.01,
        "break_even_steps": 3000.0,
        "steps": 315.0,
    }
    return OneTimeCost(**values | changes)


def small_kernels(time_ms):
    kernels = (
        make_kernel("aten::addmm", "matmul", calls=100, time_ms=100.0 - time_ms),
        make_kernel("aten::add", "elementwise", calls=2000, time_ms=time_ms),
    )
    return make_ledger(kernels=kernels)


# rule, facts above its threshold, facts below, numbers in its sentence, share of the job
CASES = [
    (
        "evaluation",
        {"phases_s": {"training": 60.0, "evaluation": 10.0, "span_search": 25.0, "scoring": 5.0}},
        {"phases_s": {"training": 81.0, "evaluation": 10.0, "span_search": 5.0, "scoring": 4.0}},
        ("40.0 s", "100.0 s job", "40%", "training 60.0 s", "10.0 s are forward", "30.0 s span search"),
        0.4,
    ),
    (
        "start_up",
        {"phases_s": {"imports": 20.0, "load_model": 5.0, "training": 75.0}},
        {"phases_s": {"imports": 14.0, "load_model": 5.0, "training": 81.0}},
        ("25.0 s", "100.0 s job", "25%", "imports with 20.0 s"),
        0.25,
    ),
    (
        "warm_up",
        {"phases_s": {"warm_up": 30.0, "training": 70.0}, "compiles": True},
        {"phases_s": {"warm_up": 30.0, "training": 70.0}, "compiles": False},
        ("30.0 s", "30%"),
        0.3,
    ),
    (
        "compile_not_amortised",
        {"one_time_costs": (cost(),)},
        {"one_time_costs": (cost(break_even_steps=300.0),)},
        ("compile costs 30.0 s", "10.0 ms per step", "3,000 steps", "the job has 315"),
        0.25,
    ),
    (
        "padding_waste",
        {"computed_per_useful": 2.0},
        {"computed_per_useful": 1.14},
        ("50%", "2.00 computed"),
        # training: half of all but attention, optimizer; ¾ of attention. evaluation: the same, its shares ÷ 0.95
        0.8 * (0.5 * 0.93 + 0.75 * 0.03) + 0.1 * (0.5 * 0.92 + 0.75 * 0.03) / 0.95,
    ),
    (
        "spare_memory",
        {"shares": {"optimizer": 0.08}, "peak_memory_gib": 8.0, "memory_gib": 80.0},
        {"shares": {"optimizer": 0.08}, "peak_memory_gib": 41.0, "memory_gib": 80.0},
        ("8.0 of 80.0 GiB", "10%", "8% of a step"),
        0.8 * 0.08,
    ),
    (
        "allocator_retries",
        {"shares": {"idle": 0.05}, "allocator_retries": 3},
        {"shares": {"idle": 0.05}, "allocator_retries": 0},
        ("3 times",),
        0.8 * 0.05,
    ),
    (
        "fp32_products",
        {"forward_dtype": "float32", "fast_dtypes": ("bfloat16",), "matmul_tflops": RATES},
        {"forward_dtype": "bfloat16", "fast_dtypes": ("bfloat16",), "matmul_tflops": RATES},
        ("60.0 ms", "60%", "0.8 TFLOP/s", "0.2"),
        0.75 * (0.8 * 0.63 + 0.1 * 0.63 / 0.95),
    ),
    (
        "fp32_traffic",
        {"shares": {"elementwise": 0.2}, "forward_dtype": "tf32", "fast_dtypes": ("bfloat16", "tf32")},
        {"shares": {"elementwise": 0.2}, "forward_dtype": "float32", "fast_dtypes": ("tf32",)},
        ("24% of a step",),
        0.5 * (0.8 * 0.24 + 0.1 * 0.23 / 0.95),
    ),
    (
        "slow_products",
        {"forward_dtype": "float32", "matmul_tflops": RATES, "achieved_tflops": 0.05},
        {"forward_dtype": "float32", "matmul_tflops": RATES, "achieved_tflops": 0.15},
        ("0.05 TFLOP/s", "25% of the 0.2 that", "float32"),
        0.75 * (0.8 * 0.6 + 0.1 * 0.6 / 0.95),
    ),
    (
        "eager_attention",
        {"shares": {"attention": 0.1}, "attention": "eager"},
        {"shares": {"attention": 0.1}, "attention": "sdpa"},
        ("10.0 ms", "10%"),
        0.8 * 0.1 + 0.1 * 0.1 / 0.95,
    ),
    (
        "elementwise",
        {"shares": {"elementwise": 0.2}},
        {"shares": {"elementwise": 0.09}},
        ("20.0 ms", "20%", "11 operations"),
        0.8 * 0.2 + 0.1 * 0.2 / 0.95,
    ),
    (
        "optimizer",
        {"shares": {"optimizer": 0.12}, "fused_optimizer": False},
        {"shares": {"optimizer": 0.049}, "fused_optimizer": False},
        ("12.0 ms", "12%", "9 operations", "one parameter after the other"),
        0.8 * 0.12,
    ),
    ("loader", {"shares": {"data": 0.06}}, {"shares": {"data": 0.049}}, ("6.0 ms", "6%"), 0.8 * 0.06),
    (
        "launch_bound",
        {"ledger": make_ledger({"idle": 0.15}, time_kind="device", host_ms=70.0)},
        {"ledger": make_ledger({"idle": 0.09}, time_kind="device", host_ms=70.0)},
        ("no kernel runs for 15.0 ms", "15%", "host spends 70.0 ms"),
        0.8 * 0.15,
    ),
    (
        "copies",
        {"shares": {"copies": 0.08}},
        {"shares": {"copies": 0.04}},
        ("8.0 ms", "8%", "6 of them"),
        0.8 * 0.08 + 0.1 * 0.08 / 0.95,
    ),
    (
        "small_kernels",
        {"ledger": small_kernels(10.0)},
        {"ledger": small_kernels(4.0)},
        ("2000 of 2100", "10 µs", "10% of their time"),
        # all element-wise operators are small ones
        0.8 * 0.08 + 0.1 * 0.08 / 0.95,
    ),
]


def found(facts, rule):
    return next((finding for finding, _ in find(facts) if finding.rule == rule), None)


def test_every_rule_has_a_case():
    assert sorted(case[0] for case in CASES) == sorted(RULES)


@pytest.mark.parametrize(("rule", "above", "below", "numbers", "share"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_fires_above_its_threshold_and_says_its_numbers(rule, above, below, numbers, share):
    finding = found(make_facts(**above), rule)
    assert finding is not None
    for number in numbers:
        assert number in finding.sentence
    assert finding.share == pytest.approx(share)
    if rule != "compile_not_amortised":
        assert finding.job_speedup_bound == pytest.approx(1.0 / (1.0 - share))
    assert finding.strategies
    assert found(make_facts(**below), rule) is None


def test_a_healthy_configuration_has_no_findings():
    facts = make_facts(computed_per_useful=1.1, attention="sdpa", fused_optimizer=True, forward_dtype="bfloat16")
    assert find(facts) == []


def test_findings_come_largest_share_first():
    facts = make_facts({"optimizer": 0.1, "data": 0.12}, computed_per_useful=2.0)
    findings = diagnose(facts, []).findings
    assert [finding.rule for finding in findings] == ["padding_waste", "loader", "optimizer"]


def test_without_a_profile_phases_and_padding_are_still_diagnosed():
    facts = make_facts(phases_s={"imports": 50.0, "training": 50.0}, computed_per_useful=2.0)
    assert [finding.rule for finding, _ in find(facts)] == ["start_up", "padding_waste"]


def test_without_a_job_there_is_no_diagnosis():
    assert diagnose(make_facts(phases_s={}), []) is None


def test_nothing_is_predicted_of_peers(make_run, analysed):
    ours = analysed(make_run(seeds=1)).contenders[1]
    peer = replace(ours, name="hf_trainer", strategies=tuple(replace(part, is_peer=True) for part in ours.strategies))
    assert [made.contender for made in diagnose(make_facts(), [peer, ours]).predictions] == [ours.name]


def test_a_compiler_that_is_paid_back_only_with_its_cold_start_bounds_the_contenders_job():
    finding = found(make_facts(one_time_costs=(cost(),)), "compile_not_amortised")
    assert finding.job_speedup_bound == pytest.approx(100.0 / 90.0)
    never = found(make_facts(one_time_costs=(cost(break_even_steps=None, saved_per_step_s=-0.002),)), finding.rule)
    assert "saves -2.0 ms per step: it is never paid back" in never.sentence


def test_gaps_between_the_optimizers_kernels_count_as_the_optimizers():
    part = StepPart(name="optimizer", profiled_ms=16.0, share=0.16)
    facts = make_facts(ledger=make_ledger({"optimizer": 0.06, "idle": 0.2}, time_kind="device", parts=(part,)))
    assert found(facts, "optimizer").share == pytest.approx(0.8 * 0.16)


def test_unmeasured_rates_leave_the_whole_row_as_the_bound():
    facts = make_facts(forward_dtype="float32", device="cuda", fast_dtypes=("bfloat16", "float16", "tf32"))
    finding = found(facts, "fp32_products")
    assert "not measured" in finding.sentence
    assert finding.share == pytest.approx(0.8 * 0.63 + 0.1 * 0.63 / 0.95)
    assert finding.strategies == ("amp_bf16", "bf16_weights", "amp_fp16", "tf32")


@pytest.mark.parametrize(("device", "other"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_what_works_on_another_kind_of_device_is_never_advised(device, other):
    findings = [finding for finding, _ in find(make_facts({"idle": 0.12, "data": 0.07}, device=device))]
    advised = {name for finding in findings for name in finding.strategies}
    only = {kind: {one.name for one in registry.catalogue() if one.devices == (kind,)} for kind in (device, other)}
    assert advised & only[device]
    assert not advised & only[other]


def test_all_that_a_rule_asks_for_is_a_bottleneck_and_all_bottlenecks_are_asked_for():
    asked = set()
    for rule, above, *_ in CASES:
        for fused in (False, True):
            types = ("bfloat16", "float16", *(["tf32"] if rule == "fp32_products" else []))
            values = {"fused_optimizer": fused, "fast_dtypes": types}
            asked.update(RULES[rule](make_facts(**above | values)).bottlenecks or (rule,))
    assert asked == set(BOTTLENECKS)


def test_the_most_direct_come_first_and_each_once():
    def one(name, *addresses):
        return StrategyRecord(name=name, summary="", effect="SAME_MATH", addresses=addresses)

    catalogue = (one("larger", "launch_bound"), one("both", "launch_bound", "small_kernels"), one("graph", "copies"))
    assert found(make_facts({"idle": 0.2}, catalogue=catalogue), "launch_bound").strategies == ("both", "larger")
    peer = replace(catalogue[0], is_peer=True)
    assert found(make_facts({"idle": 0.2}, catalogue=(peer,)), "launch_bound").strategies == ()


def test_a_fused_optimizer_is_not_advised_again():
    finding = found(make_facts({"optimizer": 0.2}, fused_optimizer=True), "optimizer")
    assert "fused_adamw" not in finding.strategies
    assert "one parameter" not in finding.sentence


@pytest.mark.parametrize(
    ("capability", "dtypes"),
    [("9.0", ("bfloat16", "float16", "tf32")), ("7.5", ("float16",)), ("6.1", ()), (None, ())],
)
def test_fast_types_follow_the_gpus_generation(capability, dtypes):
    gpu = None if capability is None else {"compute_capability": capability}
    assert fast_dtypes({"device": "cuda:0", "gpu": gpu}, None) == dtypes


def test_measured_rates_decide_which_types_are_fast():
    roof = RoofRecord(
        matmul_tflops={"float32": 0.2, "bfloat16": 0.1, "float16": 0.3},
        copy_gb_per_s=None,
        device_name="cpu",
        threads=2,
        shapes={},
        took_s=1.0,
    )
    assert fast_dtypes({"device": "cpu"}, roof) == ("float16",)
    assert fast_dtypes({"device": "cpu", "gpu": None}, None) == ()


def test_the_rate_of_products_counts_linear_maps_only():
    sizes = {"layers": 2, "hidden_size": 10, "intermediate_size": 20}
    # (2 × (4·100 + 2·200) + 2·10) weights × 6 FLOP × 1e6 tokens in 60 ms
    assert achieved_tflops(make_ledger(), sizes, 1e6) == pytest.approx(1620 * 6e6 / 0.060 / 1e12)
    assert achieved_tflops(make_ledger(), {}, 1e6) is None
    assert achieved_tflops(None, sizes, 1e6) is None
