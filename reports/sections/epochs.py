"""Epoch by epoch beside the published reference, and the curves."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.model import Analysis, ContenderAnalysis
from reports import reference
from reports.document import Picture, Section, Table, Text, contender_name, emphasis, paragraph, strong, table
from reports.formatting import NONE, NOT_MEASURED, decimal, duration, seconds
from reports.sections.select import measured_contenders

PUBLISHED = {"train_time_s": "{:g} s", "train_loss": "{:.2f}", "em": "{:.1f}", "f1": "{:.2f}"}
"""How many digits were published."""


def section(analysis: Analysis) -> Section:
    """Return the per-epoch table beside the published reference."""
    mean = f" Each number is the mean over {analysis.seeds} seeds." if analysis.seeds > 1 else ""
    comparability = reference.comparability(analysis.run.config)
    about = paragraph(f"Published reference: {reference.WHAT}. ", comparability, mean)
    nothing = (paragraph("No whole fine-tuning ended, so there are no epochs to show."),)
    return Section(title="Epoch by epoch", blocks=(about, *(_epoch_table(analysis) or nothing)))


def _epoch_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return training time, loss and scores of every epoch, the contenders side by side."""
    contenders = measured_contenders(analysis)
    if not contenders:
        return ()
    measures = {"train_time_s": "training", "train_loss": "loss"}
    measures |= {metric.name: metric.title for metric in analysis.scoring.metrics}
    epochs = reference.published_epochs(analysis.scoring)
    numbers = sorted({epoch.epoch for contender in contenders for epoch in contender.epochs})
    rows: list[Sequence[Text]] = [
        (f"{words}, epoch {number}", _published(epochs, number, name), *(_cell(c, number, name) for c in contenders))
        for name, words in measures.items()
        for number in numbers
    ]
    all_epochs = f"{reference.TRAINING_S:g} s ({len(reference.EPOCHS)} epochs)"
    rows.insert(len(numbers), ("training, all epochs", all_epochs, *(seconds(c.train_time_s) for c in contenders)))
    job = (strong(duration(contender.job_time_s)) for contender in contenders)
    rows.append((strong("whole job"), duration(reference.TOTAL_S), *job))
    headers = ("Epoch", emphasis("published"), *(contender_name(contender.name) for contender in contenders))
    return table(headers, rows)


def _published(epochs: Sequence[dict[str, float]], number: int, name: str) -> str:
    return PUBLISHED[name].format(epochs[number - 1][name]) if number <= len(epochs) else NONE


def _cell(contender: ContenderAnalysis, number: int, name: str) -> str:
    epoch = next((epoch for epoch in contender.epochs if epoch.epoch == number), None)
    if epoch is None:
        return NONE
    if name == "train_time_s":
        return seconds(epoch.train_time_s)
    value = epoch.train_loss if name == "train_loss" else epoch.scores.get(name)
    return NOT_MEASURED if value is None else decimal(value, 3 if name == "train_loss" else 1)


def curves(analysis: Analysis) -> Section:
    """Return loss and scores as curves."""
    scoring = analysis.scoring
    by_epoch = f"Training loss, {scoring.titles} by epoch"
    if reference.published_epochs(scoring):
        by_epoch += ", the published reference dashed"
    return Section(
        title=f"Loss, {scoring.titles}",
        blocks=(
            Picture(name="epochs", caption=by_epoch),
            Picture(name="wall_clock", caption=f"{scoring.headline_title} against the time since the start of the job"),
        ),
    )
