"""The run for TensorBoard: curves by step and epoch, a hyperparameter table, the report's tables and figures.

`<contender>/` holds the first seed, `<contender>/seed1` and so on the others; `report/` the texts and images.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from harness.analysis.model import Analysis, ContenderAnalysis
from harness.records.store import LoadedRun, LoadedTrial
from harness.records.trial import TrialRecord
from harness.statistics.estimate import Estimate
from reports.document import Block, Bullets, Headline
from reports.events import EventWriter
from reports.markdown import blocks
from reports.sections.overview import reason_lines, verdict_table
from reports.sections.select import measured_contenders
from reports.sections.setup import setting_table
from reports.sections.where_time_goes import phase_table
from reports.sections.work import work_table
from reports.verdicts import result_text


def session_metrics(analysis: Analysis) -> dict[str, str]:
    """Return the scalars of a contender's first run that the hyperparameter table shows, with their titles."""
    return {
        "result/job_speedup": "job speedup",
        "result/step_speedup": "step speedup",
        **{f"result/{metric.name}": f"{metric.title} (%)" for metric in analysis.scoring.metrics},
        "result/peak_memory_gib": "peak memory (GiB)",
    }


def write_tensorboard(folder: Path, analysis: Analysis, loaded: LoadedRun, images: Mapping[str, bytes]) -> None:
    """Write all event files to `folder`; what was there before is replaced, so no event is there twice."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        fresh.chmod(0o755)
        _write_all(fresh, analysis, loaded, images)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _write_all(folder: Path, analysis: Analysis, loaded: LoadedRun, images: Mapping[str, bytes]) -> None:
    started_s = _epoch_seconds(analysis.run.started)
    measured = measured_contenders(analysis)
    parameters = {contender.name: session_parameters(measured, contender) for contender in measured}
    with EventWriter(folder, started_s) as writer:
        writer.experiment(_domains(list(parameters.values())), session_metrics(analysis))
    with EventWriter(folder / "report", started_s) as writer:
        for tag, text in _texts(analysis).items():
            writer.text(tag, text)
        for name, png in images.items():
            writer.image(f"figures/{name}", png, *_png_size(png))
    jobs = [trial for trial in loaded.trials if trial.record.kind == "job" and trial.record.status == "done"]
    for contender in measured:
        mine = sorted((job for job in jobs if job.record.contender == contender.name), key=lambda job: job.record.seed)
        for number, job in enumerate(mine):
            with EventWriter(_run_folder(folder, contender, number, job.record), started_s) as writer:
                if number == 0:
                    _write_session(writer, analysis, contender, parameters[contender.name])
                _write_steps(writer, job, started_s)
                _write_epochs(writer, job, started_s)


def _run_folder(folder: Path, contender: ContenderAnalysis, number: int, job: TrialRecord) -> Path:
    base = folder / contender.name
    return base if number == 0 else base / f"seed{job.seed}"


def _epoch_seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def session_parameters(measured: list[ContenderAnalysis], contender: ContenderAnalysis) -> dict[str, bool | str]:
    """Return a contender's row of the hyperparameter table: its strategies, and the knobs that differ."""
    strategies = list(dict.fromkeys(part for other in measured for part in other.parts))
    knobs = list(dict.fromkeys(name for other in measured for name in other.knobs))
    row: dict[str, bool | str] = {name: name in contender.parts for name in strategies}
    for name in knobs:
        if len({other.knobs.get(name) for other in measured}) > 1:
            row[name] = contender.knobs.get(name, "–")
    return row


def _domains(rows: list[dict[str, bool | str]]) -> dict[str, list[bool] | list[str]]:
    domains: dict[str, list[bool] | list[str]] = {}
    for name, value in (item for row in rows for item in row.items()):
        if isinstance(value, bool):
            domains[name] = [True, False]
        else:
            texts = [str(row[name]) for row in rows if name in row]
            domains[name] = list(dict.fromkeys(texts))
    return domains


def _write_session(
    writer: EventWriter, analysis: Analysis, contender: ContenderAnalysis, parameters: dict[str, bool | str]
) -> None:
    writer.session(contender.name, parameters, succeeded=contender.state == "measured")
    values = (
        _estimate(contender.job_speedup),
        _estimate(contender.step_speedup),
        *(
            contender.scores[metric.name].contender if metric.name in contender.scores else None
            for metric in analysis.scoring.metrics
        ),
        contender.peak_memory_gib,
    )
    writer.scalars(dict(zip(session_metrics(analysis), values, strict=True)), step=0)


def _estimate(speedup: Estimate | None) -> float | None:
    return None if speedup is None else speedup.estimate


def _write_steps(writer: EventWriter, job: LoadedTrial, started_s: float) -> None:
    """Points carry the time at which they were, so that TensorBoard's relative axis shows training time."""
    sampling = job.record.sampling
    now_s = started_s if sampling is None else sampling.training_start_s
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


def _write_epochs(writer: EventWriter, job: LoadedTrial, started_s: float) -> None:
    sampling = job.record.sampling
    now_s = started_s if sampling is None else sampling.training_start_s
    for epoch in job.record.epochs:
        now_s += epoch.train_time_s + epoch.evaluation_time_s
        values = {
            "epoch/train_time_s": epoch.train_time_s,
            "epoch/train_loss": epoch.train_loss,
            **{f"validation/{name}": value for name, value in epoch.scores.items()},
        }
        writer.scalars(values, epoch.epoch, now_s)


def _texts(analysis: Analysis) -> dict[str, str]:
    contenders = measured_contenders(analysis)
    reasons = Bullets(items=tuple(reason_lines(analysis)))
    texts: dict[str, tuple[Block, ...]] = {
        "report/1_result": (Headline(text=result_text(analysis)), *verdict_table(analysis), reasons),
        "report/2_run": setting_table(analysis),
        "report/3_phases": phase_table(contenders),
        "report/4_work": work_table(contenders),
    }
    return {tag: blocks(content) for tag, content in texts.items() if content}


def _png_size(png: bytes) -> tuple[int, int]:
    """Width and height stand in the first chunk of a PNG."""
    width, height = struct.unpack(">II", png[16:24])
    return int(width), int(height)
