"""What `speedproof profile` and `harness.profile(show=True)` print: the ledger of a step, and the findings in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.analysis.trace.model import CATEGORY_WORDS, Ledger

if TYPE_CHECKING:
    from harness.analysis.advice.advice import Advice

NOT_MEASURED = "not measured"

LEAST_PHASE_SHARE = 0.01
"""Shorter phases are not named."""


def print_advice(advice: Advice, directory: Path, console: Console) -> None:
    """Print phases, ledger, findings with their bounds, and where the trace is."""
    total_s = sum(advice.phases_s.values())
    if len(advice.phases_s) == 1:
        phases = f"a step of {total_s * 1000:.1f} ms"
    else:
        longest = sorted(advice.phases_s.items(), key=lambda item: -item[1])
        named = [(name.replace("_", " "), time_s / total_s) for name, time_s in longest]
        parts = [f"{name} {share:.0%}" for name, share in named if share >= LEAST_PHASE_SHARE]
        phases = f"a job of {total_s:.1f} s: {', '.join(parts)}"
    console.print(f"[bold]{escape(advice.subject)}[/bold]: {phases}", highlight=False)
    if advice.ledger is None:
        console.print("The step was not profiled: there is no ledger.", style="yellow")
    else:
        console.print(ledger_table(advice.ledger))
    console.print("[bold]What holds it back[/bold]" if advice.findings else "Nothing stands out.")
    for number, finding in enumerate(advice.findings, start=1):
        strategies = f" Try: {', '.join(finding.strategies)}." if finding.strategies else ""
        bound = f"{finding.rule.replace('_', ' ')}, at most {finding.job_speedup_bound:.2f}× faster without it."
        text = f"{number}. {bound} {capitalised(finding.sentence)}.{strategies}"
        console.print(escape(text), highlight=False)
    for note in (*advice.notes, *(advice.ledger.notes if advice.ledger else ())):
        console.print(f"{escape(capitalised(note))}.", style="dim", highlight=False)
    if advice.trace_file is not None:
        console.print(f"trace: {directory / advice.trace_file}", highlight=False, soft_wrap=True)


def ledger_table(ledger: Ledger) -> Table:
    """Return one row per category that occurs, then what they leave unexplained and the whole step."""
    whose = "device" if ledger.time_kind == "device" else "processor"
    table = Table(f"Part of a step ({whose} time)", box=box.SIMPLE_HEAD, pad_edge=False)
    for header in ("Time", "Share", "Operations"):
        table.add_column(header, justify="right")
    for row in ledger.rows:
        if row.events > 0 or row.time_ms > 0:
            table.add_row(CATEGORY_WORDS[row.category], _ms(row.time_ms), f"{row.share:.1%}", f"{row.events:.0f}")
    table.add_section()
    table.add_row("unexplained", _ms(ledger.residual_ms), "", "")
    table.add_row("a step, not profiled", _ms(ledger.unprofiled_step_ms), "", "")
    table.add_row(f"a step, profiled (mean of {ledger.steps})", _ms(ledger.profiled_step_ms), "", "")
    return table


def capitalised(sentence: str) -> str:
    """Return a sentence with its first letter large, and the others as they are."""
    return sentence[:1].upper() + sentence[1:]


def _ms(time_ms: float | None) -> str:
    return NOT_MEASURED if time_ms is None else f"{time_ms:.1f} ms"
