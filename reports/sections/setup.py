"""How far to trust a run, what was run on what, and the commands that run it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from harness.analysis.model import Analysis
from reports.document import Block, Listing, Section, Table, Text, bullets, code, joined, paragraph, table
from reports.formatting import full_stop, one_line, percent, significant
from reports.toml import to_toml

NOT_RECORDED = "not recorded"
NOTHING_ODD = "Nothing was missing, damaged or out of the ordinary."


def trust_section(analysis: Analysis) -> Section:
    """Return everything that bears on how far to trust the numbers."""
    return Section(title="How far to trust this", blocks=bullets(_validity(analysis)) or bullets([NOTHING_ODD]))


def _validity(analysis: Analysis) -> Iterator[Text]:
    for note in (*analysis.warnings, *analysis.notes):
        yield full_stop(one_line(note))
    for contender in analysis.contenders:
        for note in contender.notes:
            yield code(contender.name), f": {full_stop(one_line(note))}"


def environment_section(analysis: Analysis) -> Section:
    """Return what was run on what."""
    cards = card_table(analysis)
    strategies = (Section(title="The strategies", blocks=cards),) if cards else ()
    return Section(title="What was run", blocks=(*setting_table(analysis), *strategies))


def setting_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return model, data, training, hardware and versions."""
    config, data, env = analysis.run.config, analysis.run.data, analysis.environment
    model, training = config["model"], config["training"]
    sizes = (", sizes changed: ", code(json.dumps(model["overrides"]))) if model["overrides"] else ""
    form = f" (of the bundled encoder, {data['model_weights']})" if data.get("model_weights") else ""
    stopped = f", stopped after {training['max_steps']} steps" if training["max_steps"] else ""
    facts: list[tuple[Text, Text]] = [
        ("Model", (code(str(model["source"])), f", {model['weights']} weights{form}", sizes)),
        ("Tokenizer", str(data.get("tokenizer", NOT_RECORDED))),
        ("Data", f"{data.get('source', config['data']['source'])}: {data.get('train_questions', '?')} training and "
                 f"{data.get('validation_questions', '?')} validation questions"),
        ("Windows", _windows(data, config["data"])),
        ("Training", f"{training['epochs']} epochs, batch {training['batch_size']} "
                     f"(evaluation {training['eval_batch_size']}), learning rate {training['learning_rate']:g}, "
                     f"LR warm-up {percent(training['lr_warmup_ratio'])} of the steps{stopped}"),
        ("Seeds", f"{config['seeds']} per contender"),
        *_machine(env),
    ]  # fmt: skip
    return table(("Setting", "This run"), facts, "ll")


def _machine(env: dict[str, Any]) -> Iterator[tuple[Text, Text]]:
    packages = env.get("packages") or {}
    threads = env.get("torch_threads")
    device = str(env.get("device_name") or env.get("device") or NOT_RECORDED)
    versions = [
        f"Python {env.get('python', '?')}",
        *(f"{name} {version}" for name, version in packages.items() if version),
    ]
    yield "Device", (device, " (", code(str(env.get("device", NOT_RECORDED))), ")")
    settings = list(_gpu_settings(env.get("gpu_settings") or {}))
    if settings:
        yield "GPU settings", ", ".join(settings)
    yield (
        "Host",
        (
            f"{env.get('cpu', NOT_RECORDED)}, {env.get('cpu_cores', '?')} usable cores, "
            f"{threads if threads is not None else '?'} PyTorch threads, {env.get('memory_gib', '?')} GiB memory"
        ),
    )
    yield "Versions", ", ".join(versions)


def _gpu_settings(settings: dict[str, Any]) -> Iterator[str]:
    """Yield what the driver says of limits and modes."""
    limit_w, clock_mhz, mode = (settings.get(name) for name in ("power_limit_w", "max_sm_clock_mhz", "compute_mode"))
    if limit_w is not None:
        yield f"power limit {limit_w:.0f} W"
    if clock_mhz is not None:
        yield f"SM clock up to {clock_mhz:.0f} MHz"
    if settings.get("ecc") is not None:
        yield f"ECC {'on' if settings['ecc'] else 'off'}"
    if settings.get("is_slice"):
        yield "a slice of a divided GPU (MIG)"
    elif settings.get("mig") is not None:
        yield f"MIG {'on' if settings['mig'] else 'off'}"
    if mode is not None:
        yield f"compute mode {mode}"
    if settings.get("driver_version") is not None:
        yield f"driver {settings['driver_version']}"


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


def card_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return each strategy's summary and effect."""
    cards = {part.name: part for contender in analysis.contenders for part in contender.strategies}
    rows = (
        (
            code(part.name),
            one_line(part.summary),
            part.effect.lower().replace("_", " ") + (" (peer)" if part.is_peer else ""),
        )
        for part in cards.values()
    )
    return table(("Strategy", "What it does", "Effect on the numbers"), rows, "lll")


def reproduce_section(analysis: Analysis) -> Section:
    """Return the exact commands and the whole configuration."""
    run = analysis.run
    variables = analysis.environment.get("variables") or {}
    names = joined(code(f"{name}={value}") for name, value in variables.items())
    environment: Text = (" With ", names, " in the environment.") if variables else ""
    config = (paragraph("Save it as a file for ", code("speedproof run --config FILE"), ":"), _listing(run.config))
    blocks: tuple[Block, ...] = (
        Listing(text=run.command, language="sh"),
        paragraph(f"Started {run.started}.", environment),
        Section(title="The whole configuration", blocks=config, folded=True),
    )
    return Section(title="How to reproduce", blocks=blocks)


def _listing(config: dict[str, Any]) -> Listing:
    return Listing(text=to_toml(config), language="toml")
