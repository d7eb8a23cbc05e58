"""How far to trust a run, what was run on what, and the commands that run it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from reports.document import Block, Listing, Section, Table, Text, bullets, code, joined, paragraph, table
from reports.formatting import full_stop, one_line, percent, significant
from reports.toml import to_toml

if TYPE_CHECKING:
    from harness.analysis.model import Analysis

NOT_RECORDED = "not recorded"
NOTHING_ODD = "Nothing was missing, damaged or out of the ordinary."

GPU_SETTINGS = {
    "power_limit_w": "power limit {:.0f} W",
    "max_sm_clock_mhz": "SM clock up to {:.0f} MHz",
    "ecc": "ECC {}",
    "is_slice": "a slice of a divided GPU (MIG)",
    "mig": "MIG {}",
    "compute_mode": "compute mode {}",
    "driver_version": "driver {}",
}
"""What the driver says of limits and modes."""


def trust(analysis: Analysis) -> Section:
    """Return everything that bears on how far to trust the numbers."""
    lines: list[Text] = [full_stop(one_line(note)) for note in (*analysis.warnings, *analysis.notes)]
    for contender in analysis.contenders:
        lines += [(code(contender.name), f": {full_stop(one_line(note))}") for note in contender.notes]
    return Section(title="How far to trust this", blocks=bullets(lines or [NOTHING_ODD]))


def what_was_run(analysis: Analysis) -> Section:
    """Return what was run on what."""
    cards = {part.name: part for contender in analysis.contenders for part in contender.strategies}
    rows = (
        (
            code(part.name),
            one_line(part.summary),
            f"{part.effect.lower().replace('_', ' ')}{' (peer)' if part.is_peer else ''}",
        )
        for part in cards.values()
    )
    strategies = table(("Strategy", "What it does", "Effect on the numbers"), rows, "lll")
    below = (Section(title="The strategies", blocks=strategies),) if strategies else ()
    return Section(title="What was run", blocks=(*setting_table(analysis), *below))


def setting_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return model, data, training, hardware and versions."""
    config, data = analysis.run.config, analysis.run.data
    model, training = config["model"], config["training"]
    sizes = (", sizes changed: ", code(json.dumps(model["overrides"]))) if model["overrides"] else ""
    form = f" (of the bundled encoder, {data['model_weights']})" if data.get("model_weights") else ""
    stopped = f", stopped after {training['max_steps']} steps" if training["max_steps"] else ""
    facts: list[tuple[Text, Text]] = [
        ("Model", (code(str(model["source"])), f", {model['weights']} weights{form}", sizes)),
        ("Tokenizer", str(data.get("tokenizer", NOT_RECORDED))),
        ("Data", f"{data.get('source', config['data']['source'])}: {data.get('train_questions', '?')} training and "
                 f"{data.get('validation_questions', '?')} validation {analysis.scoring.examples}"),
        ("Windows", _windows(data, config)),
        ("Training", f"{training['epochs']} epochs, batch {training['batch_size']} "
                     f"(evaluation {training['eval_batch_size']}), learning rate {training['learning_rate']:g}, "
                     f"LR warm-up {percent(training['lr_warmup_ratio'])} of the steps{stopped}"),
        ("Seeds", f"{config['seeds']} per contender"),
        *_machine(analysis.environment),
    ]  # fmt: skip
    return table(("Setting", "This run"), facts, "ll")


def _machine(env: dict[str, Any]) -> Iterator[tuple[Text, Text]]:
    device, name = (str(env.get(key) or NOT_RECORDED) for key in ("device", "device_name"))
    yield "Device", (name if env.get("device_name") else device, " (", code(device), ")")
    known = {key: value for key, value in (env.get("gpu_settings") or {}).items() if value is not None}
    known.pop("mig" if known.get("is_slice") else "is_slice", None)
    on_off = {True: "on", False: "off"}
    settings = [
        words.format(on_off[known[key]] if isinstance(known[key], bool) else known[key])
        for key, words in GPU_SETTINGS.items()
        if key in known
    ]
    if settings:
        yield "GPU settings", ", ".join(settings)
    threads = env.get("torch_threads")
    yield (
        "Host",
        f"{env.get('cpu', NOT_RECORDED)}, {env.get('cpu_cores', '?')} usable cores, "
        f"{'?' if threads is None else threads} PyTorch threads, {env.get('memory_gib', '?')} GiB memory",
    )
    packages = (f"{name} {version}" for name, version in (env.get("packages") or {}).items() if version)
    yield "Versions", ", ".join((f"Python {env.get('python', '?')}", *packages))


def _windows(data: dict[str, Any], config: dict[str, Any]) -> str:
    text = (
        f"{data.get('train_windows', '?')} training and {data.get('validation_windows', '?')} validation windows of up "
        f"to {config['data']['max_length']} tokens"
    )
    if config["task"] == "question_answering":
        text += f", stride {config['data']['doc_stride']}"
    if isinstance(data.get("mean_useful_tokens"), (int, float)):
        text += f"; {significant(data['mean_useful_tokens'])} useful tokens a window on average"
    if isinstance(data.get("padding_share"), (int, float)):
        text += f", so {percent(data['padding_share'])} of the baseline's tokens are padding"
    return text


def reproduce(analysis: Analysis) -> Section:
    """Return the exact commands and the whole configuration."""
    run = analysis.run
    variables = analysis.environment.get("variables") or {}
    names = joined(code(f"{name}={value}") for name, value in variables.items())
    environment: Text = (" With ", names, " in the environment.") if variables else ""
    config = Listing(text=to_toml(run.config), language="toml")
    how = paragraph("Save it as a file for ", code("speedproof run --config FILE"), ":")
    blocks: tuple[Block, ...] = (
        Listing(text="\n".join((*run.earlier_commands, run.command)), language="sh"),
        paragraph(f"Started {run.started}.", environment),
        Section(title="The whole configuration", blocks=(how, config), folded=True),
    )
    return Section(title="How to reproduce", blocks=blocks)
