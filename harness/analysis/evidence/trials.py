"""The trials of a run, sorted out by contender."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.analysis.evidence.machine import usual_speed_of, was_undisturbed
from harness.records.strategy import StrategyRecord
from harness.records.trial import BASELINE, TrialRecord

if TYPE_CHECKING:
    from harness.records.checks import EquivalenceRecord, FootprintRecord, SpeedRecord
    from harness.records.store import LoadedRun, LoadedTrial

State = Literal["measured", "not_applicable", "failed", "not_run"]


@dataclass(frozen=True, kw_only=True)
class Trials:
    """The trials of one contender."""

    name: str
    planned: Sequence[str] = ()
    """Folders of its trials, whole or not."""
    everything: Sequence[LoadedTrial]
    done: Sequence[LoadedTrial]
    """Whole fine-tunings, by seed."""
    untimed: frozenset[int] = frozenset()
    """Seeds of those whose times don't count, as the machine was busy, or ran at another speed than else."""

    @property
    def is_baseline(self) -> bool:
        """Whether the others are held against this one."""
        return self.name == BASELINE

    @property
    def jobs(self) -> list[TrialRecord]:
        """Records of the whole fine-tunings."""
        return [trial.record for trial in self.done]

    @property
    def at_usual_speed(self) -> list[LoadedTrial]:
        """Whole fine-tunings whose times count."""
        return [trial for trial in self.done if trial.record.seed not in self.untimed]

    @property
    def timed_jobs(self) -> list[TrialRecord]:
        """Their records."""
        return [trial.record for trial in self.at_usual_speed]

    @property
    def strategies(self) -> tuple[StrategyRecord, ...]:
        """Its parts, as the first trial that knows them says."""
        return next((trial.record.strategies for trial in self.everything if trial.record.strategies), ())

    @property
    def effects(self) -> tuple[str, ...]:
        """Of its strategies, part by part."""
        return tuple(strategy.effect for strategy in self.strategies)

    @property
    def beside(self) -> Sequence[TrialRecord]:
        """The trials beside the live baseline that ended, each a process, in their order."""
        records = (trial.record for trial in self.everything if trial.record.kind == "speed")
        return sorted((record for record in records if record.status == "done"), key=lambda record: record.process)

    @property
    def timed(self) -> tuple[SpeedRecord, ...]:
        """The segments timed in them, one for each process; empty: nothing was timed."""
        return tuple(record.speed for record in self.beside if record.speed is not None)

    @property
    def equivalence(self) -> EquivalenceRecord | None:
        """Of the first process that has it."""
        return next((record.equivalence for record in self.beside if record.equivalence is not None), None)

    @property
    def footprint(self) -> FootprintRecord | None:
        """Of the first process that has it."""
        return next((record.footprint for record in self.beside if record.footprint is not None), None)


def sort_out(loaded: LoadedRun) -> dict[str, Trials]:
    """Return the trials of each contender by its name, in the order of the plan, the baseline first."""
    # `trials/<contender>/<k>` is where a trial lies.
    found = {}
    usual = usual_speed_of([trial.record for trial in loaded.trials])
    names = dict.fromkeys([BASELINE, *(folder.split("/")[1] for folder in loaded.run.trials)])
    # A run that compares nothing tells where time goes, whatever else the machine did: a note says what that was.
    compares = len(names) > 1
    for name in names:
        trials = [trial for trial in loaded.trials if trial.record.contender == name]
        done = [trial for trial in trials if trial.record.kind == "job" and trial.record.status == "done"]
        found[name] = Trials(
            name=name,
            planned=[folder for folder in loaded.run.trials if folder.split("/")[1] == name],
            everything=trials,
            done=sorted(done, key=lambda trial: trial.record.seed),
            untimed=frozenset(job.record.seed for job in done if compares and not was_undisturbed(job.record, usual)),
        )
    return found


def find_state(trials: Trials) -> tuple[State, list[str]]:
    """Return how its trials ended, and in words why it was not measured.

    One trial that failed fails the contender (but for the profiled one): what crashes sometimes can't be kept.
    """
    records = [trial.record for trial in trials.everything if trial.record.kind != "profile"]
    ends: tuple[Literal["failed", "not_applicable"], ...] = ("failed", "not_applicable")
    for state in ends:
        reasons = [record.reason or "no reason was recorded" for record in records if record.status == state]
        if reasons:
            return state, list(dict.fromkeys(reasons))
    return ("measured", []) if trials.done else ("not_run", ["no whole fine-tuning of it has been run"])
