"""The table of metrics: what is drawn together, and what NVML's bits say."""

from __future__ import annotations

import pytest

from harness.measurement.metrics import (
    METRICS,
    NOT_THROTTLING,
    REASON_NAMES,
    Metric,
    arrange_panels,
    decode_throttle_reasons,
)


def drawn(*names: str) -> list[tuple[str, list[str]]]:
    metrics = [metric for table in METRICS.values() for metric in table if metric.name in names]
    return [(panel.title, list(panel.lines.values())) for panel in arrange_panels(metrics)]


def test_names_are_told_apart_over_all_sources() -> None:
    names = [metric.name for table in METRICS.values() for metric in table]
    summaries = [summary.name for table in METRICS.values() for metric in table for summary in metric.summaries]
    assert len(set(names)) == len(names)
    assert len(set(summaries)) == len(summaries)


def test_a_unit_that_all_lines_share_stands_in_the_title() -> None:
    assert drawn("sm_clock_mhz", "memory_clock_mhz") == [("clocks (MHz)", ["SM", "memory"])]
    assert drawn("load_average_1min") == [("load average", ["1 minute"])]


def test_units_that_differ_stand_at_the_lines() -> None:
    assert drawn("process_cpu_percent", "system_cpu_percent") == [
        ("CPU", ["process (% of one core)", "everybody (% of all cores)"])
    ]
    assert drawn("process_cpu_percent") == [("CPU (% of one core)", ["process"])]


def test_panels_have_one_order_and_an_unknown_one_is_the_last() -> None:
    fans = Metric(name="fans_rpm", title="fans", unit="rpm", panel="cooling", read=lambda _: None)
    names = ("memory_used_gib", "power_w", "energy_j", "sm_clock_mhz", "gpu_utilisation_percent")
    metrics = [metric for metric in METRICS["nvml"] if metric.name in names]
    titles = [panel.title for panel in arrange_panels([fans, *metrics])]
    assert titles == ["utilisation (%)", "power (W)", "memory (GiB)", "clocks (MHz)", "cooling (rpm)"]


def test_throttle_reasons_are_decoded_into_words() -> None:
    assert decode_throttle_reasons(0x1 | 0x4 | 0x40 | 0x8000) == {
        "gpu_idle": False,
        "sw_power_cap": True,
        "hw_thermal_slowdown": True,
        "unknown_0x8000": True,
    }


def test_reasons_have_nvmls_bits() -> None:
    pynvml = pytest.importorskip("pynvml")
    for bit, name in REASON_NAMES.items():
        camel = "".join(part.capitalize() for part in name.split("_"))
        assert getattr(pynvml, f"nvmlClocksThrottleReason{camel}") == bit
    assert set(REASON_NAMES.values()) > NOT_THROTTLING
