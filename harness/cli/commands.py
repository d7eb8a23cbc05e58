"""The command line: the only place that knows every package. torch is imported by the commands that need it."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from harness.cli.interrupts import terminations_as_interrupts
from harness.cli.options import DataSource, Device, PluginOption, RunsDirectory, Weights, text_of, value_of
from harness.cli.profile import profile as profile_command
from harness.cli.settings import build_config
from harness.errors import ConfigError, HarnessError
from harness.version import __version__

if TYPE_CHECKING:
    from harness.analysis.model import Analysis

app = typer.Typer(
    name="speedproof",
    help="Profile it. Speed it up. Prove it. Fine-tunes a question-answering model and says of each optimization "
    "strategy how much faster it is and what it does to EM/F1.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    contenders: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STRATEGY|STACK]...", help="Strategies, or stacks like amp_bf16+fused_adamw."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="seed, seed-offline, quick or smoke.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    model: Annotated[str | None, typer.Option(help="Hub id, directory, 'bundled', or 'bundled-distilbert'.")] = None,
    weights: Annotated[Weights | None, typer.Option()] = None,
    data: Annotated[DataSource | None, typer.Option()] = None,
    train_file: Annotated[Path | None, typer.Option(help="SQuAD v1.1 JSON.")] = None,
    validation_file: Annotated[Path | None, typer.Option(help="SQuAD v1.1 JSON.")] = None,
    train_size: Annotated[int | None, typer.Option(help="Training questions, at most.")] = None,
    validation_size: Annotated[int | None, typer.Option(help="Validation questions.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens in a window.")] = None,
    doc_stride: Annotated[int | None, typer.Option(help="Tokens two windows share.")] = None,
    epochs: Annotated[int | None, typer.Option()] = None,
    max_steps: Annotated[int | None, typer.Option(help="Stop after so many steps.")] = None,
    batch_size: Annotated[int | None, typer.Option()] = None,
    eval_batch_size: Annotated[int | None, typer.Option()] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    lr_warmup_ratio: Annotated[float | None, typer.Option()] = None,
    seeds: Annotated[int | None, typer.Option(help="Fine-tunings per contender.")] = None,
    device: Annotated[Device | None, typer.Option()] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Strategy or stack that the baseline already has.", metavar="STACK")
    ] = None,
    speed: Annotated[
        bool | None, typer.Option("--speed/--no-speed", help="Time each contender beside the live baseline.")
    ] = None,
    budget: Annotated[float | None, typer.Option(help="Seconds of timed segments per contender, at most.")] = None,
    margin: Annotated[float | None, typer.Option(help="Points of each score that may be lost.")] = None,
    profile: Annotated[bool | None, typer.Option("--profile/--no-profile", help="Profile each contender.")] = None,
    profile_steps: Annotated[int | None, typer.Option(help="Recorded steps.")] = None,
    roof: Annotated[
        bool | None, typer.Option("--roof/--no-roof", help="Measure the machine's matrix-product rate first.")
    ] = None,
    save_model: Annotated[bool | None, typer.Option("--save-model/--no-save-model")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds a trial may take.")] = None,
    plugin: PluginOption = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; the name of an unfinished run resumes it.")] = None,
    runs_dir: RunsDirectory = Path("runs"),
    cache_dir: Annotated[Path | None, typer.Option(help="Tokenised windows.")] = None,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Without: records only; `speedproof report` makes them later.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print analysis.json instead of the table.")] = False,
) -> None:
    """Run the baseline against strategies and stacks; write a run, print the table, name the report."""
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
        "training.max_steps": max_steps,
        "training.batch_size": batch_size,
        "training.eval_batch_size": eval_batch_size,
        "training.learning_rate": learning_rate,
        "training.lr_warmup_ratio": lr_warmup_ratio,
        "seeds": seeds,
        "device": value_of(device),
        "baseline": baseline,
        "speed.enabled": speed,
        "speed.budget_s": budget,
        "quality.margin": margin,
        "profile.enabled": profile,
        "profile.active_steps": profile_steps,
        "roof": roof,
        "save_model": save_model,
        "trial_timeout_s": timeout,
        "plugins": plugin or None,
    }
    if as_json and not report:
        raise ConfigError("--json with --no-report", remedy="leave one of them out: analysis.json is a report")
    settings = build_config(preset_name=preset, file=config, options=options, contenders=contenders)
    from harness.cli.progress import make_listener
    from harness.experiment.runner import execute_run, new_run_name
    from harness.records.store import default_cache_directory

    run_name = name or new_run_name(settings.preset, lambda taken: (runs_dir / taken).exists())
    directory = runs_dir / run_name
    show = not quiet and not as_json
    try:
        with terminations_as_interrupts(), make_listener(Console(stderr=True), show=show) as listener:
            execute_run(
                settings,
                directory,
                cache_directory=cache_dir or default_cache_directory(),
                command=shlex.join(["speedproof", *sys.argv[1:]]),
                listener=listener,
            )
    except KeyboardInterrupt:
        typer.echo(f"interrupted; the same command with --name {run_name} goes on from here", err=True)
        raise typer.Exit(130) from None
    if report:
        ended = _report(directory, show=show, as_json=as_json).baseline_contender.evidence is not None
    else:
        ended = _first_baseline_ended(directory)
        typer.echo(f"run: {directory}; its reports: {shlex.join(['speedproof', 'report', str(directory)])}")
    if not ended:
        typer.echo(f"speedproof: the baseline did not end; see {directory}/trials/baseline/0/log.txt", err=True)
        raise typer.Exit(1)


app.command(name="profile")(profile_command)


def _first_baseline_ended(directory: Path) -> bool:
    from harness.experiment.plan import PlannedTrial
    from harness.records.store import TRIAL_FILE, read_record
    from harness.records.trial import BASELINE, TrialRecord

    folder = PlannedTrial(contender=BASELINE, kind="job", seed=0).folder
    return read_record(directory / folder / TRIAL_FILE, TrialRecord).status == "done"


@app.command(name="report")
def rebuild_report(
    run_directory: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or its name.")],
    runs_dir: RunsDirectory = Path("runs"),
    quiet: Annotated[bool, typer.Option("--quiet")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Build the reports of a run again, from its records."""
    _report(_find_run(run_directory, runs_dir), show=not quiet and not as_json, as_json=as_json)


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="The run to compare with, or its name.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The run that may be slower or worse.")],
    max_slowdown: Annotated[float | None, typer.Option(help="Job time of B ÷ A that is allowed, e.g. 1.05.")] = None,
    max_f1_loss: Annotated[float | None, typer.Option(help="Points of F1 that B may lose.")] = None,
    runs_dir: RunsDirectory = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Say what changed between two runs; with limits, exit status 1 if one is exceeded."""
    from harness.analysis.compare import Limits, compare_runs
    from harness.records.store import load_run
    from reports.comparison import comparison_json, print_comparison

    limits = Limits(max_slowdown=max_slowdown, max_f1_loss=max_f1_loss)
    first, second = (load_run(_find_run(run, runs_dir)) for run in (run_a, run_b))
    comparison = compare_runs(first, second, limits)
    if as_json:
        typer.echo(json.dumps(comparison_json(comparison), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print_comparison(comparison, Console())
    if comparison.failures:
        raise typer.Exit(1)


@app.command()
def view(
    run_directory: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or its name.")],
    port: Annotated[int | None, typer.Option(help="Port on 127.0.0.1; 0 takes any that is free.")] = None,
    runs_dir: RunsDirectory = Path("runs"),
) -> None:
    """Show a run in TensorBoard, on this machine only: verdicts, where the time goes, kernels, samples, traces."""
    from reports.dashboard.serve import view as serve

    serve(_find_run(run_directory, runs_dir), port=port, announce=lambda url: typer.echo(f"dashboard: {url}"))


@app.command(name="list")
def list_strategies(
    plugin: PluginOption = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """List the strategies, their effect, and whether they apply here."""
    from harness.cli.applicability import check_applicability

    rows = check_applicability(tuple(plugin or ()))
    if as_json:
        typer.echo(json.dumps([row.as_dict() for row in rows], indent=1))
        return
    from harness.cli.tables import strategies_table

    Console().print(strategies_table(rows))


@app.command()
def doctor(
    roof: Annotated[bool, typer.Option("--roof", help="Measure the matrix-product rate and copy bandwidth.")] = False,
    model: Annotated[str, typer.Option(help="Whose shapes --roof takes, as in run.")] = "bundled",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Say what is here: device, NVML, compiler, hub, bundled model; and what will run."""
    from harness.cli.doctor import examine, examine_roof

    findings = [*examine(), *([examine_roof(model)] if roof else [])]
    if as_json:
        typer.echo(json.dumps([finding.as_dict() for finding in findings], indent=1))
        return
    from harness.cli.tables import doctor_table

    Console().print(doctor_table(findings))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"speedproof {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Options of the program itself."""


def _find_run(run: Path, runs_dir: Path) -> Path:
    from harness.records.archive import is_packed, unpack_run

    found = runs_dir / run if not run.exists() and (runs_dir / run).exists() else run
    if is_packed(found):
        unpack_run(found, runs_dir / found.name)
        return runs_dir / found.name
    return found


def _report(directory: Path, *, show: bool, as_json: bool) -> Analysis:
    """Build the reports and print what was asked for."""
    from harness.records.store import ANALYSIS_FILE
    from reports.build import build_reports

    analysis = build_reports(directory)
    if as_json:
        typer.echo((directory / ANALYSIS_FILE).read_text(encoding="utf-8"), nl=False)
        return analysis
    if show:
        from reports.console import print_table

        print_table(analysis, Console())
    typer.echo(f"report: {directory / 'report.md'} and {directory / 'report.html'}")
    return analysis


def main() -> None:
    """Run the program; expected errors are one line on standard error and exit status 2."""
    try:
        app()
    except HarnessError as error:
        typer.echo(f"speedproof: {error.message}", err=True)
        if error.remedy:
            typer.echo(f"  → {error.remedy}", err=True)
        sys.exit(2)
