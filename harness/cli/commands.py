"""The command line: the only place that knows every package. torch is imported by the commands that need it."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from harness.cli.interrupts import terminations_as_interrupts
from harness.cli.options import RunsDirectory, option_of, with_settings
from harness.cli.settings import build_config
from harness.errors import ConfigError, HarnessError
from harness.version import __version__

if TYPE_CHECKING:
    from harness.config import RunConfig

Preset = Annotated[str | None, typer.Option(help="seed, seed-offline, quick or smoke.")]
ConfigFile = Annotated[Path | None, typer.Option(help="TOML file with settings.")]
CacheDirectory = Annotated[Path | None, typer.Option(help="Tokenised windows.")]

UNDECIDED = 3
"""Exit status of a gate about which the intervals decide nothing."""

app = typer.Typer(
    name="speedproof",
    help="Profile it. Speed it up. Prove it. Fine-tunes a transformer and says of each optimization "
    "strategy how much faster it is and what it does to its scores.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
@with_settings()
def run(
    *,
    contenders: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STRATEGY|STACK]...", help="Strategies, or stacks like amp_bf16+fused_adamw."),
    ] = None,
    preset: Preset = None,
    config: ConfigFile = None,
    settings: dict[str, Any],
    name: Annotated[
        str | None,
        typer.Option(help="Name of the run. That of an earlier one goes on with it, and adds what more is asked for."),
    ] = None,
    runs_dir: RunsDirectory = Path("runs"),
    cache_dir: CacheDirectory = None,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Without: records only; `speedproof report` makes them later.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print analysis.json instead of the table.")] = False,
) -> None:
    """Run the baseline against strategies and stacks; write a run, print the table, name the report."""
    if as_json and not report:
        raise ConfigError("--json with --no-report", remedy="leave one of them out: analysis.json is a report")
    begun = None if name is None else _configuration_of(runs_dir / name)
    configuration = build_config(preset_name=preset, file=config, options=settings, contenders=contenders, begun=begun)
    from harness.experiment.runner import new_run_directory
    from harness.records.store import TRIAL_FILE, read_record
    from harness.records.trial import TrialRecord

    directory = runs_dir / name if name else new_run_directory(runs_dir, configuration.preset)
    show = not quiet and not as_json
    _execute(configuration, directory, cache_dir, show=show)
    if report:
        _report(directory, show=show, as_json=as_json)
    else:
        typer.echo(f"run: {directory}; its reports: {shlex.join(['speedproof', 'report', str(directory)])}")
    if read_record(directory / "trials/baseline/0" / TRIAL_FILE, TrialRecord).status != "done":
        typer.echo(f"speedproof: the baseline did not end; see {directory}/trials/baseline/0/log.txt", err=True)
        raise typer.Exit(1)


@app.command()
@with_settings(without=("baseline", "seeds", "profile.enabled", "speed.", "quality.", "save_model"))
def profile(
    *,
    stack: Annotated[
        str, typer.Argument(metavar="[STRATEGY|STACK]", help="What to profile, like amp_bf16+fused_adamw.")
    ] = "baseline",
    preset: Preset = None,
    config: ConfigFile = None,
    settings: dict[str, Any],
    name: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    runs_dir: RunsDirectory = Path("runs"),
    cache_dir: CacheDirectory = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print ledger.json instead of the advice.")] = False,
) -> None:
    """Profile one configuration for some steps; print where its time goes and which strategies address that.

    The options are the whole job's.
    """
    options = {**settings, "baseline": stack}
    configuration = build_config(preset_name=preset, file=config, options=options, contenders=None)
    from harness.analysis.advice.advice import ADVICE_FILE
    from harness.cli.advice_console import print_advice
    from harness.cli.profile import profile_configuration
    from harness.cli.progress import make_listener
    from harness.experiment.runner import new_run_directory

    directory = runs_dir / name if name else new_run_directory(runs_dir, f"profile-{configuration.preset}")
    with (
        terminations_as_interrupts(),
        make_listener(Console(stderr=True), show=not quiet and not as_json) as listener,
    ):
        advice = profile_configuration(
            configuration, directory, cache_directory=cache_dir, command=_command(), listener=listener
        )
    if as_json:
        typer.echo((directory / ADVICE_FILE).read_text(encoding="utf-8"), nl=False)
    else:
        print_advice(advice, directory, Console())


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
    """Say what changed between two runs; with limits, exit status 1 if one is exceeded, 3 if none is but the intervals
    leave one undecided.
    """
    from harness.analysis.compare import Limits, compare_runs
    from harness.records.store import load_run
    from reports.comparison import print_comparison

    limits = Limits(max_slowdown=max_slowdown, max_f1_loss=max_f1_loss)
    first, second = (load_run(_find_run(run, runs_dir)) for run in (run_a, run_b))
    comparison = compare_runs(first, second, limits)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(comparison), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print_comparison(comparison, Console())
    if comparison.failures or comparison.undecided:
        raise typer.Exit(1 if comparison.failures else UNDECIDED)


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
    plugin: Annotated[list[str] | None, option_of("plugins")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """List the strategies, their effect, and whether they apply here."""
    from harness.cli.applicability import check_applicability

    headers = ("strategy", "what it does", "effect on the numbers", "applies here")
    _print_rows(check_applicability(tuple(plugin or ())), headers, title="strategies", as_json=as_json)


@app.command()
def doctor(
    roof: Annotated[bool, typer.Option("--roof", help="Measure the matrix-product rate and copy bandwidth.")] = False,
    model: Annotated[str, typer.Option(help="Whose shapes --roof takes, as in run.")] = "bundled",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Say what is here: device, NVML, compiler, hub, bundled model; and what will run."""
    from harness.cli.doctor import examine_machine, examine_roof, examine_software

    findings = [*examine_machine(), *examine_software(), *([examine_roof(model)] if roof else [])]
    _print_rows(findings, ("", "what", "found", "so"), title="speedproof doctor", as_json=as_json)


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


def _command() -> str:
    return shlex.join(["speedproof", *sys.argv[1:]])


def _configuration_of(directory: Path) -> RunConfig | None:
    """Return the configuration of the run that is to go on; None if there is none yet."""
    from harness.records.store import RUN_FILE, read_record
    from harness.records.trial import RunRecord

    head = directory / RUN_FILE
    return read_record(head, RunRecord).config if head.exists() else None


def _execute(config: RunConfig, directory: Path, cache_directory: Path | None, *, show: bool) -> None:
    """Run what is not done yet; an interruption ends the program with the shell's status for it."""
    from harness.cli.progress import make_listener
    from harness.experiment.runner import execute_run

    try:
        with terminations_as_interrupts(), make_listener(Console(stderr=True), show=show) as listener:
            is_more = execute_run(
                config, directory, cache_directory=cache_directory, command=_command(), listener=listener
            )
    except KeyboardInterrupt:
        typer.echo(f"interrupted; the same command with --name {directory.name} goes on from here", err=True)
        raise typer.Exit(130) from None
    if not is_more:
        typer.echo(f"nothing was measured: all that is asked for is in {directory} already", err=True)


def _print_rows(rows: Sequence[Any], headers: tuple[str, ...], *, title: str, as_json: bool) -> None:
    """Print dataclasses that know their cells, as a table or for machines."""
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
        return
    table = Table(*headers, title=title)
    for row in rows:
        table.add_row(*row.cells())
    Console().print(table)


def _report(directory: Path, *, show: bool, as_json: bool) -> None:
    """Build the reports and print what was asked for."""
    from harness.records.store import ANALYSIS_FILE
    from reports.build import build_reports

    analysis = build_reports(directory)
    if as_json:
        typer.echo((directory / ANALYSIS_FILE).read_text(encoding="utf-8"), nl=False)
        return
    if show:
        from reports.console import print_table

        print_table(analysis, Console())
    typer.echo(f"report: {directory / 'report.md'} and {directory / 'report.html'}")


def main() -> None:
    """Run the program; expected errors are one line on standard error and exit status 2."""
    try:
        app()
    except HarnessError as error:
        typer.echo(f"speedproof: {error.message}", err=True)
        if error.remedy:
            typer.echo(f"  → {error.remedy}", err=True)
        sys.exit(2)
