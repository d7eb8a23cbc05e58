"""The faults suite: strategies that cheat or break, held against the verdict that each must get.

`make faults` prints the table over several seeds; the tests run a short form. Exit status 1 if a verdict is wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness import run
from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.config import RunConfig, preset
from harness.records.serialise import override

HERE = Path(__file__).resolve().parent
PLUGINS = [str(HERE / f"{name}.py") for name in ("work", "quality", "timing", "breaks", "precision")]

NOTHING_GAINED = frozenset({"NO_GAIN", "UNCLEAR", "SLOWER", "INERT"})
"""What a strategy that gains nothing may be called; anything but accepted, and not rejected without reason."""

NOTHING_REFUTED = NOTHING_GAINED - {"INERT"} | {"ACCEPTED", "FASTER", "NOT_APPLICABLE"}
"""What an honest lower precision may be called, here or on a processor that does not have it."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A strategy and the verdicts that are right for it."""

    name: str
    right: frozenset[str]
    reason: str = ""
    """Text that one of its reasons must hold."""


def fault(name: str, *right: str, reason: str = "") -> Fault:
    """Return a fault."""
    return Fault(name=name, right=frozenset(right), reason=reason)


CHEATS = (
    fault("skips_every_second_update", "REJECTED", reason="updates changed the parameters"),
    fault("trains_on_half_the_examples", "REJECTED", reason="windows"),
    fault("truncates", "REJECTED", reason="useful tokens"),
    fault("truncates_in_secret", "REJECTED", reason="baseline's mathematics"),
    fault("truncates_in_the_loop", "REJECTED", reason="baseline's mathematics"),
    fault("mixes_up_labels", "REJECTED", reason="baseline's mathematics"),
    fault("drops_dropout", "REJECTED", reason="its dropout is not the baseline's"),
    fault("freezes_all_but_the_head", "REJECTED", reason="parameters"),
    fault("zero_learning_rate", "REJECTED", reason="learning rates"),
    fault("zero_learning_rate_in_secret", "REJECTED", reason="updates changed the parameters"),
    fault("windows_see_each_other", "REJECTED", reason="baseline's mathematics in a lower precision"),
    fault("wrong_attention_scale", "REJECTED", reason="baseline's mathematics in a lower precision"),
    fault("unpadded+amp_bf16", *NOTHING_REFUTED),
    fault("changes_data_order", "REJECTED", reason="another order"),
    fault("evaluates_on_training_set", "REJECTED", reason="not those of the trained model"),
    fault("reads_the_answers", "REJECTED", reason="not those of the trained model"),
    fault("returns_cached_predictions", "REJECTED", reason="not those of the trained model"),
    fault("trains_on_validation", "REJECTED", reason="token"),
    fault("slows_the_clock", "REJECTED", reason="clock"),
    fault("falls_back_to_fp32", "INERT"),
    fault("no_change", "INERT"),
    fault("leaks_state", *NOTHING_GAINED),
    fault("same_again", "NO_GAIN", "UNCLEAR"),
    fault("synchronises_each_step", *NOTHING_GAINED),
    fault("sleeps_in_collate", "SLOWER", "UNCLEAR"),
    fault("nan_after_steps", "FAILED", reason="nan"),
    fault("crashes", "FAILED", reason="SIGABRT"),
    fault("hangs", "FAILED", reason="time limit"),
    fault("raises", "FAILED", reason="ValueError"),
)
"""Against the plain baseline. Two of them may be unclear: this tiny model's steps are too short to time well."""

PACED = (
    fault("paced_3_percent_faster", "ACCEPTED"),
    fault("paced_3_percent_slower", "SLOWER"),
    fault("paced_again", "NO_GAIN", "UNCLEAR"),
    fault("paced+no_change", "INERT"),
)
"""Against a baseline whose steps end on a beat: what is known to be 3 % must be called so, within seconds."""

SHORT = frozenset(
    {
        "skips_every_second_update",
        "truncates_in_secret",
        "windows_see_each_other",
        "returns_cached_predictions",
        "no_change",
        "crashes",
    }
)
"""The short form: one cheat for each kind of check."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a fault was called."""

    fault: Fault
    verdict: str
    reasons: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether that is the right verdict, for the right reason."""
        return self.verdict in self.fault.right and any(self.fault.reason in text for text in (*self.reasons, ""))


def cheat_config(faults: tuple[Fault, ...], seed: int) -> RunConfig:
    """Return a run of the cheats on the smallest model."""
    return _config(
        faults, seed, {"trial_timeout_s": 40.0, "speed.segment_s": 0.1, "speed.budget_s": 6.0 * (1 + len(faults))}
    )


def paced_config(faults: tuple[Fault, ...], seed: int) -> RunConfig:
    """Return a run against the paced baseline, with one window a step so that most of the job is training."""
    return _config(
        faults,
        seed,
        {
            "baseline": "paced",
            "training.batch_size": 1,
            "training.epochs": 16,
            "speed.segment_s": 0.15,
            "speed.budget_s": 40.0 * (1 + len(faults)),
            "speed.precision": 0.004,
        },
    )


def _config(faults: tuple[Fault, ...], seed: int, changes: dict[str, object]) -> RunConfig:
    common = {
        "contenders": [fault.name for fault in faults],
        "plugins": PLUGINS,
        "profile.enabled": False,
        "data.generator_seed": seed,
        "device": "cpu",
    }
    return override(preset("smoke"), {**common, **changes})


def run_faults(config: RunConfig, faults: tuple[Fault, ...], directory: Path) -> list[Outcome]:
    """Run them and return what each was called."""
    return read_outcomes(analyse(run(config, name="faults", runs_directory=directory)), faults)


def read_outcomes(analysis: Analysis, faults: tuple[Fault, ...]) -> list[Outcome]:
    """Return the verdicts of an analysis."""
    by_name = {contender.name: contender for contender in analysis.contenders}
    return [
        Outcome(
            fault=fault,
            verdict=by_name[fault.name].verdict or by_name[fault.name].state,
            reasons=tuple(reason.text for reason in by_name[fault.name].reasons),
        )
        for fault in faults
    ]


def print_table(outcomes: dict[int, list[Outcome]], console: Console) -> None:
    """Print fault, verdict expected and verdict given for each seed, and what was wrong."""
    table = Table("Fault", "Expected", *(f"Seed {seed}" for seed in outcomes))
    for row in zip(*outcomes.values(), strict=True):
        given = [item.verdict if item.right else f"[red]{item.verdict}[/red]" for item in row]
        table.add_row(row[0].fault.name, " or ".join(sorted(row[0].fault.right)), *given)
    console.print(table)
    for seed, items in outcomes.items():
        for item in items:
            if not item.right:
                console.print(
                    f"seed {seed}, {item.fault.name}: {item.verdict}: {'; '.join(item.reasons)}", markup=False
                )


def main(arguments: list[str]) -> int:
    """Run the suite and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of faults")
    parser.add_argument("--keep", type=Path, help="where the runs go, to look at them")
    options = parser.parse_args(arguments)
    outcomes: dict[int, list[Outcome]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(options.seeds):
            outcomes[seed] = []
            for kind, faults, make in (("cheats", CHEATS, cheat_config), ("paced", PACED, paced_config)):
                wanted = tuple(item for item in faults if not options.only or item.name in options.only)
                if wanted:
                    folder = (options.keep or Path(temporary)) / f"{kind}-{seed}"
                    outcomes[seed] += run_faults(make(wanted, seed), wanted, folder)
                    Console(stderr=True).print(f"seed {seed}: {kind} done")
    print_table(outcomes, Console())
    wrong = sum(not item.right for items in outcomes.values() for item in items)
    total = sum(len(items) for items in outcomes.values())
    print(f"{total - wrong} of {total} verdicts right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
