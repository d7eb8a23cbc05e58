"""Everything that a run directory's reports are, built from its records alone; building again replaces them."""

from __future__ import annotations

from pathlib import Path

from harness.analysis.analyse import analyse
from harness.analysis.evidence.sampling import NO_SAMPLES, TrialSamples, read_trial_samples
from harness.analysis.model import Analysis, to_json
from harness.errors import RecordError
from harness.records.files import write_json, write_text_atomic
from harness.records.store import ANALYSIS_FILE, LoadedRun, load_run
from reports.figures.canvas import to_png, to_svg
from reports.figures.gallery import draw_figures
from reports.figures.speedups import draw_table_plots
from reports.html import to_html
from reports.markdown import FIGURE_FOLDER, to_markdown
from reports.report import compose_report
from reports.tensorboard import write_tensorboard

REPORT_FILE = "report.md"
PAGE_FILE = "report.html"
TENSORBOARD_FOLDER = "tensorboard"


def build_reports(run_directory: Path) -> Analysis:
    """Read a run and write `analysis.json`, `report.md`, `report.html`, `figures/` and `tensorboard/` into it.

    Unfinished runs and damaged trials give a report too; RecordError only if the run's head can't be read.
    """
    loaded = load_run(run_directory)
    analysis = analyse(loaded)
    write_json(run_directory / ANALYSIS_FILE, to_json(analysis))
    figures = draw_figures(analysis, baseline_samples(loaded, analysis))
    svgs = {name: to_svg(figure) for name, figure in (figures | draw_table_plots(analysis)).items()}
    for old in (run_directory / FIGURE_FOLDER).glob("*.svg"):
        if old.stem not in svgs:
            old.unlink()
    for name, svg in svgs.items():
        write_text_atomic(run_directory / FIGURE_FOLDER / f"{name}.svg", svg)
    report = compose_report(analysis, svgs)
    write_text_atomic(run_directory / REPORT_FILE, to_markdown(report))
    write_text_atomic(run_directory / PAGE_FILE, to_html(report, svgs))
    images = {name: to_png(figure) for name, figure in figures.items()}
    write_tensorboard(run_directory / TENSORBOARD_FOLDER, analysis, loaded, images)
    return analysis


def baseline_samples(loaded: LoadedRun, analysis: Analysis) -> TrialSamples:
    """Return the samples of the baseline's first job; none if it has none or they can't be read (a note says so)."""
    for trial in loaded.trials:
        record = trial.record
        if record.contender == analysis.baseline and record.kind == "job" and record.sampling is not None:
            try:
                return read_trial_samples(trial)
            except RecordError:
                break
    return NO_SAMPLES
