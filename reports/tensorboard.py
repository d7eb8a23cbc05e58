"""The run for TensorBoard: curves by step and epoch, a hyperparameter table, the report's tables and figures.

`<contender>/` holds the first seed, `<contender>/seed1` and so on the others; `report/` the texts and images.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reports.answer import result_text
from reports.document import Block, Bullets, Paragraph
from reports.events import EventWriter
from reports.markdown import blocks
from reports.sections.overview import reason_lines, verdict_table
from reports.sections.setup import setting_table
from reports.sections.where_time_goes import phase_table
from reports.sections.work import work_table

if TYPE_CHECKING:
    from harness.analysis.model import Analysis, ContenderAnalysis
    from harness.records.store import LoadedRun, LoadedTrial
    from harness.statistics.estimate import Estimate


def write_tensorboard(folder: Path, analysis: Analysis, loaded: LoadedRun, images: Mapping[str, bytes]) -> None:
    """Write all event files to `folder`; what was there before is replaced, so no event is there twice."""
    try:
        started_s = datetime.fromisoformat(analysis.run.started).timestamp()
    except ValueError:
        started_s = 0.0
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        fresh = Path(temporary) / folder.name
        _write_report(fresh / "report", analysis, images, started_s)
        _write_jobs(fresh, analysis, loaded, started_s)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)


def _write_report(folder: Path, analysis: Analysis, images: Mapping[str, bytes], started_s: float) -> None:
    """Write the report's tables as texts, and its figures."""
    headline = Paragraph(kind="headline", text=result_text(analysis))
    texts: dict[str, tuple[Block, ...]] = {
        "1_result": (headline, *verdict_table(analysis), Bullets(items=tuple(reason_lines(analysis)))),
        "2_run": setting_table(analysis),
        "3_phases": phase_table(analysis),
        "4_work": work_table(analysis),
    }
    with closing(EventWriter(folder, started_s)) as writer:
        for name, content in texts.items():
            if content:
                writer.text(f"report/{name}", blocks(content))
        for name, png in images.items():
            writer.image(f"figures/{name}", png)


def _write_jobs(folder: Path, analysis: Analysis, loaded: LoadedRun, started_s: float) -> None:
    """Write the hyperparameter table, and the curves of each job."""
    measured = [contender for contender, _ in analysis.ran]
    parameters = _parameters(measured)
    with closing(EventWriter(folder, started_s)) as writer:
        titles = {tag: title for tag, (title, _) in _results(analysis, analysis.baseline_contender).items()}
        writer.experiment(list(parameters.values()), titles)
    jobs = [trial for trial in loaded.trials if trial.record.kind == "job" and trial.record.status == "done"]
    for contender in measured:
        mine = sorted((job for job in jobs if job.record.contender == contender.name), key=lambda job: job.record.seed)
        for number, job in enumerate(mine):
            base = folder / contender.name
            own = base / f"seed{job.record.seed}" if number else base
            with closing(EventWriter(own, started_s)) as writer:
                if number == 0:
                    done = contender.state == "measured"
                    writer.session(contender.name, parameters[contender.name], succeeded=done)
                    results = {tag: value for tag, (_, value) in _results(analysis, contender).items()}
                    writer.scalars(results, step=0)
                _write_curves(writer, job, started_s)


def _parameters(measured: Sequence[ContenderAnalysis]) -> dict[str, dict[str, bool | str]]:
    """Return each contender's row of the hyperparameter table: its strategies, and the knobs that differ."""
    strategies = dict.fromkeys(part for contender in measured for part in contender.parts)
    knobs = dict.fromkeys(name for contender in measured for name in contender.knobs)
    differing = [name for name in knobs if len({contender.knobs.get(name) for contender in measured}) > 1]
    return {
        contender.name: {name: name in contender.parts for name in strategies}
        | {name: contender.knobs.get(name, "–") for name in differing}
        for contender in measured
    }


def _results(analysis: Analysis, contender: ContenderAnalysis) -> dict[str, tuple[str, float | None]]:
    """Return what the hyperparameter table shows of a contender, by the scalar's tag: title and value."""
    scores = contender.scores
    return {
        "result/job_speedup": ("job speedup", _estimate(contender.job_speedup)),
        "result/step_speedup": ("step speedup", _estimate(contender.step_speedup)),
        **{
            f"result/{metric.name}": (
                f"{metric.title} (%)", scores[metric.name].contender if metric.name in scores else None
            )
            for metric in analysis.scoring.metrics
        },
        "result/peak_memory_gib": ("peak memory (GiB)", contender.peak_memory_gib),
    }  # fmt: skip


def _estimate(speedup: Estimate | None) -> float | None:
    return None if speedup is None else speedup.estimate


def _write_curves(writer: EventWriter, job: LoadedTrial, started_s: float) -> None:
    """Points carry the time at which they were, so that TensorBoard's relative axis shows training time."""
    sampling = job.record.sampling
    training_start_s = started_s if sampling is None else sampling.training_start_s
    now_s = training_start_s
    for step in job.steps:
        now_s += step.time_s
        values = {
            "train/loss": step.loss,
            "train/learning_rate": step.learning_rate,
            "train/gradient_norm": step.gradient_norm,
            "train/step_time_ms": step.time_s * 1000.0,
            "train/windows_per_s": step.windows / step.time_s if step.time_s > 0 else None,
        }
        writer.scalars(values, step.step, now_s)
    now_s = training_start_s
    for epoch in job.record.epochs:
        now_s += epoch.train_time_s + epoch.evaluation_time_s
        values = {"epoch/train_time_s": epoch.train_time_s, "epoch/train_loss": epoch.train_loss}
        values |= {f"validation/{name}": value for name, value in epoch.scores.items()}
        writer.scalars(values, epoch.epoch, now_s)
