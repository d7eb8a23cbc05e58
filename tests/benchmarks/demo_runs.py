"""The demo, several times one after the other: what does it say, and how long does it take?

    python tests/benchmarks/demo_runs.py --runs-wanted 10

makes runs of `speedproof run --preset quick` named demo-01, demo-02, … on an idle machine and prints verdict and
intervals of each contender in each run, the floors, and the wall-clock. Runs that are there are kept, an unfinished one
goes on; its wall-clock then counts from its last start, and is marked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.records.files import write_json
from harness.records.store import load_run
from harness.statistics.estimate import Estimate

WALL_CLOCK_FILE = "demo-wall-clock.json"
"""In each run's folder: seconds, and whether the run was begun before."""


@dataclass(frozen=True, kw_only=True)
class DemoRun:
    """One run of the demo."""

    name: str
    analysis: Analysis
    wall_clock_s: float | None
    """From the command's start to its end; None if it was made otherwise."""
    was_resumed: bool


def make_run(name: str, folder: Path, options: list[str]) -> int:
    """Run the command in a process of its own, as a user does, unless it is done; return its exit status."""
    done = folder / name / WALL_CLOCK_FILE
    if done.exists():
        return 0
    was_begun = (folder / name / "run.json").exists()
    command = [sys.executable, "-m", "harness", "run", "--preset", "quick", "--name", name, "--runs-dir", str(folder)]
    start_s = time.monotonic()
    status = subprocess.run([*command, *options], check=False).returncode
    if status == 0:
        write_json(done, {"seconds": time.monotonic() - start_s, "resumed": was_begun})
    return status


def read_run(directory: Path) -> DemoRun:
    """Return a run that is done, analysed anew from its records."""
    file = directory / WALL_CLOCK_FILE
    clock = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return DemoRun(
        name=directory.name,
        analysis=analyse(load_run(directory)),
        wall_clock_s=clock.get("seconds"),
        was_resumed=clock.get("resumed", False),
    )


def words(estimate: Estimate | None) -> str:
    """Return a ratio with its interval."""
    if estimate is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.estimate:.2f}"
    return f"{estimate.estimate:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def clock_words(run: DemoRun) -> str:
    """Return how long a run took; * where it had been begun before."""
    if run.wall_clock_s is None:
        return "not measured"
    return f"{run.wall_clock_s / 60:.1f} min" + (" *" if run.was_resumed else "")


def rows_of(run: DemoRun) -> list[tuple[str, str, str, str]]:
    """Return name, verdict, steps and job of each contender of a run."""
    return [
        (one.name, one.verdict or one.state, words(one.step_speedup), words(one.job_speedup))
        for one in run.analysis.contenders[1:]
    ]


def count_verdicts(runs: list[DemoRun]) -> dict[str, str]:
    """Return how often each contender got which verdict, the most frequent first."""
    counts: dict[str, Counter[str]] = {}
    for run in runs:
        for name, verdict, *_ in rows_of(run):
            counts.setdefault(name, Counter())[verdict] += 1
    return {name: ", ".join(f"{word} {n}" for word, n in count.most_common()) for name, count in counts.items()}


def print_table(runs: list[DemoRun], console: Console) -> None:
    """Print every run, and how often which verdict was given."""
    table = Table("run", "floor", "wall-clock", "contender", "verdict", "steps", "job", caption="* not from its start")
    for run in runs:
        floor = run.analysis.noise_floor
        head = [run.name, "-" if floor is None else f"{floor.share:.1%}", clock_words(run)]
        for row in rows_of(run):
            table.add_row(*head, *row)
            head = ["", "", ""]
        table.add_section()
    console.print(table)
    for name, verdicts in count_verdicts(runs).items():
        console.print(f"{name}: {verdicts}", markup=False, highlight=False)


def main(arguments: list[str]) -> int:
    """Make the runs that are missing and print the table of those that are done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs-wanted", type=int, default=10)
    parser.add_argument("--stem", default="demo", help="runs are named STEM-01, STEM-02, …")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for the runs")
    parser.add_argument("--only-table", action="store_true", help="make no run")
    parser.add_argument("options", nargs="*", help="more options and contenders of `speedproof run`, after --")
    given = parser.parse_args(arguments)
    names = [f"{given.stem}-{number:02}" for number in range(1, given.runs_wanted + 1)]
    failed = [] if given.only_table else [name for name in names if make_run(name, given.runs, given.options)]
    done = [given.runs / name for name in names if (given.runs / name / WALL_CLOCK_FILE).exists()]
    print_table([read_run(directory) for directory in done], Console())
    if failed:
        print(f"not done: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
