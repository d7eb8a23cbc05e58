"""What more evidence would take: the command that collects it, and its time at the pace of this run."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import fmean

from harness.analysis.evidence.gather import Case
from harness.analysis.evidence.trials import Trials
from harness.records.trial import RunRecord, TrialRecord

PROGRAM = ("speedproof", "run")

SCORING_PHASES = ("evaluation", "span_search", "scoring")
"""Phases of a job that grow with the number of examples that are scored."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long this run took for what could be measured more of, by its own records."""

    run: RunRecord
    seed_s: float
    """One whole fine-tuning of every contender, the baseline among them."""
    scoring_s: float
    """The part of it that grows with the examples that are scored."""
    timed_s: float
    """All timed blocks of the contenders whose speed is unclear."""
    everything_s: float
    """All timed blocks."""

    @property
    def seeds(self) -> int:
        """Fine-tunings of each contender."""
        return self.run.config.seeds

    def larger_budget_s(self, times: float) -> float:
        """Return the budget with which the contenders whose speed is unclear have so many times their blocks."""
        spent_s = max(self.run.config.speed.budget_s, self.everything_s)
        return math.ceil(spent_s + (times - 1.0) * self.timed_s)

    def of_more(self, *, seeds: int | None = None, times_budget: float = 1.0) -> float:
        """Return the seconds that a run takes which is extended to so many seeds and so many times its budget."""
        return (0 if seeds is None else seeds - self.seeds) * self.seed_s + (times_budget - 1.0) * self.timed_s

    def of_new(self, *, seeds: int, times_examples: float) -> float:
        """Return the seconds of another run with so many seeds and so many times the examples that are scored."""
        return seeds * (self.seed_s + (times_examples - 1.0) * self.scoring_s) + self.everything_s

    def extend(self, **options: str) -> str:
        """Return the command that collects more on top of this run; options without their dashes."""
        return self._command({"name": self.run.name, **options})

    def again(self, **options: str) -> str:
        """Return the command of another run that differs in these options."""
        return self._command(options)

    def _command(self, options: Mapping[str, str]) -> str:
        # A command that extended the run names only what it added.
        first = (*self.run.earlier_commands, self.run.command)[0]
        if not first.startswith(" ".join(PROGRAM)):
            # Started from Python.
            return f"harness.run with {', '.join(f'{name}={value}' for name, value in options.items())}"
        given = [(f"--{name.replace('_', '-')}", value) for name, value in options.items()]
        kept = _without(shlex.split(first), {"--name", *(option for option, _ in given)})
        return shlex.join([*kept, *(word for pair in given for word in pair)])


def _without(words: list[str], options: Collection[str]) -> list[str]:
    """Return a command's words without some options and their values, in either of their forms."""
    kept, skip = [], False
    for word in words:
        if skip or word in options:
            skip = not skip
        elif word.partition("=")[0] not in options:
            kept.append(word)
    return kept


def measure_pace(cases: Mapping[str, Case], unclear: Collection[str]) -> Pace:
    """Return what a run's records say of its pace; `unclear` are the contenders that would be timed for longer."""
    reference = next(iter(cases.values())).reference
    everyone = [reference.baseline, *(case.trials for case in cases.values())]
    jobs = [trials.jobs for trials in everyone if trials.jobs]
    return Pace(
        run=reference.run,
        seed_s=sum(fmean((job.job_time_s or 0.0) + job.excluded_s for job in same) for same in jobs),
        scoring_s=sum(fmean(map(_scoring_s, same)) for same in jobs),
        timed_s=sum(_timed_s(cases[name].trials) for name in unclear),
        everything_s=sum(map(_timed_s, everyone)),
    )


def _scoring_s(job: TrialRecord) -> float:
    """Return what answering the quality set took; where the validation set is it, one epoch's share of the phases."""
    if job.quality_set is not None:
        return job.quality_set.time_s
    return sum(job.phases_s.get(name, 0.0) for name in SCORING_PHASES) / max(1, len(job.epochs))


def _timed_s(trials: Trials) -> float:
    """Return the time in a contender's timed segments."""
    return sum(block.segments_s for timed in trials.timed for block in timed.blocks)


def duration_words(time_s: float) -> str:
    """Return about how long something takes."""
    for unit, length_s in (("hour", 3600.0), ("minute", 60.0)):
        if time_s >= 1.5 * length_s:
            return f"about {time_s / length_s:.0f} {unit}s"
    return "about a minute" if time_s >= 45.0 else f"about {max(time_s, 1.0):.0f} seconds"
