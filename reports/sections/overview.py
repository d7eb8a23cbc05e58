"""The first screen: what was run, what is faster, by how much, whether quality is kept, and why."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from harness.analysis.evidence.gather import Evidence
from harness.analysis.model import Analysis, ContenderAnalysis
from reports.document import (
    Block,
    Paragraph,
    Section,
    Table,
    Text,
    bullets,
    code,
    contender_name,
    paragraph,
    picture,
    strong,
    table,
)
from reports.formatting import NOT_MEASURED, decimal, full_stop, one_line, quality
from reports.verdicts import (
    LONGEST_REASON,
    SPEEDUP_MEANS,
    noise_words,
    range_notes,
    reasons_words,
    result_text,
    titles,
    verdict_row,
    verdict_words,
)

ROW_PLOT = "speedup-"
"""Beginning of the names of the small plots in the table of verdicts, one for each contender."""

PLOT_HEADER = "95\u00a0%\u00a0interval"
"""Can't break, so that GitHub leaves the plots below it their width."""


def overview(analysis: Analysis, drawn: Container[str]) -> tuple[Block, ...]:
    """Return everything above the first section."""
    warnings = (
        Paragraph(kind="warn", text=full_stop(one_line(text, LONGEST_REASON)))
        for text in (*_incomplete(analysis), *analysis.warnings)
    )
    reasons = bullets(reason_lines(analysis))
    return (
        Paragraph(kind="headline", text=result_text(analysis)),
        *warnings,
        paragraph(run_line(analysis)),
        *verdict_table(analysis, drawn),
        *((Section(title="Why these verdicts", blocks=reasons),) if reasons else ()),
        Section(title="How to read the table", blocks=bullets(_reading_notes(analysis)), folded=True),
    )


def _incomplete(analysis: Analysis) -> Iterator[str]:
    """Say if a run was interrupted or has lost records: numbers may change when it goes on."""
    run = analysis.run
    lacking = len(run.trials_missing) + len(run.trials_damaged)
    if lacking:
        yield (
            f"this run is not complete: {lacking} of {run.trials_planned} planned trials have no readable record. The "
            "same command goes on where it stopped"
        )


def run_line(analysis: Analysis) -> Text:
    """Say in one line what was trained on what."""
    config, data, environment = analysis.run.config, analysis.run.data, analysis.environment
    device = environment.get("device_name") or environment.get("device") or "an unknown device"
    seeds = f"{config['seeds']} seed{'s' if config['seeds'] > 1 else ''}"
    return (
        "Fine-tuning ", code(str(config["model"]["source"])), f" ({config['model']['weights']} weights) on "
        f"{data.get('train_questions', '?')} questions (data: {data.get('source', config['data']['source'])}), "
        f"{config['training']['epochs']} epochs, {seeds} per contender, on {device}.",
    )  # fmt: skip


def verdict_table(analysis: Analysis, drawn: Container[str] = ()) -> tuple[Table, ...]:
    """Return the table of verdicts, with a small plot beside each job speedup that was drawn."""
    with_energy = any(contender.energy_j is not None for contender in analysis.contenders)
    with_plots = any(ROW_PLOT + contender.name in drawn for contender in analysis.contenders)
    headers = ["Strategy", "Verdict", "Job speedup"]
    headers += [PLOT_HEADER] if with_plots else []
    headers += ["Quality", "Step speedup", *titles(analysis), "Peak memory", *(["Energy"] if with_energy else [])]
    rows = [
        list(_cells(analysis, contender, drawn, with_plots=with_plots, with_energy=with_energy))
        for contender in analysis.contenders
    ]
    return table(headers, rows, "llrll" if with_plots else "llrl")


def _cells(
    analysis: Analysis, contender: ContenderAnalysis, drawn: Container[str], *, with_plots: bool, with_energy: bool
) -> Iterator[Text]:
    row = verdict_row(analysis, contender, ranges=False)
    job_speedup = verdict_row(analysis, contender).job_speedup
    verdict = strong(row.verdict) if row.verdict == "ACCEPTED" else row.verdict
    yield from (contender_name(row.name), verdict, job_speedup)
    if with_plots:
        name = ROW_PLOT + contender.name
        yield (picture(name, "A/A" if contender.is_baseline else f"job speedup {job_speedup}") if name in drawn else "")
    yield from (row.quality, row.step_speedup, *row.scores, row.peak_memory)
    if with_energy:
        yield row.energy


def reason_lines(analysis: Analysis) -> Iterator[Text]:
    """Yield a line for each contender with a verdict, or without numbers of its own, and why."""
    for contender in analysis.contenders:
        if not contender.reasons:
            continue
        reasons = reasons_words(contender)
        log: Text = ""
        if contender.state == "failed":
            log = (" The traceback is in a ", code("log.txt"), " below ", code(f"trials/{contender.name}/"), ".")
        yield code(contender.name), " ", strong(verdict_words(contender)), f": {reasons}", log


def _reading_notes(analysis: Analysis) -> Iterable[Text]:
    yield SPEEDUP_MEANS
    yield noise_words(analysis)
    yield (
        f"In brackets: the 95 % interval of the job speedup; of {analysis.scoring.titles} the difference to the "
        "baseline in points. The other intervals stand in the evidence below."
    )
    yield from range_notes(analysis)
    yield (
        "The small plots: dot and whisker are the job speedup and its 95 % interval, the vertical line is 1×, the grey "
        "band the noise floor; logarithmic, the same scale in every row. The baseline's row is the baseline against "
        "itself, steps only."
    )
    yield (
        "Quality: “same updates” and “holds” are shown, the first by holding losses, gradients and updates against the "
        f"fp32 reference, the second by {analysis.scoring.titles} against the margin; “open” means that nothing is "
        "shown either way."
    )
    yield from _memory_note(analysis.baseline_contender.evidence)
    yield energy_note(analysis)
    yield from _untrained_note(analysis)


def _memory_note(baseline: Evidence | None) -> Iterator[str]:
    """Say which memory the table shows."""
    if baseline is None or baseline.memory is None:
        return
    if baseline.memory.allocated_gib is None:
        yield "Peak memory: resident memory of the process, libraries included."
    else:
        yield "Peak memory: tensors on the device at their highest; the allocator holds more."


def energy_note(analysis: Analysis) -> str:
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


def _untrained_note(analysis: Analysis) -> Iterator[str]:
    """Say where training began, without which scores mean little."""
    before, after, metrics = analysis.untrained, analysis.baseline_contender.scores, analysis.scoring.metrics
    if before is None or len(after) < len(metrics):
        return
    yield (
        f"Before training the model scored {_listed(f'{m.title} {decimal(before[m.name])}' for m in metrics)}; the "
        f"baseline ended at {_listed(f'{m.title} {quality(after[m.name], alone=True)}' for m in metrics)}. That first "
        "evaluation is ours, and no part of the job's time."
    )


def _listed(parts: Iterable[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
