"""The table at the end of a run."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from harness.analysis.model import Analysis
from reports.formatting import one_line
from reports.verdicts import HEADERS, result_sentence, spread_notes, unequal_work, verdict_rows

STYLES = {"FAILED": "red", "NOT_APPLICABLE": "dim", "not run": "dim", "measured, unequal work": "yellow"}

LONGEST_NAME = 32
"""Names up to here stay in one line, whatever the console's width."""


def print_table(analysis: Analysis, console: Console) -> None:
    """Print the same rows as the report's table of verdicts, with what one must know to read them."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows = verdict_rows(analysis)
    short = max(len(row.name) for row in rows) <= LONGEST_NAME
    for number, header in enumerate(HEADERS):
        no_wrap = number == 0 and short
        table.add_column(header, justify="left" if number < 2 else "right", overflow="fold", no_wrap=no_wrap)
    for row in rows:
        cells = (Text(cell) for cell in row.cells())
        table.add_row(*cells, style=STYLES.get(row.verdict, ""))
    console.print(table)
    console.print(f"[bold]{escape(result_sentence(analysis, str))}[/bold]")
    for name, differences in unequal_work(analysis):
        console.print(f"[yellow]Unequal work:[/yellow] {escape(name)} {escape('; '.join(differences))}")
    for contender in analysis.contenders:
        if contender.state != "measured":
            reasons = escape(one_line("; ".join(contender.reasons)))
            console.print(f"{escape(contender.name)}: {reasons}", highlight=False)
    for note in (*spread_notes(analysis)[1:], *analysis.notes):
        console.print(escape(note), style="dim", highlight=False)
