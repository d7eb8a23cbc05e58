"""What the report says of the machine's speed over the run, and of what the harness itself costs."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from harness.analysis.model import Analysis
from harness.records.files import write_json
from harness.records.machine import SpeedometerReading
from harness.records.store import TRIAL_FILE, read_record
from harness.records.trial import TrialRecord
from reports.figures.canvas import to_svg
from reports.figures.machine_speed import draw


def readings(start_s: float, speed: float) -> tuple[SpeedometerReading, ...]:
    return tuple(
        SpeedometerReading(
            when_s=1_700_000_000.0 + start_s + 20 * i,
            matmul_gflops=180.0 * speed * (1 + 0.02 * (i - 1)),
            memory_gb_per_s=22.0 * speed,
            took_s=0.05,
        )
        for i in range(3)
    )


@pytest.fixture
def analysis(make_run: Any, analysed: Any) -> Analysis:
    """A run whose last job was measured on a machine at half of its speed, and one that was measured again."""
    directory = make_run()
    for number, file in enumerate(sorted(directory.glob(f"trials/*/[01]/{TRIAL_FILE}"))):
        job = read_record(file, TrialRecord)
        if job.status != "done":
            continue
        slow, again = (job.contender, job.seed) == ("amp_bf16", 1), (job.contender, job.seed) == ("baseline", 1)
        first = replace(job, speedometer=readings(70.0 * number - 65.0, 0.6)) if again else None
        now = readings(70.0 * number, 0.54 if slow else 1.0)
        write_json(file, replace(job, recording_s=0.03, speedometer=now, superseded=first))
    found: Analysis = analysed(directory)
    return found


def test_the_report_says_which_jobs_were_left_out_and_which_measured_again(analysis: Analysis, render: Any) -> None:
    text = render(analysis)
    assert "a fixed matrix product ran at 54 % to 104 % of its usual 176 GFLOP/s" in text
    assert "| `amp_bf16` | 1 | – | 54 % | **left out** |" in text
    assert "| `baseline` | 1 | 60 % | 102 % | count |" in text
    assert "| `amp_bf16` | 0 |" not in text
    assert "The machine ran at 54% of its usual speed during its job with seed 1: its scores count" in text


def test_a_calm_run_has_its_trend_and_no_table_of_jobs(analysis: Analysis, render: Any) -> None:
    calm = replace(
        analysis.machine, jobs=tuple(replace(j, counts=True, first_share=None) for j in analysis.machine.jobs)
    )
    text = render(replace(analysis, machine=calm))
    assert "How fast the machine itself was, 21 readings over the run" in text
    assert "Machine's speed at first" not in text


def test_what_the_harness_costs_is_a_table(analysis: Analysis, render: Any) -> None:
    text = render(analysis)
    (row,) = (line for line in text.splitlines() if line.startswith("| recorder"))
    assert row.endswith("| in the step |")
    (row,) = (line for line in text.splitlines() if line.startswith("| sampler"))
    assert "| 0.4 % | 0.4 % (" in row
    assert "| speedometer" in text


def test_a_run_without_a_speedometer_has_neither_figure_nor_words(make_run: Any, analysed: Any, render: Any) -> None:
    analysis = analysed(make_run())
    assert draw(analysis) is None
    assert "How fast the machine was" not in render(analysis)


def test_the_trend_is_drawn_as_shares_with_the_threshold(analysis: Analysis, explained: ModuleType) -> None:
    figure = draw(analysis)
    (axis,) = figure.axes
    lines = {line.get_label(): line for line in axis.lines}
    assert min(lines["copy"].get_ydata()) == pytest.approx(54.0)
    assert max(lines["copy"].get_xdata()) > 3.0
    assert len([line for line in axis.lines if line.get_linestyle() == ":"]) == 2
    assert to_svg(figure) == to_svg(draw(analysis))
