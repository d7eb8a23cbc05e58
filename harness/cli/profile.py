"""`speedproof profile`: where the time of one configuration goes, and what would save it, in under a minute."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.cli.options import DataSource, Device, PluginOption, RunsDirectory, Weights, text_of, value_of
from harness.cli.settings import build_config


def profile(
    stack: Annotated[
        str, typer.Argument(metavar="[STRATEGY|STACK]", help="What to profile, like amp_bf16+fused_adamw.")
    ] = "baseline",
    preset: Annotated[str | None, typer.Option(help="seed, seed-offline, quick or smoke.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    model: Annotated[str | None, typer.Option(help="Hub id, directory, 'bundled', or 'bundled-distilbert'.")] = None,
    weights: Annotated[Weights | None, typer.Option()] = None,
    data: Annotated[DataSource | None, typer.Option()] = None,
    train_file: Annotated[Path | None, typer.Option(help="SQuAD v1.1 JSON.")] = None,
    validation_file: Annotated[Path | None, typer.Option(help="SQuAD v1.1 JSON.")] = None,
    train_size: Annotated[int | None, typer.Option(help="Training questions of the whole job.")] = None,
    validation_size: Annotated[int | None, typer.Option(help="Validation questions of the whole job.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens in a window.")] = None,
    doc_stride: Annotated[int | None, typer.Option(help="Tokens two windows share.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Of the whole job.")] = None,
    batch_size: Annotated[int | None, typer.Option()] = None,
    eval_batch_size: Annotated[int | None, typer.Option()] = None,
    device: Annotated[Device | None, typer.Option()] = None,
    profile_steps: Annotated[int | None, typer.Option(help="Recorded steps.")] = None,
    plugin: PluginOption = None,
    name: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    runs_dir: RunsDirectory = Path("runs"),
    cache_dir: Annotated[Path | None, typer.Option(help="Tokenised windows.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print ledger.json instead of the advice.")] = False,
) -> None:
    """Profile one configuration for some steps; print where its time goes and which strategies address that."""
    options = {
        "model.source": model,
        "model.weights": value_of(weights),
        "data.source": value_of(data),
        "data.train_file": text_of(train_file),
        "data.validation_file": text_of(validation_file),
        "data.train_size": train_size,
        "data.validation_size": validation_size,
        "data.max_length": max_length,
        "data.doc_stride": doc_stride,
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "training.eval_batch_size": eval_batch_size,
        "device": value_of(device),
        "baseline": stack,
        "profile.active_steps": profile_steps,
        "plugins": plugin or None,
    }
    settings = build_config(preset_name=preset, file=config, options=options, contenders=None)
    from harness.analysis.advice.advice import ADVICE_FILE
    from harness.cli.advice_console import print_advice
    from harness.cli.progress import make_listener
    from harness.cli.short_run import profile_configuration
    from harness.experiment.runner import new_run_name
    from harness.records.store import default_cache_directory

    run_name = name or new_run_name(f"profile-{settings.preset}", lambda taken: (runs_dir / taken).exists())
    directory = runs_dir / run_name
    with make_listener(Console(stderr=True), show=not quiet and not as_json) as listener:
        advice = profile_configuration(
            settings,
            directory,
            cache_directory=cache_dir or default_cache_directory(),
            command=shlex.join(["speedproof", *sys.argv[1:]]),
            listener=listener,
        )
    if as_json:
        typer.echo((directory / ADVICE_FILE).read_text(encoding="utf-8"), nl=False)
    else:
        print_advice(advice, directory, Console())
