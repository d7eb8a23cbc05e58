"""A metric that is added to the table, and nowhere else, is read, kept, summed up, drawn and said."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.measurement.host import HostReader
from harness.measurement.metrics import METRICS, Metric, Summary, mean
from harness.measurement.samples import Sample, read_samples_csv, write_samples_csv
from harness.records.store import load_run
from reports.build import baseline_samples
from reports.dashboard.series import samples
from reports.figures.gallery import draw_figures
from reports.sections import sampler

THREADS = Metric(
    name="threads_count",
    title="of the process",
    unit="threads",
    panel="parallel work",
    read=lambda host: host.process.num_threads(),
    number=int,
    summaries=(
        Summary(name="mean_threads", of=mean, says="{:.1f} threads on average"),
        Summary(name="max_threads", of=max, over_jobs=max),
    ),
)


@pytest.fixture
def watched_run(make_run: Any, recorded: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose sampler knew the metric; it read 4, 5, 4, 5 … threads."""
    monkeypatch.setitem(METRICS, "psutil", (*METRICS["psutil"], THREADS))
    run: Path = make_run(seeds=1)
    rows = [
        Sample(timestamp_s=row.timestamp_s, values=row.values | {THREADS.name: 4 + number % 2})
        for number, row in enumerate(recorded.make_samples(gpu=False))
    ]
    write_samples_csv(run / "trials/baseline/0/host.csv", rows)
    return run


def test_it_is_read_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(METRICS, "psutil", (*METRICS["psutil"], THREADS))
    taken = HostReader().read()
    write_samples_csv(tmp_path / "host.csv", [taken])
    assert read_samples_csv(tmp_path / "host.csv") == [taken]
    assert type(taken[THREADS.name]) is int
    assert (tmp_path / "host.csv").read_text(encoding="utf-8").splitlines()[0].endswith(f",{THREADS.name}")


def test_it_is_summed_up_drawn_and_said(watched_run: Path, analysed: Any) -> None:
    analysis = analysed(watched_run)
    values = analysis.baseline_contender.evidence.sampling.values
    assert (values["mean_threads"], values["max_threads"]) == (pytest.approx(4.5, abs=0.03), 5.0)
    figure = draw_figures(analysis, baseline_samples(load_run(watched_run), analysis))["samples"]
    assert figure.axes[-1].get_ylabel() == "parallel work (threads)"
    assert "4.5 threads on average" in str(sampler.section(analysis))
    seen = samples(watched_run, "baseline", "0")
    assert seen["panels"][-1] == {"title": "Parallel work (threads)", "lines": {THREADS.name: "of the process"}}
    assert seen["series"][THREADS.name][:3] == [4, 5, 4]


def test_runs_from_before_it_are_read_and_it_is_null(watched_run: Path, analysed: Any) -> None:
    other = next(c for c in analysed(watched_run).contenders if c.name == "amp_bf16")
    assert other.evidence.sampling.values["max_rss_gib"] is not None
    assert (other.evidence.sampling.values["mean_threads"], other.evidence.sampling.values["max_threads"]) == (
        None,
        None,
    )
    assert THREADS.name not in samples(watched_run, "amp_bf16", "0")["series"]


def test_a_run_that_has_it_is_read_by_a_version_without(
    watched_run: Path, analysed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    analysis = analysed(watched_run)
    assert analysis.baseline_contender.evidence.sampling.samples == 21
    assert "mean_threads" not in analysis.baseline_contender.evidence.sampling.values
    figure = draw_figures(analysis, baseline_samples(load_run(watched_run), analysis))["samples"]
    assert figure.axes[-1].get_ylabel() == "load average"
    assert samples(watched_run, "baseline", "0")["panels"][-1]["lines"] == {THREADS.name: THREADS.name}
