"""Long series become few points, and a figure of them says so."""

from __future__ import annotations

from harness.analysis.evidence.sampling import TrialSamples
from harness.measurement.samples import Sample
from reports.figures.canvas import to_svg
from reports.figures.samples import draw_samples
from reports.thinning import thin


def test_thinning_takes_means_of_what_was_measured() -> None:
    assert thin([1.0, 3.0, None, 5.0, None, None], most=3) == [2.0, 5.0, None]
    assert thin([1.0, float("nan")], most=2) == [1.0, None]
    assert thin([], most=3) == []


def test_a_figure_of_a_long_job_is_no_larger_than_its_pixels_need_and_says_what_a_point_is() -> None:
    def figure_of(count: int) -> tuple[str, str]:
        samples = [Sample(timestamp_s=0.1 * at, values={"rss_gib": at % 7 / 10}) for at in range(count)]
        figure = draw_samples(TrialSamples(everything=samples, training=[samples], trained_s=1.0))
        assert figure is not None
        return figure.axes[-1].get_xlabel(), to_svg(figure)

    (short, _), (long, svg), (longer, larger) = (figure_of(count) for count in (900, 9_000, 36_000))
    assert "mean of" not in short
    assert long.endswith("each point the mean of 9 samples)")
    assert longer.endswith("each point the mean of 36 samples)")
    assert len(larger) < 1.1 * len(svg)
