"""The first screen: what was run, what is faster, by how much, whether quality is kept, and why."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING

from reports.answer import result_text
from reports.document import (
    Block,
    Paragraph,
    Section,
    Table,
    Text,
    bullets,
    code,
    contender_name,
    listed,
    marked_text,
    paragraph,
    picture,
    strong,
    table,
)
from reports.formatting import NOT_MEASURED, decimal, full_stop, one_line
from reports.verdicts import (
    LONGEST_REASON,
    ROW_PLOT,
    SPEEDUP_MEANS,
    noise_words,
    reasons_words,
    verdict_rows,
    verdict_words,
)

if TYPE_CHECKING:
    from harness.analysis.model import Analysis

VERDICTS_MEAN = (
    "ACCEPTED: shown to be faster, and its quality the same or holding. FASTER: shown to be faster, quality open. "
    "NO_GAIN: shown to gain less than {worth} (--worth). SLOWER: shown to be slower. UNCLEAR: none of these is shown. "
    "NOT_MEASURED: spoilt or not asked for, so there is no number."
)

PLOT_HEADER = "95\u00a0%\u00a0interval"
"""Can't break, so that GitHub leaves the plots below it their width."""


def overview(analysis: Analysis, drawn: Container[str]) -> tuple[Block, ...]:
    """Return everything above the first section."""
    run, config, environment = analysis.run, analysis.run.config, analysis.environment
    warnings = list(analysis.warnings)
    lacking = len(run.trials_missing) + len(run.trials_damaged)
    if lacking:
        warnings.insert(
            0,
            f"this run is not complete: {lacking} of {run.trials_planned} planned trials have no readable record. The "
            "same command goes on where it stopped",
        )
    device = environment.get("device_name") or environment.get("device") or "an unknown device"
    what = paragraph(
        "Fine-tuning ", code(str(config["model"]["source"])), f" ({config['model']['weights']} weights) on "
        f"{run.data.get('train_questions', '?')} {analysis.scoring.examples} (data: "
        f"{run.data.get('source', config['data']['source'])}), {config['training']['epochs']} epochs, "
        f"{config['seeds']} seed{'s' if config['seeds'] > 1 else ''} per contender, on {device}.",
    )  # fmt: skip
    reasons = bullets(reason_lines(analysis))
    return (
        Paragraph(kind="headline", text=result_text(analysis)),
        *(Paragraph(kind="warn", text=full_stop(one_line(warning, LONGEST_REASON))) for warning in warnings),
        what,
        *verdict_table(analysis, drawn),
        *((Section(title="Why these verdicts", blocks=reasons),) if reasons else ()),
        Section(title="How to read the table", blocks=bullets(_reading_notes(analysis)), folded=True),
    )


def verdict_table(analysis: Analysis, drawn: Container[str] = ()) -> tuple[Table, ...]:
    """Return the table of verdicts, with a small plot beside each job speedup that was drawn."""
    plots = {contender.name: ROW_PLOT + contender.name for contender in analysis.contenders}
    left_out = set() if any(plot in drawn for plot in plots.values()) else {PLOT_HEADER}
    if all(contender.energy_j is None for contender in analysis.contenders):
        left_out.add("Energy")
    rows = []
    for whole, short in zip(verdict_rows(analysis), verdict_rows(analysis, ranges=False), strict=True):
        name, verdict, job_speedup = whole["Strategy"], whole["Verdict"], whole["Job speedup"]
        shows = "A/A" if name == analysis.baseline else f"job speedup {job_speedup}"
        cells: dict[str, Text] = {
            "Strategy": contender_name(name),
            "Verdict": strong(verdict) if verdict == "ACCEPTED" else verdict,
            "Job speedup": job_speedup,
            PLOT_HEADER: picture(plots[name], shows) if plots[name] in drawn else "",
        }
        cells |= {head: words for head, words in short.items() if head not in cells}
        rows.append({head: cell for head, cell in cells.items() if head not in left_out})
    return table(rows[0], (row.values() for row in rows), "llrl" if PLOT_HEADER in left_out else "llrll")


def reason_lines(analysis: Analysis) -> Iterator[Text]:
    """Yield a line for each contender with a verdict, or without numbers of its own, and why."""
    for contender in analysis.contenders:
        if contender.reasons:
            log: Text = ""
            if contender.state == "failed":
                log = (" The traceback is in a ", code("log.txt"), " below ", code(f"trials/{contender.name}/"), ".")
            reasons = reasons_words(contender)
            # Commands stand in backticks; what an error says is shown as it is.
            marked: Text = marked_text(reasons) if contender.state == "measured" else reasons
            yield code(contender.name), " ", strong(verdict_words(contender)), ": ", marked, log


def _reading_notes(analysis: Analysis) -> Iterator[Text]:
    yield SPEEDUP_MEANS
    yield noise_words(analysis)
    yield (
        f"In brackets: the 95 % interval of the job speedup; of {analysis.scoring.titles} the difference to the "
        "baseline in points. The other intervals stand in the evidence below."
    )
    yield (
        "The small plots: dot and whisker are the job speedup and its 95 % interval, the vertical line is 1×, within "
        "the grey band nothing is claimed; logarithmic, the same scale in every row. The baseline's row is the "
        "baseline against itself, steps only."
    )
    yield (
        "Quality: “same updates” is shown by holding losses, gradients and updates against the fp32 reference, "
        "“rounding within noise” by audits of a lower precision, whose gradients stay nearer to the reference's than "
        "dropout and the choice of the batch move them, "
        f"“holds” by {analysis.scoring.titles} against the margin; “open” means that "
        "nothing is shown either way."
    )
    yield VERDICTS_MEAN.format(worth=f"{100.0 * analysis.run.config.get('worth', 0.0):g} %")
    baseline = analysis.baseline_contender
    memory = None if baseline.evidence is None else baseline.evidence.memory
    if memory is not None and memory.allocated_gib is None:
        yield "Peak memory: resident memory of the process, libraries included."
    elif memory is not None:
        yield "Peak memory: tensors on the device at their highest; the allocator holds more."
    yield _energy_note(analysis)
    before, metrics = analysis.untrained, analysis.scoring.metrics
    after = baseline.epochs[-1].scores if baseline.epochs else {}
    if before is not None and len(after) == len(metrics):
        started = [f"{m.title} {decimal(before[m.name])}" for m in metrics]
        ended = [f"{m.title} {decimal(after[m.name])}" for m in metrics]
        yield (
            "Before training the model scored ",
            listed(started),
            "; the baseline ended at ",
            listed(ended),
            ". That first evaluation is ours, and no part of the job's time.",
        )


def _energy_note(analysis: Analysis) -> str:
    """Say where energies are from, or why there are none."""
    watched = [evidence.sampling for _, evidence in analysis.ran if evidence.sampling is not None]
    if not watched:
        return "Energy was not measured: no sampler watched the jobs."
    if watched[0].source == "nvml":
        segments = any(evidence.energy is not None for _, evidence in analysis.ran)
        if segments and all(contender.energy_j is None for contender in analysis.contenders):
            return "Energy of the whole jobs is not stated (see below); per epoch it stands in the evidence on speed."
        return "Energy: the whole GPU's, from the first step to the last evaluation."
    reason = f" ({one_line(watched[0].source_reason)})" if watched[0].source_reason else ""
    return f"Energy was {NOT_MEASURED}: it needs NVML{reason}."
