"""The evidence on speed: timed segments, the job put together from its parts, one-time costs."""

from __future__ import annotations

from harness.analysis.evidence.energy import EnergyEvidence, TrainingEnergy
from harness.analysis.evidence.job import TimeToScore, WarmUp
from harness.analysis.model import Analysis, ContenderAnalysis
from harness.statistics.paired import Ratio
from reports.document import Block, Picture, Section, Table, Text, code, contender_name, paragraph, table
from reports.formatting import (
    NONE,
    NOT_MEASURED,
    count,
    energy,
    milliseconds,
    percent,
    ratio,
    seconds,
    speedup,
    times,
    token_energy,
)

HOW = (
    "Segments of training and of evaluation over the same samples, alternated between each contender and a baseline "
    "process that stays alive (ABBA), timed by the parent's clock. A spoilt block (the machine was busy, swapping, or "
    "throttled other than by its power limit) does not count and is measured again. The job from its parts decides: it "
    "is the baseline's job with training and evaluation at these ratios and with the contender's own warm-up. The jobs "
    "as they ran, one after the other, hold the drift of the machine too, and the cold caches that the baseline's, the "
    "first one, may have found."
)


ENERGY = (
    "Energy of training: after the timed blocks baseline, contender and baseline went through the same samples once "
    "more, for some seconds each, as the driver's energy counter moves only about every 100 ms. An epoch's is scaled "
    "from these samples by the number of windows, evaluation left out. It is the whole GPU's, not the host's."
)


def section(analysis: Analysis) -> Section:
    """Return how speed was timed and what came out."""
    segments = segment_table(analysis)
    if not segments:
        nothing = paragraph("No segments were timed beside a live baseline, so there is no verdict on speed.")
        return Section(title="The evidence on speed", blocks=(nothing,))
    caption = "Job and step speedup of each contender; line: 95 % interval, grey band: noise floor"
    return Section(
        title="The evidence on speed",
        blocks=(
            paragraph(HOW),
            Picture(name="speedup", caption=caption),
            *segments,
            *warm_up_table(analysis),
            *energy_part(analysis),
        ),
    )


def segment_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return the timed segments of each contender; the baseline's row is A/A."""
    headers = ("Strategy", "Steps", "Evaluation", "Blocks", "Job from its parts", "Jobs as they ran")
    rows = []
    for contender, evidence in analysis.ran:
        speed, job = evidence.speed, evidence.job
        if speed is None:
            continue
        repeated = f", {speed.repeats} repeated" if speed.repeats else ""
        rows.append(
            (
                _beside_baseline(contender),
                _ratio(speed.training),
                _ratio(speed.evaluation),
                f"{speed.blocks}{repeated}, {speed.spoilt} spoilt",
                NONE if job is None else _ratio(job.ratio),
                NONE if job is None or job.as_run is None else speedup(job.as_run),
            )
        )
    return table(headers, rows)


def _beside_baseline(contender: ContenderAnalysis) -> Text:
    return (code(contender.name), " again (A/A)") if contender.is_baseline else contender_name(contender.name)


def _ratio(value: Ratio | None) -> str:
    return NOT_MEASURED if value is None else ratio(value.estimate, value.low, value.high)


def warm_up_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return one-time costs and when they are earned back."""
    headers = ("Strategy", "Warm-up", "with a warm cache", "Saved per step", "Break-even", "Time to the baseline's F1")
    rows = (
        (
            contender_name(contender.name),
            _one_time_cost(cost),
            seconds(cost.warm_s) if cost.warm_s is not None else (NOT_MEASURED if cost.compiles else NONE),
            NONE if cost.saved_per_step_s is None else f"{milliseconds(1000 * cost.saved_per_step_s, sign=True)} ms",
            _break_even(cost),
            _time_to_f1(evidence.time_to_score),
        )
        for contender, evidence in analysis.ran
        if (cost := evidence.warm_up) is not None
    )
    return table(headers, rows)


def energy_part(analysis: Analysis) -> tuple[Block, ...]:
    """Return energies per epoch and token; nothing where none was measured."""
    headers = (
        "Strategy", "Energy per epoch", "the baseline's", "Baseline ÷ own", "Per useful token", "the baseline's",
        "Mean power", "Checked by"
    )  # fmt: skip
    rows = [
        (_beside_baseline(contender), *_energies(evidence.energy))
        for contender, evidence in analysis.ran
        if evidence.energy is not None
    ]
    return (paragraph(ENERGY), *table(headers, rows)) if rows else ()


def _energies(evidence: EnergyEvidence) -> tuple[Text, ...]:
    baseline, own = evidence.baseline, evidence.contender
    return (
        f"{energy(own.epoch_j)} ± {percent(own.error_share)}" if own.error_share > 0 else energy(own.epoch_j),
        energy(baseline.epoch_j),
        times(evidence.ratio),
        token_energy(own.token_j),
        token_energy(baseline.token_j),
        f"{own.power_w:.0f} W (baseline {baseline.power_w:.0f} W)",
        _other_reading(own),
    )


def _other_reading(own: TrainingEnergy) -> str:
    """Return what integrated power says where the counter was taken; of no counter that."""
    if own.source == "power":
        return "nothing: no counter, power integrated"
    if own.energy_j is None or own.integrated_j is None:
        return NOT_MEASURED
    return f"integrated power: {percent(own.integrated_j / own.energy_j)} of the counter"


def _one_time_cost(cost: WarmUp) -> str:
    cache = " (cold cache)" if cost.compiles else ""
    stall = f" + {seconds(cost.stall_s)} in the first epoch" if cost.stall_s > 0 else ""
    return f"{seconds(cost.cold_s)}{cache}{stall}"


def _break_even(cost: WarmUp) -> str:
    if cost.saved_per_step_s is None:
        return NONE
    if cost.saved_per_step_s <= 0 or cost.break_even_steps is None:
        return "saves nothing"
    if cost.break_even_steps < 1:
        return "at once"
    warm = "" if cost.break_even_steps_warm is None else f"; warm {count(cost.break_even_steps_warm)} steps"
    return f"{count(cost.break_even_steps)} steps ({cost.break_even_epochs:.1f} epochs){warm}"


def _time_to_f1(time: TimeToScore | None) -> str:
    if time is None:
        return NONE
    if time.contender_s is None:
        return "not reached"
    return f"{seconds(time.contender_s)}" + (f" ({times(time.speedup)})" if time.speedup is not None else "")
