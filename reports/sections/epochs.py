"""Epoch by epoch beside the published reference, and the curves."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from harness.analysis.model import Analysis, ContenderAnalysis
from reports import reference
from reports.document import Block, Section, Table, Text, contender_name, emphasis, figure, paragraph, strong, table
from reports.formatting import NONE, NOT_MEASURED, decimal, duration, seconds
from reports.sections.select import measured_contenders


def epochs_section(analysis: Analysis) -> Section:
    """Return the per-epoch table beside the published reference."""
    contenders = measured_contenders(analysis)
    about = paragraph(f"Published reference: {reference.WHAT}. ", _comparability(analysis), _mean_note(analysis))
    rows = epoch_table(analysis, contenders)
    nothing = (paragraph("No whole fine-tuning ended, so there are no epochs to show."),)
    return Section(title="Epoch by epoch", blocks=(about, *(rows or nothing)))


def _comparability(analysis: Analysis) -> Text:
    words = reference.comparability(analysis.run.config)
    if not words.startswith(reference.NOT_COMPARABLE):
        return words
    return (strong(reference.NOT_COMPARABLE), words.removeprefix(reference.NOT_COMPARABLE))


def _mean_note(analysis: Analysis) -> str:
    return f" Each number is the mean over {analysis.seeds} seeds." if analysis.seeds > 1 else ""


def epoch_table(analysis: Analysis, contenders: Sequence[ContenderAnalysis]) -> tuple[Table, ...]:
    """Return training time, loss and scores of every epoch, the contenders side by side."""
    numbers = sorted({epoch.epoch for contender in contenders for epoch in contender.epochs})
    if not contenders:
        return ()
    headers = ("Epoch", emphasis("published"), *(contender_name(contender.name) for contender in contenders))
    rows: list[Sequence[Text]] = []
    measures = [("train_time_s", "training"), ("train_loss", "loss")]
    for name, words in [*measures, *((metric.name, metric.title) for metric in analysis.scoring.metrics)]:
        rows += [
            (f"{words}, epoch {number}", _published(number, name), *(_cell(c, number, name) for c in contenders))
            for number in numbers
        ]
        if name == "train_time_s":
            rows.append(_all_epochs(contenders))
    rows.append(
        (strong("whole job"), duration(reference.TOTAL_S), *(strong(duration(c.job_time_s)) for c in contenders))
    )
    return table(headers, rows)


def _published(number: int, name: str) -> str:
    """Return the reference's value as it was published."""
    row = next((row for row in reference.EPOCHS if row[0] == number), None)
    if row is None or name not in reference.COLUMNS:
        return NONE
    formats = {"train_time_s": "{:g} s", "train_loss": "{:.2f}", "em": "{:.1f}", "f1": "{:.2f}"}
    return formats[name].format(row[reference.COLUMNS[name]])


def _cell(contender: ContenderAnalysis, number: int, name: str) -> str:
    epoch = next((epoch for epoch in contender.epochs if epoch.epoch == number), None)
    if epoch is None:
        return NONE
    value: float | None = epoch.scores.get(name) if name not in ("train_time_s", "train_loss") else getattr(epoch, name)
    if name == "train_time_s":
        return seconds(value)
    return NOT_MEASURED if value is None else decimal(value, 3 if name == "train_loss" else 1)


def _all_epochs(contenders: Sequence[ContenderAnalysis]) -> Sequence[Text]:
    published = f"{sum(row[1] for row in reference.EPOCHS):g} s ({len(reference.EPOCHS)} epochs)"
    return ("training, all epochs", published, *(seconds(contender.train_time_s) for contender in contenders))


def curves_section(analysis: Analysis, drawn: Container[str]) -> Section | None:
    """Return loss and scores as curves; None where none was drawn."""
    blocks = tuple(_curves(analysis, drawn))
    return Section(title=f"Loss, {analysis.scoring.titles}", blocks=blocks) if blocks else None


def _curves(analysis: Analysis, drawn: Container[str]) -> Iterator[Block]:
    scoring = analysis.scoring
    reference_words = ", the published reference dashed" if scoring.headline in reference.COLUMNS else ""
    yield from figure("epochs", f"Training loss, {scoring.titles} by epoch{reference_words}", drawn)
    yield from figure("wall_clock", f"{scoring.headline_title} against the time since the start of the job", drawn)
