"""Numbers and cells."""

from __future__ import annotations

import pytest

from harness.analysis.evidence.quality import Difference
from harness.statistics import estimate
from harness.statistics.estimate import Estimate
from reports import formatting


def difference(**changes: float | None) -> Difference:
    values = {"baseline": 18.0, "contender": 18.4, "difference": 0.4, "low": None, "high": None, "contender_low": None,
              "contender_high": None}  # fmt: skip
    return Difference(**(values | changes))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (estimate.signed_words(0.04), "0.0"),
        (estimate.signed_words(-0.26), "−0.3"),
        (estimate.signed_words(1.0), "+1.0"),
        (formatting.significant(0), "0"),
        (formatting.significant(1234.5), "1234"),
        (formatting.significant(0.0123456), "0.0123"),
        (formatting.seconds(0.0001), "<0.01 s"),
        (formatting.seconds(9.999), "10.0 s"),
        (formatting.seconds(336), "336 s"),
        (formatting.duration(336), "336 s (5 min 36 s)"),
        (formatting.duration(119.9), "120 s"),
        (estimate.times_words(16.66), "16.7×"),
        (formatting.percent(0), "0 %"),
        (formatting.percent(0.0001), "<0.1 %"),
        (formatting.percent(0.0312), "3.1 %"),
        (formatting.percent(-0.03), "−3.0 %"),
        (formatting.percent(0.447), "45 %"),
        (formatting.energy(812.3), "812 J"),
        (formatting.energy(12345.0), "12.3 kJ"),
        (formatting.speedup(Estimate(estimate=1.42, low=1.38, high=1.47)), "1.42× (1.38 to 1.47)"),
        (formatting.speedup(Estimate(estimate=1.42, low=1.38, high=1.47), ranges=False), "1.42×"),
        (formatting.speedup(Estimate(estimate=1.3142, low=1.30, high=1.33)), "1.31× (1.30 to 1.33)"),
        (formatting.speedup(Estimate(estimate=1.3142, low=1.1, high=1.6)), "1.3× (1.1 to 1.6)"),
        (formatting.speedup(Estimate(estimate=1.3142, low=1.1, high=1.6), ranges=False), "1.3×"),
        (formatting.speedup(Estimate(estimate=12.34, low=9.1, high=17.2)), "12× (9 to 17)"),
        (formatting.speedup(Estimate(estimate=1.6, low=1.6, high=1.6)), "1.60× (1.60 to 1.60)"),
        (formatting.points(0.42, -3.4, 4.3), "+0.4 (−3.4 to +4.3)"),
        (formatting.milliseconds(389.4), "389"),
        (formatting.milliseconds(-4.0, sign=True), "−4.00"),
        (formatting.amount(2.664e14, "FLOP"), "266 TFLOP"),
        (formatting.memory(1.0), "1.00 GiB"),
        (formatting.memory(139.8), "139.8 GiB"),
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
    [
        formatting.milliseconds(None),
        formatting.memory(None),
        formatting.seconds(None),
        formatting.duration(None),
        formatting.energy(None),
        formatting.speedup(None),
        formatting.quality(None),
    ],
)
def test_what_was_not_measured_is_never_a_number(text: str) -> None:
    assert text == "not measured"


@pytest.mark.parametrize(
    ("low", "high", "digits"),
    [(1.30, 1.33, 2), (1.1, 1.6, 1), (1.04, 1.31, 2), (1.212, 1.216, 3), (1.00001, 1.00002, 3), (0.0, 40.0, 0)],
)
def test_digits_that_an_interval_supports(low: float, high: float, digits: int) -> None:
    assert estimate.supported_digits(low, high) == digits


def test_long_texts_are_cut_to_one_line() -> None:
    text = formatting.one_line("word\n" * 500)
    assert len(text) <= formatting.LONGEST_CELL
    assert text.endswith("…")
    assert formatting.full_stop(text) == text
    assert formatting.full_stop("done") == "done."
