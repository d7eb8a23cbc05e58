"""The faults suite: strategies that cheat or break, held against the verdict that each must get.

`make faults` prints the table over several seeds; the tests run a short form. Exit status 1 if a verdict is wrong.
Which faults there are, and what is right for them, stands in `expected.py`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from expected import CHEATS, IN_JOBS, LATE, NO_DROPOUT, PACED, SELDOM, Fault, Job
from rich.console import Console
from rich.table import Table

from harness import run
from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.analysis.verdict.reason import Reason
from harness.config import RunConfig
from harness.presets import preset
from harness.records.serialise import override

HERE = Path(__file__).resolve().parent
PLUGINS = [
    str(HERE / f"{name}.py")
    for name in ("work", "quality", "timing", "breaks", "precision", "secret", "late", "life", "life_data")
]

AGE_S = 1.0
"""Seconds of training after which `aged_…` cheats here: half of a job whose steps end on a beat."""

TIMEOUT_S = 60.0
"""What a job may take, with the replays of its audits: ten times as long as on an idle machine."""

QUICK_START = "fast_startup+lean_model"
"""Stack of contenders whose job alone is looked at: what takes most of it otherwise is imports."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Faults of one run."""

    name: str
    faults: tuple[Fault, ...]
    changes: dict[str, object]
    """What the run has otherwise than the preset smoke."""
    beside: str = ""
    """Stack that each contender has too."""

    def contender(self, fault: Fault) -> str:
        """Return what the run calls a fault."""
        return f"{self.beside}+{fault.name}" if self.beside else fault.name

    def config(self, faults: tuple[Fault, ...], seed: int) -> RunConfig:
        """Return the run of some of its faults."""
        common = {
            "contenders": [self.contender(fault) for fault in faults],
            "plugins": PLUGINS,
            "profile.enabled": False,
            "data.generator_seed": seed,
            "device": "cpu",
            "trial_timeout_s": TIMEOUT_S,
        }
        return override(preset("smoke"), {**common, **self.changes})


JOBS_ALONE = {
    "speed.enabled": False,
    "data.train_size": 34,
    "data.generator_mean_tokens": 70,
    "training.epochs": 4,
}
"""Some 60 steps, so that a 50th is among them, in half a second; many passages take more than one window."""

TINY = preset("smoke").model.overrides

WITHOUT_DROPOUT = {"model.overrides": {**TINY, "dropout": 0.0, "attention_dropout": 0.0, "qa_dropout": 0.0}}

GROUPS = (
    Group(name="cheats", faults=CHEATS, changes={"speed.segment_s": 0.1, "speed.budget_s": 20.0}),
    Group(name="jobs", faults=IN_JOBS, changes=JOBS_ALONE, beside=QUICK_START),
    Group(name="late", faults=LATE, changes=JOBS_ALONE, beside=QUICK_START),
    Group(name="no_dropout", faults=NO_DROPOUT, changes=JOBS_ALONE | WITHOUT_DROPOUT, beside=QUICK_START),
    # One window a step and many epochs, so that most of the job is training; restarts tell most of small differences.
    Group(
        name="paced",
        faults=PACED,
        changes={
            "baseline": "paced",
            "training.batch_size": 1,
            "training.epochs": 32,
            "trial_timeout_s": 7200.0,
            "speed.segment_s": 0.15,
            "speed.budget_s": 280.0,
            "speed.restarts": 8,
            "speed.precision": 0.004,
        },
    ),
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a fault was called."""

    fault: Fault
    verdict: str
    reasons: tuple[Reason, ...]
    missed: float = 0.0
    """The chance that audits miss it in such a job."""

    @property
    def right(self) -> bool:
        """Whether that is the right verdict, for the right reason."""
        found = not self.fault.reason or any(self.fault.reason in reason.text for reason in self.reasons)
        ruled = not self.fault.rule or any(self.fault.rule == reason.rule for reason in self.reasons)
        return self.verdict in self.fault.right and found and ruled


def job_of(config: RunConfig, windows: int) -> Job:
    """Return how many steps the jobs of a run have, and how many of them are audited."""
    audits = config.audits
    return Job(
        windows=windows,
        batch_size=config.training.batch_size,
        epochs=config.training.epochs,
        audits_per_epoch=audits.per_epoch if audits.enabled else 0,
    )


def run_faults(group: Group, faults: tuple[Fault, ...], seed: int, directory: Path) -> list[Outcome]:
    """Run some of a group's faults and return what each was called."""
    os.environ["SPEEDPROOF_FAULT_AGE_S"] = str(AGE_S)
    config = group.config(faults, seed)
    analysis = analyse(run(config, name="faults", runs_directory=directory))
    job = job_of(config, analysis.run.data["train_windows"])
    return read_outcomes(analysis, faults, group.contender, job)


def read_outcomes(
    analysis: Analysis, faults: tuple[Fault, ...], contender: Callable[[Fault], str], job: Job
) -> list[Outcome]:
    """Return the verdicts of an analysis."""
    by_name = {contender.name: contender for contender in analysis.contenders}
    return [
        Outcome(
            fault=fault.in_job(job),
            verdict=given.verdict or given.state,
            reasons=given.reasons,
            missed=fault.missed(job),
        )
        for fault in faults
        for given in [by_name[contender(fault)]]
    ]


def missed_words(outcome: Outcome) -> str:
    """Say how likely it is that audits miss a fault; nothing where it is not left to chance."""
    if outcome.fault.touches is None:
        return ""
    if outcome.missed == 0.0:
        return "never"
    return f"{outcome.missed:.1%}" if outcome.missed > SELDOM else f"<{SELDOM:.1%}"


def print_table(outcomes: dict[int, list[Outcome]], console: Console) -> None:
    """Print fault, verdicts expected and given, the chance that audits miss it, and what was wrong."""
    table = Table("Fault", "Expected", "May be missed", *(f"Seed {seed}" for seed in outcomes))
    for row in zip(*outcomes.values(), strict=True):
        given = [item.verdict if item.right else f"[red]{item.verdict}[/red]" for item in row]
        fault = max((item.fault for item in row), key=lambda fault: len(fault.right))
        expected = "REJECTED if drawn" if fault.is_left_to_chance else " or ".join(sorted(fault.right))
        table.add_row(fault.name, expected, missed_words(max(row, key=lambda item: item.missed)), *given)
    console.print(table)
    for seed, items in outcomes.items():
        for item in items:
            if not item.right:
                texts = "; ".join(f"{reason.rule}: {reason.text}" for reason in item.reasons)
                console.print(f"seed {seed}, {item.fault.name}: {item.verdict}: {texts}", markup=False)


def main(arguments: list[str]) -> int:
    """Run the suite and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--groups", nargs="*", choices=[group.name for group in GROUPS], help="all by default")
    parser.add_argument("--only", nargs="*", help="names of faults")
    parser.add_argument("--keep", type=Path, help="where the runs go, to look at them, or to go on with them")
    options = parser.parse_args(arguments)
    outcomes: dict[int, list[Outcome]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(options.seeds):
            outcomes[seed] = []
            for group in GROUPS:
                if options.groups and group.name not in options.groups:
                    continue
                wanted = tuple(item for item in group.faults if not options.only or item.name in options.only)
                if wanted:
                    folder = (options.keep or Path(temporary)) / f"{group.name}-{seed}"
                    outcomes[seed] += run_faults(group, wanted, seed, folder)
                    Console(stderr=True).print(f"seed {seed}: {group.name} done")
    print_table(outcomes, Console())
    wrong = sum(not item.right for items in outcomes.values() for item in items)
    total = sum(len(items) for items in outcomes.values())
    print(f"{total - wrong} of {total} verdicts right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
