"""Epoch by epoch, beside the published reference where the task is its own, and the curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports import reference
from reports.document import Block, Picture, Section, Table, Text, contender_name, emphasis, paragraph, strong, table
from reports.formatting import NONE, NOT_MEASURED, decimal, duration, seconds

if TYPE_CHECKING:
    from harness.analysis.model import Analysis

PUBLISHED = {"train_time_s": "{:g} s", "train_loss": "{:.2f}", "em": "{:.1f}", "f1": "{:.2f}"}
"""How many digits were published."""


def section(analysis: Analysis) -> Section:
    """Return the table of epochs, with what stands beside it."""
    about = f" Each number is the mean over {analysis.seeds} seeds." if analysis.seeds > 1 else ""
    blocks: list[Block] = [paragraph(about.lstrip())] if about else []
    if reference.published_epochs(analysis.scoring):
        comparability = reference.comparability(analysis.run.config)
        blocks = [paragraph(f"Published reference: {reference.WHAT}. ", comparability, about)]
    nothing = (paragraph("No whole fine-tuning ended, so there are no epochs to show."),)
    return Section(title="Epoch by epoch", blocks=(*blocks, *(_epoch_table(analysis) or nothing)))


def _epoch_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return training time, loss and scores of every epoch, the contenders side by side."""
    contenders = [contender for contender, _ in analysis.ran]
    if not contenders:
        return ()
    epochs = [{epoch.epoch: epoch for epoch in contender.epochs} for contender in contenders]
    published = reference.published_epochs(analysis.scoring)
    rows: list[list[Text]] = []
    titles = {metric.name: metric.title for metric in analysis.scoring.metrics}
    for name, words in {"train_time_s": "training", "train_loss": "loss", **titles}.items():
        for number in sorted(set().union(*epochs)):
            beside = PUBLISHED[name].format(published[number - 1][name]) if number <= len(published) else NONE
            row: list[Text] = [f"{words}, epoch {number}", beside]
            for epoch in (by_number.get(number) for by_number in epochs):
                if epoch is None:
                    row.append(NONE)
                elif name == "train_time_s":
                    row.append(seconds(epoch.train_time_s))
                else:
                    value = epoch.train_loss if name == "train_loss" else epoch.scores.get(name)
                    row.append(NOT_MEASURED if value is None else decimal(value, 3 if name == "train_loss" else 1))
            rows.append(row)
        if name == "train_time_s":
            whole = f"{reference.TRAINING_S:g} s ({len(reference.EPOCHS)} epochs)"
            rows.append(["training, all epochs", whole, *(seconds(c.train_time_s) for c in contenders)])
    job = (strong(duration(contender.job_time_s)) for contender in contenders)
    rows.append([strong("whole job"), duration(reference.TOTAL_S), *job])
    rows.insert(0, ["Epoch", emphasis("published"), *(contender_name(contender.name) for contender in contenders)])
    if not published:
        rows = [[first, *others] for first, _, *others in rows]
    return table(rows[0], rows[1:])


def curves(analysis: Analysis) -> Section:
    """Return loss and scores as curves."""
    scoring = analysis.scoring
    beside = ", the published reference dashed" if reference.published_epochs(scoring) else ""
    return Section(
        title=f"Loss, {scoring.titles}",
        blocks=(
            Picture(name="epochs", caption=f"Training loss, {scoring.titles} by epoch{beside}"),
            Picture(name="wall_clock", caption=f"{scoring.headline_title} against the time since the start of the job"),
        ),
    )
