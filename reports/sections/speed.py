"""The evidence on speed: timed segments, the job put together from its parts, one-time costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.statistics.estimate import ratio_words, times_words
from reports.document import Block, Picture, Section, Table, Text, code, contender_name, paragraph, table
from reports.formatting import (
    NONE,
    NOT_MEASURED,
    count,
    energy,
    milliseconds,
    percent,
    seconds,
    speedup,
    token_energy,
)

if TYPE_CHECKING:
    from harness.analysis.model import Analysis, ContenderAnalysis

HOW = (
    "Segments of training and of evaluation over the same samples, alternated between each contender and a baseline "
    "process that stays alive (ABBA), timed by the parent's clock. Ratios are against fresh processes of the baseline "
    "that were timed beside the same live one (A/A), so that its age and its luck cancel. A spoilt block (the machine "
    "was busy, swapping, or throttled other than by its power limit) does not count and is measured again. The job "
    "from its parts decides: it is the baseline's job with training and evaluation at these ratios, and with the "
    "contender's own warm-up where that differs beyond chance. The jobs as they ran, one after the other, hold the "
    "drift of the machine too, and the cold caches that the baseline's, the first one, may have found."
)


ENERGY = (
    "Energy of training: after the timed blocks baseline, contender and baseline went through the same samples once "
    "more, for some seconds each, as the driver's energy counter moves only about every 100 ms. An epoch's is scaled "
    "from these samples by the number of windows, evaluation left out. It is the whole GPU's, not the host's."
)


def section(analysis: Analysis) -> Section:
    """Return how speed was timed and what came out."""
    title, segments = "The evidence on speed", _segment_table(analysis)
    if not segments:
        nothing = paragraph("No segments were timed beside a live baseline, so there is no verdict on speed.")
        return Section(title=title, blocks=(nothing,))
    caption = "Job and step speedup of each contender; line: 95 % interval, grey: nothing is claimed within"
    picture = Picture(name="speedup", caption=caption)
    starts = (*warm_up_table(analysis), *_hidden_start(analysis))
    costs = (*starts, *_interval_table(analysis), *energy_part(analysis))
    return Section(title=title, blocks=(paragraph(HOW), picture, *segments, *costs))


def _segment_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return the timed segments of each contender; the baseline's row is A/A."""
    headers = (
        "Strategy", "Step speedup", "Evaluation speedup", "Blocks", "Job speedup, from its parts",
        "Jobs as they ran"
    )  # fmt: skip
    rows = []
    for contender, evidence in analysis.ran:
        speed, job = evidence.speed, evidence.job
        if speed is None:
            continue
        steps, evaluation, parts = (
            NOT_MEASURED if value is None else ratio_words(value.estimate, value.low, value.high)
            for value in (speed.training, speed.evaluation, None if job is None else job.ratio)
        )
        if speed.same_evaluation:
            evaluation = "1, as it runs the baseline's"
        repeated = f", {speed.repeats} repeated" if speed.repeats else ""
        blocks = f"{speed.blocks}{repeated}, {speed.spoilt} spoilt"
        as_run = NONE if job is None or job.as_run is None else speedup(job.as_run)
        name = _beside_baseline(contender)
        rows.append((name, steps, evaluation, blocks, NONE if job is None else parts, as_run))
    return table(headers, rows)


def _hidden_start(analysis: Analysis) -> tuple[Block, ...]:
    """Return by how much a start may be longer than the baseline's and count as the same; nothing if none does."""
    jobs = [evidence.job for _, evidence in analysis.ran if evidence.job is not None]
    hidden = max(jobs, key=lambda job: job.hidden_start_s, default=None)
    if hidden is None or hidden.hidden_start_s <= 0.0:
        return ()
    most, share = seconds(hidden.hidden_start_s), percent(hidden.hidden_start_s / hidden.baseline_s)
    what = "A warm-up within chance of the baseline's counts as the baseline's"
    return (paragraph(f"{what}: {most} ({share} of the job) may be missed."),)


def _interval_table(analysis: Analysis) -> tuple[Block, ...]:
    """Return what each job's interval is made of: shares of its variance."""
    jobs = {c.name: evidence.job for c, evidence in analysis.ran if evidence.job is not None}
    parts = dict.fromkeys(term.part for job in jobs.values() for term in job.terms if term.log_standard_error > 0)
    rows = []
    for name, job in jobs.items():
        variance = sum(term.log_standard_error**2 for term in job.terms)
        shares = {term.part: term.log_standard_error**2 / variance for term in job.terms} if variance > 0 else {}
        rows.append((contender_name(name), *(percent(shares[part]) if part in shares else NONE for part in parts)))
    headers = ("The job's interval is made of", *parts)
    return table(headers, rows) if parts else ()


def _beside_baseline(contender: ContenderAnalysis) -> Text:
    return (code(contender.name), " again (A/A)") if contender.is_baseline else contender_name(contender.name)


def warm_up_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return one-time costs and when they are earned back."""
    rows = []
    for contender, evidence in analysis.ran:
        cost, time = evidence.warm_up, evidence.time_to_score
        if cost is None:
            continue
        once = seconds(cost.cold_s) + (" (cold cache)" if cost.compiles else "")
        if cost.stall_s > 0:
            once += f" + {seconds(cost.stall_s)} in the first epoch"
        warm = NOT_MEASURED if cost.compiles else NONE
        if cost.warm_s is not None:
            warm = seconds(cost.warm_s)
        saved = earned = reached = NONE
        if cost.saved_per_step_s is not None:
            saved = f"{milliseconds(1000 * cost.saved_per_step_s, sign=True)} ms"
            if cost.saved_per_step_s <= 0 or cost.break_even_steps is None:
                earned = "saves nothing"
            elif evidence.steps is not None and evidence.steps.low <= 1.0:
                earned = "not shown to save anything"
            elif cost.break_even_steps < 1:
                earned = "at once"
            else:
                earned = f"{count(cost.break_even_steps)} steps ({cost.break_even_epochs:.1f} epochs)"
                if cost.break_even_steps_warm is not None:
                    earned += f"; warm {count(cost.break_even_steps_warm)} steps"
        if time is not None:
            reached = "not reached" if time.contender_s is None else seconds(time.contender_s)
            reached += "" if time.contender_s is None or time.speedup is None else f" ({times_words(time.speedup)})"
        rows.append((contender_name(contender.name), once, warm, saved, earned, reached))
    reaching = f"Time to the baseline's {analysis.scoring.headline_title}"
    return table(("Strategy", "Warm-up", "with a warm cache", "Saved per step", "Break-even", reaching), rows)


def energy_part(analysis: Analysis) -> tuple[Block, ...]:
    """Return energies per epoch and token; nothing where none was measured."""
    headers = (
        "Strategy", "Energy per epoch", "the baseline's", "Baseline ÷ own", "Per useful token", "the baseline's",
        "Mean power", "Checked by"
    )  # fmt: skip
    rows = []
    for contender, evidence in analysis.ran:
        if evidence.energy is None:
            continue
        baseline, own = evidence.energy.baseline, evidence.energy.contender
        checked = NOT_MEASURED
        if own.source == "power":
            checked = "nothing: no counter, power integrated"
        elif own.energy_j is not None and own.integrated_j is not None:
            checked = f"integrated power: {percent(own.integrated_j / own.energy_j)} of the counter"
        row = (
            _beside_baseline(contender),
            f"{energy(own.epoch_j)} ± {percent(own.error_share)}" if own.error_share > 0 else energy(own.epoch_j),
            energy(baseline.epoch_j),
            times_words(evidence.energy.ratio),
            token_energy(own.token_j),
            token_energy(baseline.token_j),
            f"{own.power_w:.0f} W (baseline {baseline.power_w:.0f} W)",
            checked,
        )
        rows.append(row)
    return (paragraph(ENERGY), *table(headers, rows)) if rows else ()
