"""speedproof from Python: `from harness import run, RunConfig`."""

from __future__ import annotations

from pathlib import Path

from harness.config import RunConfig
from harness.storage import LoadedRun, load_run


def run(
    config: RunConfig,
    *,
    name: str | None = None,
    runs_directory: str | Path = "runs",
    cache_directory: str | Path | None = None,
    show_progress: bool = False,
) -> LoadedRun:
    """Run the baseline against the contenders of `config` and return the run's records.

    `name` is the run directory's name; the name of an unfinished run with the same configuration resumes it. Analyse
    the result with `harness.analysis.analyse`. Raises HarnessError if the configuration can't be run.
    """
    from rich.console import Console

    from harness.experiment.prepare import default_cache_directory
    from harness.experiment.runner import execute_run, new_run_name
    from harness.progress import make_listener

    base = Path(runs_directory)
    directory = base / (name or new_run_name(config.preset, lambda taken: (base / taken).exists()))
    cache = Path(cache_directory) if cache_directory is not None else default_cache_directory()
    with make_listener(Console(stderr=True), show=show_progress) as listener:
        execute_run(config, directory, cache_directory=cache, command=f"harness.run({config!r})", listener=listener)
    return load_run(directory)
