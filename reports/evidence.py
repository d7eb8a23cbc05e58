"""The tables of evidence: how speed was timed, what quality rests on, what a strategy changed."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.model import Analysis, ContenderAnalysis
from harness.analysis.noninferiority import NonInferiority
from harness.analysis.paired import Ratio
from harness.analysis.speed import WarmUp
from harness.analysis.time_to_quality import TimeToF1
from reports.formatting import NONE, code, count, plain, seconds, signed, table, times


def speed_table(contenders: Sequence[ContenderAnalysis]) -> str:
    """Return the timed segments of each contender; the baseline's row is A/A."""
    rows = []
    for contender in contenders:
        evidence = contender.speed
        if evidence is None:
            continue
        name = "`baseline` again (A/A)" if contender.is_baseline else code(contender.name)
        as_run = None if contender.job is None else contender.job.as_run
        repeated = f", {evidence.repeats} repeated" if evidence.repeats else ""
        rows.append(
            [
                name,
                ratio(evidence.training),
                ratio(evidence.evaluation),
                f"{evidence.blocks}{repeated}, {evidence.spoilt} spoilt",
                NONE if contender.job is None else ratio(contender.job.ratio),
                NONE if as_run is None else _as_run(as_run.estimate, as_run.low, as_run.high),
            ]
        )
    headers = ("Strategy", "Steps", "Evaluation", "Blocks", "Job from its parts", "Jobs as they ran")
    return table(headers, rows) if rows else ""


def ratio(value: Ratio | None) -> str:
    """Return a ratio with its interval, to three decimals: noise is of that size."""
    if value is None:
        return "not measured"
    return f"{value.estimate:.3f}× ({value.low:.3f} to {value.high:.3f})"


def _as_run(estimate: float, low: float | None, high: float | None) -> str:
    return times(estimate) if low is None or high is None else f"{times(estimate)} (range {low:.2f} to {high:.2f})"


def warm_up_table(contenders: Sequence[ContenderAnalysis]) -> str:
    """Return one-time costs and when they are earned back."""
    rows = []
    for contender in contenders:
        cost = contender.warm_up
        if cost is None:
            continue
        rows.append(
            [
                code(contender.name),
                seconds(cost.cold_s) + (" (cold cache)" if cost.compiles else ""),
                seconds(cost.warm_s) if cost.warm_s is not None else ("not measured" if cost.compiles else NONE),
                _saved(cost),
                _break_even(cost),
                _time_to_f1(contender.time_to_f1),
            ]
        )
    headers = ("Strategy", "Warm-up", "with a warm cache", "Saved per step", "Break-even", "Time to the baseline's F1")
    return table(headers, rows) if rows else ""


def _saved(cost: WarmUp) -> str:
    return NONE if cost.saved_per_step_s is None else f"{signed(1000 * cost.saved_per_step_s)} ms"


def _break_even(cost: WarmUp) -> str:
    if cost.saved_per_step_s is None:
        return NONE
    if cost.break_even_steps is None:
        return "never"
    if cost.break_even_steps == 0:
        return "at once"
    warm = "" if cost.break_even_steps_warm is None else f"; warm {count(cost.break_even_steps_warm)} steps"
    return f"{count(cost.break_even_steps)} steps ({cost.break_even_epochs:.1f} epochs){warm}"


def _time_to_f1(time: TimeToF1 | None) -> str:
    if time is None:
        return NONE
    if time.contender_s is None:
        return "not reached"
    return f"{seconds(time.contender_s)}" + (f" ({times(time.speedup)})" if time.speedup is not None else "")


def quality_table(contenders: Sequence[ContenderAnalysis]) -> str:
    """Return what the judgement of each contender's quality rests on."""
    rows = []
    for contender in contenders:
        if contender.is_baseline or (contender.quality is None and contender.equivalence is None):
            continue
        em = f1 = None
        if contender.quality is not None:
            em, f1 = contender.quality.em, contender.quality.f1
        rows.append(
            [
                code(contender.name),
                _equivalence(contender),
                _non_inferiority(em),
                _non_inferiority(f1),
                _detectable(em, f1),
            ]
        )
    headers = ("Strategy", "Equivalence of updates", "EM", "F1", "Smallest loss certifiable")
    return table(headers, rows, "lllll") if rows else ""


def _equivalence(contender: ContenderAnalysis) -> str:
    check = contender.equivalence
    if check is None:
        return "not checked"
    worst = "" if check.worst is None or check.worst.gradient is None else f"{check.worst.gradient:.1g} of the norm"
    where = "" if check.worst is None else f" at {code(check.worst.name)}"
    limit = f"{check.tolerance:.0e} allowed in {check.dtype}"
    return f"{'holds' if check.holds else 'does not hold'}: {worst}{where}, {limit}" if worst else "no gradients kept"


def _non_inferiority(value: NonInferiority | None) -> str:
    if value is None:
        return "not measured"
    return f"{signed(value.difference)}, at worst {signed(value.bound)} (margin {value.margin:g})"


def _detectable(em: NonInferiority | None, f1: NonInferiority | None) -> str:
    if em is None or f1 is None:
        return NONE
    return f"EM {em.detectable_loss:.1f}, F1 {f1.detectable_loss:.1f} points"


def change_lines(contenders: Sequence[ContenderAnalysis]) -> list[str]:
    """Return what each contender changed of what runs."""
    lines = []
    for contender in contenders:
        if contender.footprint is None:
            continue
        aspects = contender.footprint.aspects
        what = "; ".join(plain(aspect) for aspect in aspects) if aspects else "nothing"
        lines.append(f"{code(contender.name)}: {what}.")
    return lines


def certification_note(analysis: Analysis) -> str:
    """Say what a run of this size can certify, and what not."""
    measured = [contender.quality for contender in analysis.contenders if contender.quality is not None]
    if not measured:
        return ""
    em, f1 = measured[0].em, measured[0].f1
    smallest = min(quality.f1.detectable_loss for quality in measured)
    questions = max((quality.f1.examples_needed or 0 for quality in measured), default=0)
    needed = f" Certifying {f1.margin:g} points of F1 needs up to about {questions:,} questions with as many seeds." \
        if questions > f1.examples else ""  # fmt: skip
    one = " One seed says nothing of what another would give, so EM and F1 alone can accept nothing." \
        if analysis.seeds < 2 else ""  # fmt: skip
    return (
        f"This run has {em.examples} validation questions and {em.seeds} seed{'s' if em.seeds > 1 else ''}. With 80 % "
        f"power it could certify a loss of F1 below {smallest:.1f} points at best, if nothing is really lost."
        f"{needed}{one} Strategies that claim the same mathematics don't need it: they are held against the fp32 "
        "reference, tensor by tensor."
    )


def learning_note(analysis: Analysis) -> str:
    """Say whether the baseline learned, without which the gate of quality is vacuous."""
    learning = analysis.learning
    if learning is None:
        return "Whether the baseline learned was not measured: the untrained model was not scored."
    trend = "" if learning.last_epoch_f1 is None else f"; the last epoch changed it by {signed(learning.last_epoch_f1)}"
    return (
        f"The baseline gained {signed(learning.gain_f1)} points of F1 over the untrained model (at least "
        f"{signed(learning.gain_low)} with 95 % confidence){trend}. The gate of quality is "
        f"{'**vacuous**' if learning.vacuous else 'meaningful'}."
    )
