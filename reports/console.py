"""The table at the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from reports.answer import result_sentence
from reports.formatting import NONE, NOT_MEASURED, full_stop
from reports.verdicts import noise_words, reasons_words, sampled_over, verdict_rows

if TYPE_CHECKING:
    from harness.analysis.model import Analysis

STYLES = {
    "ACCEPTED": "green",
    "REJECTED": "red",
    "FAILED": "red",
    "FASTER": "cyan",
    "SLOWER": "yellow",
    "UNCLEAR": "yellow",
    "NOT_MEASURED": "dim",
    "INERT": "dim",
    "NOT_APPLICABLE": "dim",
}

NARROW_COLUMNS = 120
"""Columns below which ranges are left to the report."""

SHORT_HEADS = {"Job speedup": "Job", "Step speedup": "Step", "Peak memory": "Memory"}

LONGEST_NAME = 32
"""Names up to here stay in one line, whatever the console's width."""


def print_table(analysis: Analysis, console: Console) -> None:
    """Print the report's table of verdicts but for quality in words, with what one must know to read it."""
    narrow = console.width < NARROW_COLUMNS
    rows = verdict_rows(analysis, ranges=not narrow)
    # A column that says nothing leaves the others too little room.
    with_energy = any(row["Energy"] not in (NOT_MEASURED, NONE) for row in rows)
    names_fit = max(len(row["Strategy"]) for row in rows) <= LONGEST_NAME
    shown = [head for head in rows[0] if head != "Quality" and (with_energy or head != "Energy")]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for head in shown:
        whole = head == "Verdict" or (head == "Strategy" and names_fit)
        justify: JustifyMethod = "left" if head in ("Strategy", "Verdict") else "right"
        words = SHORT_HEADS.get(head, head) if narrow else head
        table.add_column(words, justify=justify, overflow="fold", no_wrap=whole)
    for row in rows:
        style = STYLES.get(row["Verdict"].removesuffix(" (peer)"), "")
        table.add_row(*(Text(row[head]) for head in shown), style=style)
    console.print(table)
    console.print(f"[bold]{escape(result_sentence(analysis, str))}[/bold]", highlight=False)
    for warning in analysis.warnings:
        console.print(f"[yellow]Careful:[/yellow] {escape(full_stop(warning))}", highlight=False)
    for contender in analysis.contenders:
        if contender.reasons:
            reasons = escape(reasons_words(contender))
            console.print(f"[bold]{escape(contender.name)}[/bold]: {reasons}", highlight=False)
    brackets = (
        f"In brackets after a speedup: its 95 % interval. After {analysis.scoring.titles}: the difference to the "
        f"baseline in points, then its 95 % interval over {sampled_over(analysis)}."
    )
    notes = [noise_words(analysis), brackets]
    if narrow:
        notes[1:] = ["In brackets: the difference to the baseline in points. The intervals are in the report."]
    if not with_energy:
        notes.append("Energy was not measured: the report says why.")
    for note in (*notes, *analysis.notes):
        console.print(escape(full_stop(note)), style="dim", highlight=False)
