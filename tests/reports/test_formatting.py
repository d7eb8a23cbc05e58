"""Numbers and cells."""

from __future__ import annotations

import markdown
import pytest

from harness.analysis.statistics import Difference, Estimate
from reports import formatting


def difference(**changes: float | None) -> Difference:
    values = {"baseline": 18.0, "contender": 18.4, "difference": 0.4, "low": None, "high": None, "contender_low": None,
              "contender_high": None}  # fmt: skip
    return Difference(**(values | changes))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (formatting.signed(0.04), "0.0"),
        (formatting.signed(-0.26), "−0.3"),
        (formatting.signed(1.0), "+1.0"),
        (formatting.significant(0), "0"),
        (formatting.significant(1234.5), "1234"),
        (formatting.significant(0.0123456), "0.0123"),
        (formatting.seconds(0.0001), "<0.01 s"),
        (formatting.seconds(9.999), "10.0 s"),
        (formatting.seconds(336), "336 s"),
        (formatting.duration(336), "336 s (5 min 36 s)"),
        (formatting.duration(119.9), "120 s"),
        (formatting.times(16.66), "16.7×"),
        (formatting.percent(0), "0 %"),
        (formatting.percent(0.0001), "<0.1 %"),
        (formatting.percent(0.0312), "3.1 %"),
        (formatting.percent(-0.03), "−3.0 %"),
        (formatting.percent(0.447), "45 %"),
        (formatting.energy(812.3), "812 J"),
        (formatting.energy(12345.0), "12.3 kJ"),
        (formatting.speedup(Estimate(estimate=1.42, low=1.38, high=1.47)), "1.42× (1.38 to 1.47)"),
        (formatting.speedup(Estimate(estimate=1.42, low=1.38, high=1.47), ranges=False), "1.42×"),
        (formatting.quality(difference()), "18.4 (+0.4)"),
        (formatting.quality(difference(low=-0.2, high=1.0)), "18.4 (+0.4; −0.2 to +1.0)"),
        (formatting.quality(difference(contender_low=18.0, contender_high=18.8), alone=True), "18.4 (18.0 to 18.8)"),
        (formatting.quality(difference(baseline=None, difference=None)), "18.4"),
    ],
)
def test_numbers(text: str, wanted: str) -> None:
    assert text == wanted


@pytest.mark.parametrize(
    "text",
    [formatting.measured(None, "GiB"), formatting.seconds(None), formatting.duration(None), formatting.energy(None),
     formatting.speedup(None), formatting.quality(None)],
)  # fmt: skip
def test_what_was_not_measured_is_never_a_number(text: str) -> None:
    assert text == "not measured"


NASTY = "a|b `c` <d> [e](f) *g* __h__ ~~i~~ $j$ k\nl &amp; \\m _n_ snake_case"


def test_cells_show_foreign_text_as_it_is() -> None:
    rendered = markdown.markdown(
        formatting.table(("x", "y"), [[formatting.plain(NASTY), formatting.code(NASTY)]]), extensions=["tables"]
    )
    row = rendered.split("<tbody>")[1]
    assert row.count("<td") == 2
    for tag in ("<em>", "<strong>", "<a ", "<del>", "<d>"):
        assert tag not in row
    assert row.count("&lt;d&gt;") == 2
    assert "snake_case" in row
    assert row.count("<code>") == 1


def test_long_texts_are_cut_to_one_line() -> None:
    text = formatting.one_line("word\n" * 500)
    assert len(text) <= formatting.LONGEST_CELL
    assert text.endswith("…")
    assert formatting.full_stop(text) == text
    assert formatting.full_stop("done") == "done."
