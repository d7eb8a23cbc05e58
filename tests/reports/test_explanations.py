"""Diagnosis, ledger, waterfall and roof: what the report says of them, and that it says where they are missing."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from harness.analysis.evidence.sampling import NO_SAMPLES
from harness.analysis.model import Analysis
from reports.document import Table, plain_text
from reports.figures.gallery import draw_figures
from reports.figures.ledger import draw_waterfall
from reports.sections.where_time_goes import ledger_table
from reports.select import best_explained


@pytest.fixture
def analysis(make_run: Any, analysed: Any, explained: ModuleType) -> Analysis:
    return explained.explain(analysed(make_run()))


def cells(table: Table) -> dict[str, list[str]]:
    """Return the cells of each row by the row's first cell."""
    rows = [[plain_text(cell) for cell in row] for row in table.rows]
    return {row[0]: row[1:] for row in rows}


def test_ledger_rows_and_residual_sum_up_to_the_step(explained: ModuleType) -> None:
    (table,) = ledger_table({"baseline": explained.make_ledger(explained.BASELINE_MS)})
    (column,) = zip(*cells(table).values(), strict=True)
    *parts, step = (float(text.replace("−", "-")) for text in column)
    assert sum(parts) == pytest.approx(step, abs=0.5)
    assert step == 520


def test_other_batch_sizes_are_scaled_to_the_baselines_windows(explained: ModuleType) -> None:
    ledgers = {"baseline": explained.make_ledger(explained.BASELINE_MS),
               "large": explained.make_ledger(explained.BASELINE_MS, windows=32.0, absent="data")}  # fmt: skip
    (table,) = ledger_table(ledgers)
    assert plain_text(table.headers[0]) == "ms per 16 windows"
    rows = cells(table)
    assert rows["matrix products"] == ["200", "100"]
    assert rows["step without the profiler"] == ["520", "260"]
    assert rows["data loading"] == ["4.00", "–"]
    assert rows["launch gaps, idle"] == ["70.0", "35.0"]


def test_an_unprofiled_step_that_was_not_measured_is_not_zero(explained: ModuleType) -> None:
    (table,) = ledger_table({"baseline": explained.make_ledger(explained.BASELINE_MS, step_ms=None)})
    assert cells(table)["residual"] == ["not measured"]
    assert cells(table)["step without the profiler"] == ["not measured"]


def test_the_waterfall_says_whose_it_is(analysis: Analysis, render: Any) -> None:
    assert "`amp_bf16`, the best accepted contender: a step of 520 ms becomes 325 ms" in render(analysis)
    undecided = replace(analysis, contenders=tuple(replace(c, verdict=None) for c in analysis.contenders))
    assert "`amp_bf16` is shown, the fastest contender with a ledger, as none is accepted:" in render(undecided)
    other = replace(analysis, contenders=tuple(
        replace(c, verdict="ACCEPTED" if "sdpa" in c.name else None) for c in analysis.contenders
    ))  # fmt: skip
    assert best_explained(other).name == "amp_bf16"
    assert "as fused\\_adamw" not in render(other)
    assert "as fused_adamw+sdpa, the best accepted one, has none:" in render(other)


def test_a_waterfall_that_would_mislead_is_not_drawn_and_the_reason_is_printed(analysis: Analysis, render: Any) -> None:
    why = "its profiled steps took 24% more than the timed ones of 325 ms, the profiler's own cost left out"

    def withhold(contender: Any) -> Any:
        if contender.name != "amp_bf16":
            return contender
        return replace(contender, waterfall=None, no_waterfall=why, ledger=replace(contender.ledger, unlike=why))

    withheld = replace(analysis, contenders=tuple(map(withhold, analysis.contenders)))
    assert draw_waterfall(withheld) is None
    assert draw_waterfall(analysis) is not None
    text = render(withheld)
    assert "No waterfall is drawn of:" in text
    assert text.count(f"`amp_bf16`: {why}.") == 2, "beside the ledger, and where the waterfall would be"
    assert "No waterfall is drawn of:" not in render(analysis)
    drawn = draw_figures(withheld, NO_SAMPLES)
    assert "ledger" in drawn
    assert "waterfall" not in drawn


def test_predictions_stand_beside_measurements(analysis: Analysis, render: Any) -> None:
    text = render(analysis)
    assert "| `amp_bf16` | padding waste | 1.25× | 1.600× (1.593 to 1.607) | **missed**: at most 1.25×" in text
    assert "| `fused_adamw` + `sdpa` | padding waste | 1.25× | 1.10× (1.08 to 1.12) | agrees |" in text
    assert "| `channels_last` | – | no gain | not measured | – |" in text


def test_findings_carry_their_bound(analysis: Analysis, render: Any) -> None:
    text = render(analysis)
    assert (
        "- **padding waste**: 26 % of the computed tokens are padding. Without it 20 % of the job would go away" in text
    )
    assert "addressed by `dynamic_padding`." in text
    assert "Without it 43 % of that job would go away at best, which would then be 1.25× as fast" in text


def test_the_roof(analysis: Analysis, render: Any) -> None:
    text = render(analysis)
    assert "1.83 TFLOP of useful arithmetic (65.1 MFLOP per useful token of training)" in text
    assert "no job here can be shorter than **1.31 s**" in text
    assert "the rate of large copies was not measured" in text
    assert "| `baseline` | 0.14 TFLOP/s | `float32` | 16 % | – | – |" in text


def test_what_was_not_explained_is_said_in_a_sentence(
    make_run: Any, analysed: Any, explained: ModuleType, render: Any
) -> None:
    text = render(explained.unexplain(analysed(make_run())))
    for sentence in (
        "There is no diagnosis",
        "There is no ledger",
        "There is no waterfall",
        "was not measured in this run",
    ):
        assert sentence in text


def test_figures_are_drawn_where_there_is_something(analysis: Analysis, explained: ModuleType) -> None:
    from harness.analysis.evidence.sampling import NO_SAMPLES

    nothing = NO_SAMPLES
    assert {"ledger", "waterfall", "roofline"} <= set(draw_figures(analysis, nothing))
    assert not {"ledger", "waterfall", "roofline"} & set(draw_figures(explained.unexplain(analysis), nothing))


def test_the_waterfall_ends_at_the_contender(analysis: Analysis) -> None:
    figure = draw_waterfall(analysis)
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in figure.axes[0].patches]
    assert bars[0][1] == pytest.approx(520.0)
    assert bars[-2][1] == pytest.approx(bars[-1][1])
