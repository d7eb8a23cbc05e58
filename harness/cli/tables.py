"""Tables that `speedproof list` and `speedproof doctor` print."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from harness.cli.applicability import Applicability
from harness.cli.doctor import Finding


def strategies_table(rows: Sequence[Applicability]) -> Table:
    """Return one row per strategy."""
    table = Table("strategy", "what it does", "effect on the numbers", "applies here", title="strategies")
    for row in rows:
        effect = row.effect.lower().replace("_", " ") + (" (peer)" if row.is_peer else "")
        table.add_row(row.name, row.summary, effect, "yes" if row.reason is None else f"no: {row.reason}")
    return table


def doctor_table(findings: Sequence[Finding]) -> Table:
    """Return one row per finding."""
    table = Table("", "what", "found", "so", title="speedproof doctor")
    for finding in findings:
        table.add_row("✓" if finding.ok else "–", finding.what, finding.found, finding.consequence)
    return table
