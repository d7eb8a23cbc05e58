"""What `speedproof compare` prints."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.analysis.compare import Change, Comparison
from harness.statistics.estimate import signed_words
from reports.formatting import NOT_MEASURED, decimal, seconds


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print B against A, what else differs, and the limits that were exceeded or are undecided."""
    names = list(dict.fromkeys(name for contender in comparison.contenders for name in contender.scores))
    table = Table("Contender", "Job A", "Job B", "Slowdown", "Training", *names, box=box.SIMPLE_HEAD)
    for contender in comparison.contenders:
        job = contender.job
        table.add_row(
            escape(contender.name),
            NOT_MEASURED if job is None else seconds(job.a),
            NOT_MEASURED if job is None else seconds(job.b),
            _slowdown(job),
            _slowdown(contender.training),
            *(_points(contender.scores.get(name)) for name in names),
        )
    console.print(table)
    console.print(
        "Slowdown = time in B ÷ time in A, so above 1 is slower; in brackets 95 % intervals over seeds.", style="dim"
    )
    for line in comparison.changed:
        console.print(f"differs: {escape(line)}", highlight=False)
    for failure in comparison.failures:
        console.print(f"[red]exceeded:[/red] {escape(failure)}", highlight=False)
    for question in comparison.undecided:
        console.print(f"[yellow]undecided:[/yellow] {escape(question)}", highlight=False)
    if comparison.undecided:
        console.print("More --seeds in both runs make the intervals narrower.", style="dim")


def _slowdown(change: Change | None) -> str:
    if change is None:
        return NOT_MEASURED
    text = f"{change.change:.3f}×"
    return text if change.low is None or change.high is None else f"{text} ({change.low:.3f} to {change.high:.3f})"


def _points(change: Change | None) -> str:
    if change is None:
        return NOT_MEASURED
    text = f"{decimal(change.b)} ({signed_words(change.change)}"
    if change.low is not None and change.high is not None:
        text += f"; {signed_words(change.low)} to {signed_words(change.high)}"
    return f"{text})"
