"""Contenders that change nothing, beside the baseline that they are: does the harness find them to be what they are?

    python tests/benchmarks/no_change.py --name no-change

makes one run of the preset quick (or goes on with the run of that name) on an idle machine, and prints each one's
ratios with their intervals, the mean, how many intervals leave out 1, the floor and the verdicts. INERT is right for
all of them; the ratios say how far the measurement is off. A plugin file too: it registers no_change_01 to _16.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from statistics import fmean, stdev

from rich.console import Console
from rich.table import Table

from harness import run
from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis, ContenderAnalysis
from harness.config import RunConfig
from harness.presets import preset
from harness.records.serialise import override
from harness.registry import register
from harness.statistics.estimate import Estimate
from harness.strategy import Effect, Stage, Strategy, TrainSetup

COUNT = 16

NAMES = tuple(f"no_change_{number:02}" for number in range(1, COUNT + 1))


class NoChange(Strategy):
    """Changes nothing; not registered itself."""

    summary = "Changes nothing"
    effect = Effect.SAME_MATH
    stage = Stage.MODEL

    def apply(self, setup: TrainSetup) -> TrainSetup:
        return setup


# As a script this file is loaded once more by the run, whose classes these would meet.
if __name__ != "__main__":
    for _name in NAMES:
        register(type(_name, (NoChange,), {"name": _name, "__doc__": "It.", "__module__": __name__}))


def make_config(count: int, budget_s: float | None) -> RunConfig:
    """Return the run: quick, without profiles, which nothing is timed after anyway."""
    changes: dict[str, object] = {
        "contenders": list(NAMES[:count]),
        "plugins": [str(Path(__file__).resolve())],
        "profile.enabled": False,
    }
    if budget_s is not None:
        changes["speed.budget_s"] = budget_s
    return override(preset("quick"), changes)


def leaves_out_1(estimate: Estimate | None) -> bool:
    """Whether an interval says that there is a difference."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return False
    return estimate.low > 1.0 or estimate.high < 1.0


def words(estimate: Estimate | None) -> str:
    """Return a ratio with its interval."""
    if estimate is None:
        return "not measured"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.estimate:.3f}"
    mark = " *" if leaves_out_1(estimate) else ""
    return f"{estimate.estimate:.3f} ({estimate.low:.3f} to {estimate.high:.3f}){mark}"


def mean_words(estimates: list[Estimate]) -> str:
    """Return the geometric mean with the standard error that the ratios' own spread gives."""
    logs = [math.log(estimate.estimate) for estimate in estimates]
    if not logs:
        return "not measured"
    error = f" ± {stdev(logs) / math.sqrt(len(logs)):.4f}" if len(logs) > 1 else ""
    return f"{math.exp(fmean(logs)):.4f}{error}"


def summarise(contenders: list[ContenderAnalysis]) -> list[tuple[str, str]]:
    """Return what all of them say together, as lines of name and value."""
    lines = []
    for what in ("step", "job"):
        known = [ratio for one in contenders if (ratio := getattr(one, f"{what}_speedup")) is not None]
        excluded = sum(map(leaves_out_1, known))
        lines.append((f"{what} ratio, mean ± standard error", mean_words(known)))
        lines.append((f"{what} intervals that leave out 1", f"{excluded} of {len(known)}"))
    return lines


def print_table(analysis: Analysis, console: Console) -> None:
    """Print each contender's ratios and verdict, then what they say together."""
    contenders = list(analysis.contenders[1:])
    table = Table("contender", "steps", "job", "verdict", caption="* leaves out 1")
    for one in contenders:
        table.add_row(one.name, words(one.step_speedup), words(one.job_speedup), one.verdict or one.state)
    console.print(table)
    for name, value in summarise(contenders):
        console.print(f"{name}: {value}", markup=False, highlight=False)
    floor = analysis.noise_floor
    console.print(
        "floor: " + ("not measured" if floor is None else f"{floor.share:.2%}"), markup=False, highlight=False
    )


def main(arguments: list[str]) -> int:
    """Make the run, or go on with it, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="no-change", help="of the run; that of an unfinished one goes on")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for the run")
    parser.add_argument("--count", type=int, default=COUNT, choices=range(1, COUNT + 1), metavar=f"1-{COUNT}")
    parser.add_argument("--budget", type=float, help="seconds of timed segments for the whole run; the preset's if not")
    options = parser.parse_args(arguments)
    config = make_config(options.count, options.budget)
    print_table(analyse(run(config, name=options.name, runs_directory=options.runs, show_progress=True)), Console())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
