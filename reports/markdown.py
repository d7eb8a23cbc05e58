"""`report.md`: what a run found, readable at a glance and without anything but a Markdown viewer."""

from __future__ import annotations

from typing import Any

import jinja2

from harness.analysis.model import Analysis, ContenderAnalysis
from reports import evidence, reference, sections
from reports.formatting import code, duration, fenced, full_stop, measured, percent, plain, quality, significant
from reports.toml import to_toml
from reports.verdicts import result_sentence, spread_notes

TEMPLATE = "report.md.j2"


def render_markdown(analysis: Analysis, figures: tuple[str, ...] = ()) -> str:
    """Return the report; `figures` names the files in `figures/` that are there."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports", "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {
        "code": code,
        "fenced": fenced,
        "full_stop": full_stop,
        "link": sections.link,
        "plain": plain,
    }
    return environment.get_template(TEMPLATE).render(**_context(analysis, figures))


def _context(analysis: Analysis, figures: tuple[str, ...]) -> dict[str, Any]:
    contenders = sections.measured_contenders(analysis)
    baseline = analysis.baseline_contender
    return {
        "analysis": analysis,
        "baseline": baseline,
        "contenders": contenders,
        "others": [contender for contender in contenders if not contender.is_baseline],
        "profiled": [contender for contender in analysis.contenders if contender.profile is not None],
        "figures": figures,
        "sentence": result_sentence(analysis, code),
        "settings": sections.setting_table(analysis),
        "verdicts": sections.verdict_table(analysis),
        "spread_notes": spread_notes(analysis),
        "memory_note": memory_note(baseline),
        "energy_note": energy_note(analysis),
        "reasons": sections.reason_lines(analysis),
        "speeds": evidence.speed_table(contenders),
        "warm_ups": evidence.warm_up_table(contenders),
        "qualities": evidence.quality_table(contenders),
        "changes": evidence.change_lines(contenders),
        "certification": evidence.certification_note(analysis),
        "learning": evidence.learning_note(analysis),
        "untrained": untrained_note(analysis),
        "comparability": reference.comparability(analysis.run.config),
        "reference": reference,
        "epoch_table": sections.epoch_table,
        "training_share": training_share(baseline),
        "phases": sections.phase_table(contenders) if contenders else "",
        "kernel_table": sections.kernel_table,
        "profile_note": profile_note,
        "throughput": sections.throughput_table(contenders) if contenders else "",
        "work": sections.work_table(contenders) if contenders else "",
        "sampler": sampler_lines(contenders),
        "cards": sections.card_table(analysis),
        "validity": validity_lines(analysis),
        "toml": to_toml(analysis.run.config),
        "variables": analysis.environment.get("variables") or {},
    }


def memory_note(baseline: ContenderAnalysis) -> str:
    """Say which memory the table shows."""
    if baseline.memory is None:
        return ""
    if baseline.memory.allocated_gib is None:
        return "Peak memory: resident memory of the process, libraries included."
    return "Peak memory: tensors on the device at their highest; the allocator holds more."


def energy_note(analysis: Analysis) -> str:
    """Say where energies are from, or why there are none."""
    watched = [contender.sampling for contender in analysis.contenders if contender.sampling is not None]
    if not watched:
        return "Energy was not measured: no sampler watched the jobs."
    if watched[0].source == "nvml":
        return "Energy: the whole GPU's, from the first step to the last evaluation."
    reason = f" ({plain(watched[0].source_reason)})" if watched[0].source_reason else ""
    return f"Energy was not measured: it needs NVML{reason}."


def untrained_note(analysis: Analysis) -> str:
    """Say where training began, without which EM and F1 mean little."""
    before, after = analysis.untrained, analysis.baseline_contender
    if before is None or after.em is None or after.f1 is None:
        return ""
    return (
        f"Before training the model scored EM {before.em:.1f} and F1 {before.f1:.1f}; the baseline ended at "
        f"EM {quality(after.em, alone=True)} and F1 {quality(after.f1, alone=True)}. That first evaluation is ours, "
        "and no part of the job's time."
    )


def training_share(baseline: ContenderAnalysis) -> str:
    """Say at a glance how much of the baseline's job was training."""
    training_s = baseline.phases_s.get("training")
    if training_s is None or not baseline.job_time_s:
        return ""
    share = training_s / baseline.job_time_s
    return (
        f"Training is **{percent(share)}** of the baseline's job ({duration(training_s)} of "
        f"{duration(baseline.job_time_s)}); of the published reference's it was {percent(reference.TRAINING_SHARE)}. "
        f"The longest of the rest: {', '.join(_longest_phases(baseline, baseline.job_time_s))}."
    )


def _longest_phases(contender: ContenderAnalysis, job_time_s: float, how_many: int = 3) -> list[str]:
    rest = {name: time_s for name, time_s in contender.phases_s.items() if name != "training"}
    longest = sorted(rest, key=lambda name: -rest[name])[:how_many]
    return [f"{sections.phase_words(name)} {percent(rest[name] / job_time_s)}" for name in longest]


def profile_note(contender: ContenderAnalysis) -> str:
    """Say what was profiled and what the profiler cost."""
    profile = contender.profile
    if profile is None:
        return ""
    text = (
        f"{profile.active_steps} steps under `torch.profiler`, in a process of their own: "
        f"{significant(profile.profiled_step_time_ms)} ms a step"
    )
    if profile.overhead is None:
        return text + ", without an unprofiled step to hold against."
    text += f", against a median of {measured(profile.unprofiled_step_time_ms, 'ms')} unprofiled "
    if profile.overhead < 0:
        return text + "(so the difference is noise, not a cost of the profiler)."
    overhead = f"({percent(profile.overhead)} profiler overhead, noise included)"
    return f"{text}{overhead}. Speedups come from unprofiled steps."


def sampler_lines(contenders: list[ContenderAnalysis]) -> list[str]:
    """Say which sampler watched, why, and what it cost."""
    watched = [(contender, contender.sampling) for contender in contenders if contender.sampling is not None]
    if not watched:
        return ["No sampler watched the jobs."]
    sampling = watched[0][1]
    name = {"nvml": "NVML", "psutil": "psutil"}.get(sampling.source, sampling.source)
    reason = f", not NVML: {plain(sampling.source_reason)}" if sampling.source_reason else ""
    overhead = max(other.overhead_share for _, other in watched)
    lines = [f"Sampler: {name}{reason}. Its readings took {percent(overhead)} of the elapsed time at most."]
    parts = {
        "mean_gpu_utilisation_percent": "GPU utilisation {:.0f} % on average (share of time in which any kernel ran; "
                                        "not efficiency)",
        "mean_power_w": "{:.0f} W on average",
        "max_temperature_c": "{:.0f} °C at most",
        "mean_process_cpu_percent": "process CPU {:.0f} % of one core on average",
        "max_load_average_1min": "load average {:.1f} at most",
    }  # fmt: skip
    values = sampling.values
    seen = [words.format(values[key]) for key, words in parts.items() if values.get(key) is not None]
    if seen:
        lines.append(f"While {code(watched[0][0].name)} trained and evaluated: {', '.join(seen)}.")
    return lines


def validity_lines(analysis: Analysis) -> list[str]:
    """Return everything that bears on how far to trust the numbers."""
    lines = [full_stop(plain(note)) for note in (*analysis.warnings, *analysis.notes)]
    for contender in analysis.contenders:
        lines += [full_stop(f"{code(contender.name)}: {plain(note)}") for note in contender.notes]
    return lines
