"""The table at the end of a run."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from harness.analysis.model import Analysis
from reports.formatting import NONE, NOT_MEASURED, full_stop
from reports.verdicts import VerdictRow, headers, reasons_words, result_sentence, spread_notes, verdict_rows

STYLES = {
    "ACCEPTED": "green",
    "REJECTED": "red",
    "FAILED": "red",
    "SLOWER": "yellow",
    "INCONCLUSIVE": "yellow",
    "INERT": "dim",
    "NOT_APPLICABLE": "dim",
    "not run": "dim",
}

NARROW_COLUMNS = 120
"""Columns below which ranges are left to the report."""

SHORT_HEADS = {"Job speedup": "Job", "Step speedup": "Step", "Peak memory": "Memory"}

LONGEST_NAME = 32
"""Names up to here stay in one line, whatever the console's width."""


def print_table(analysis: Analysis, console: Console) -> None:
    """Print the same rows as the report's table of verdicts, with what one must know to read them."""
    narrow = console.width < NARROW_COLUMNS
    rows = verdict_rows(analysis, ranges=not narrow)
    console.print(
        _make_table(rows, tuple(SHORT_HEADS.get(head, head) if narrow else head for head in headers(analysis)))
    )
    console.print(f"[bold]{escape(result_sentence(analysis, str))}[/bold]", highlight=False)
    for warning in analysis.warnings:
        console.print(f"[yellow]Careful:[/yellow] {escape(full_stop(warning))}", highlight=False)
    for contender in analysis.contenders:
        if contender.reasons:
            reasons = escape(reasons_words(contender))
            console.print(f"[bold]{escape(contender.name)}[/bold]: {reasons}", highlight=False)
    for note in (*spread_notes(analysis, ranges=not narrow)[1:], *_energy_note(rows), *analysis.notes):
        console.print(escape(full_stop(note)), style="dim", highlight=False)


def _make_table(rows: list[VerdictRow], headers: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    names_fit = max(len(row.name) for row in rows) <= LONGEST_NAME
    # A column that says nothing leaves the others too little room.
    shown = headers[:-1] if _energy_note(rows) else headers
    for number, header in enumerate(shown):
        whole = number == 1 or (number == 0 and names_fit)
        table.add_column(header, justify="left" if number < 2 else "right", overflow="fold", no_wrap=whole)
    for row in rows:
        cells = (Text(cell) for cell in row.cells()[: len(shown)])
        table.add_row(*cells, style=STYLES.get(row.verdict.removesuffix(" (peer)"), ""))
    return table


def _energy_note(rows: list[VerdictRow]) -> list[str]:
    if all(row.energy in (NOT_MEASURED, NONE) for row in rows):
        return ["Energy was not measured: the report says why."]
    return []
