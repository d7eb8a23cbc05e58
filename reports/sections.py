"""The tables of the Markdown report, one function each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from harness.analysis.model import Analysis, ContenderAnalysis
from reports import reference
from reports.formatting import (
    NONE,
    code,
    count,
    decimal,
    duration,
    full_stop,
    measured,
    one_line,
    percent,
    plain,
    seconds,
    significant,
    table,
)
from reports.verdicts import HEADERS, verdict_rows, verdict_words

PHASE_WORDS = {
    "process_start": "process start", "imports": "imports", "load_data": "load data", "tokenise": "tokenise",
    "load_model": "load model", "apply_strategies": "apply strategies", "warm_up": "warm-up and compile",
    "training": "**training**", "evaluation": "evaluation (forward)", "span_search": "span search",
    "scoring": "scoring (EM, F1)", "saving": "saving", "other": "other",
}  # fmt: skip
"""Phases of a job, as the table calls them."""


def measured_contenders(analysis: Analysis) -> list[ContenderAnalysis]:
    """Return the contenders with at least one whole job, the baseline first."""
    return [contender for contender in analysis.contenders if contender.seeds]


def verdict_table(analysis: Analysis) -> str:
    """Return the table of verdicts."""
    rows = []
    for row in verdict_rows(analysis):
        name, verdict, *numbers = row.cells()
        rows.append([code(name), plain(verdict), *(plain(cell) for cell in numbers)])
    return table(HEADERS, rows, "ll")


def setting_table(analysis: Analysis) -> str:
    """Return what was run on what."""
    config, data, env = analysis.run.config, analysis.run.data, analysis.environment
    model, training = config["model"], config["training"]
    packages = env.get("packages") or {}
    device = plain(str(env.get("device_name") or env.get("device") or NOT_RECORDED))
    threads = env.get("torch_threads")
    facts = [
        ("Model", f"{code(str(model['source']))}, {model['weights']} weights"
                  + (f", sizes changed: {code(json.dumps(model['overrides']))}" if model["overrides"] else "")),
        ("Tokenizer", plain(str(data.get("tokenizer", NOT_RECORDED)))),
        ("Data", f"{plain(str(data.get('source', config['data']['source'])))}: {_questions(data)}"),
        ("Windows", _windows(data, config["data"])),
        ("Training", f"{training['epochs']} epochs, batch {training['batch_size']} "
                     f"(evaluation {training['eval_batch_size']}), learning rate {training['learning_rate']:g}, "
                     f"LR warm-up {percent(training['lr_warmup_ratio'])} of the steps"
                     + (f", stopped after {training['max_steps']} steps" if training["max_steps"] else "")),
        ("Seeds", f"{config['seeds']} per contender"),
        ("Device", f"{device} ({code(str(env.get('device', NOT_RECORDED)))})"),
        ("Host", f"{plain(str(env.get('cpu', NOT_RECORDED)))}, {env.get('cpu_cores', '?')} usable cores, "
                 f"{threads if threads is not None else '?'} PyTorch threads, {env.get('memory_gib', '?')} GiB memory"),
        ("Versions", plain(", ".join([f"Python {env.get('python', '?')}",
                                      *(f"{name} {version}" for name, version in packages.items() if version)]))),
    ]  # fmt: skip
    return table(("Setting", "This run"), facts, "ll")


NOT_RECORDED = "not recorded"


def _questions(data: dict[str, Any]) -> str:
    return (
        f"{data.get('train_questions', '?')} training and {data.get('validation_questions', '?')} validation questions"
    )


def _windows(data: dict[str, Any], config: dict[str, Any]) -> str:
    text = (
        f"{data.get('train_windows', '?')} training and {data.get('validation_windows', '?')} validation windows of up "
        f"to {config['max_length']} tokens, stride {config['doc_stride']}"
    )
    if isinstance(data.get("mean_useful_tokens"), (int, float)):
        text += f"; {significant(data['mean_useful_tokens'])} useful tokens a window on average"
    if isinstance(data.get("padding_share"), (int, float)):
        text += f", so {percent(data['padding_share'])} of the baseline's tokens are padding"
    return text


def reason_lines(analysis: Analysis) -> list[str]:
    """Return a line for each contender with a verdict, or without numbers of its own, and why."""
    lines = []
    for contender in analysis.contenders:
        if not contender.reasons:
            continue
        log = ""
        if contender.state == "failed":
            folder = code(f"trials/{contender.name}/")
            log = f" The traceback is in a `log.txt` below {folder}."
        reasons = full_stop("; ".join(plain(reason) for reason in contender.reasons))
        lines.append(f"{code(contender.name)} **{verdict_words(contender)}**: {reasons}{log}")
    return lines


def link(path: str) -> str:
    """Return a relative path as the target of a link."""
    return path.replace(" ", "%20").replace("(", "%28").replace(")", "%29")


def epoch_table(contender: ContenderAnalysis) -> str:
    """Return a contender's epochs with the published reference beside them."""
    published = {row[0]: row[1:] for row in reference.EPOCHS}
    headers = ("Epoch", "Training", "Loss", "EM", "F1", "*published:* training", "loss", "EM", "F1")
    rows = []
    for epoch in contender.epochs:
        other = published.get(epoch.epoch)
        beside = [NONE] * 4 if other is None else \
            [f"{other[0]:g} s", f"{other[1]:.2f}", f"{other[2]:.1f}", f"{other[3]:.2f}"]  # fmt: skip
        rows.append([
            str(epoch.epoch), seconds(epoch.train_time_s), _loss(epoch.train_loss),
            _percent_value(epoch.em), _percent_value(epoch.f1), *beside,
        ])  # fmt: skip
    published_training = f"{sum(row[1] for row in reference.EPOCHS):g} s"
    if len(contender.epochs) != len(reference.EPOCHS):
        published_training += f" ({len(reference.EPOCHS)} epochs)"
    rows.append(["all epochs", seconds(contender.train_time_s), "", "", "", published_training, "", "", ""])
    rows.append(["**whole job**", f"**{duration(contender.job_time_s)}**", "", "", "",
                 duration(reference.TOTAL_S), "", "", ""])  # fmt: skip
    return table(headers, rows)


def _percent_value(value: float | None) -> str:
    return measured(None) if value is None else decimal(value)


def _loss(value: float | None) -> str:
    return measured(None) if value is None else decimal(value, 3)


def phase_table(contenders: Sequence[ContenderAnalysis]) -> str:
    """Return the phases of all contenders side by side, with their share of the job."""
    seen = list(dict.fromkeys(name for contender in contenders for name in contender.phases_s))
    unknown = [name for name in seen if name not in PHASE_WORDS]
    names = [name for name in PHASE_WORDS if name in seen and name != "other"] + unknown
    names += ["other"] if "other" in seen else []
    rows = []
    for name in names:
        rows.append([phase_words(name), *(_phase_cell(contender, name) for contender in contenders)])
    rows.append(["**job**", *(f"**{seconds(contender.job_time_s)}**" for contender in contenders)])
    return table(("Phase", *(code(contender.name) for contender in contenders)), rows)


def phase_words(name: str) -> str:
    """Return what the report calls a phase."""
    return PHASE_WORDS.get(name, plain(name.replace("_", " ")))


def _phase_cell(contender: ContenderAnalysis, name: str) -> str:
    time_s = contender.phases_s.get(name)
    if time_s is None:
        return NONE
    share = f" ({percent(time_s / contender.job_time_s)})" if contender.job_time_s else ""
    return f"{seconds(time_s)}{share}"


def kernel_table(contender: ContenderAnalysis) -> str:
    """Return the longest kernels or operators of the profiled steps."""
    if contender.profile is None:
        return ""
    what = "Kernel" if contender.profile.time_kind == "device" else "Operator"
    rows = [
        [code(one_line(row.name, 90)), percent(row.share), significant(row.calls_per_step),
         f"{significant(row.time_ms_per_step)} ms"]
        for row in contender.profile.kernels
    ]  # fmt: skip
    if contender.profile.other_rows:
        rows.append([f"{contender.profile.other_rows} others", percent(contender.profile.other_share), "", ""])
    return table((what, "Share", "Calls per step", "Self time per step"), rows)


def throughput_table(contenders: Sequence[ContenderAnalysis]) -> str:
    """Return how fast the steps were."""
    rows = []
    for contender in contenders:
        t = contender.throughput
        if t is not None:
            rows.append([code(contender.name), str(t.steps), f"{significant(t.median_step_time_ms)} ms",
                         significant(t.windows_per_s), count(t.useful_tokens_per_s),
                         count(t.computed_tokens_per_s)])  # fmt: skip
    return table(("Strategy", "Steps", "Median step", "Windows/s", "Useful tokens/s", "Tokens/s with padding"), rows)


def work_table(contenders: Sequence[ContenderAnalysis]) -> str:
    """Return how much was trained, and whether that is what the baseline trained."""
    rows = []
    for contender in contenders:
        work = contender.work
        if work is None:
            continue
        if contender.is_baseline:
            same = "the measure"
        elif work.differences:
            same = "**no**: " + "; ".join(plain(text) for text in work.differences)
        elif work.equal is None:
            same = "nothing to compare with"
        else:
            same = "yes"
        if work.expected:
            same += "; by design: " + "; ".join(plain(text) for text in work.expected)
        ratio = work.gradient_norm_ratio
        rows.append([code(contender.name), f"{work.updates_applied} of {work.updates}", count(work.windows),
                     count(work.useful_tokens), count(work.computed_tokens), count(work.trained_parameters),
                     NONE if ratio is None else f"{ratio:.2f}×", same])  # fmt: skip
    headers = ("Strategy", "Updates applied", "Windows", "Useful tokens", "Tokens with padding",
               "Parameters trained", "Gradient norm", "Same as the baseline")  # fmt: skip
    return table(headers, rows, "lrrrrrrl")


def card_table(analysis: Analysis) -> str:
    """Return each strategy's summary and effect."""
    cards = {part.name: part for contender in analysis.contenders for part in contender.strategies}
    rows = [
        [
            code(part.name),
            plain(part.summary),
            plain(part.effect.lower().replace("_", " ") + (" (peer)" if part.is_peer else "")),
        ]
        for part in cards.values()
    ]
    return table(("Strategy", "What it does", "Effect on the numbers"), rows, "lll") if rows else ""
