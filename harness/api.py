"""speedproof from Python: `from harness import run, RunConfig`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.config import ProfileConfig, RunConfig
from harness.records.store import LoadedRun, load_run

if TYPE_CHECKING:
    from harness.own_loop import LoopProfile


def run(
    config: RunConfig,
    *,
    name: str | None = None,
    runs_directory: str | Path = "runs",
    cache_directory: str | Path | None = None,
    show_progress: bool = False,
) -> LoadedRun:
    """Run the baseline against the contenders of `config` and return the run's records.

    `name` is the run directory's name. That of a run which is there goes on with it, and adds what `config` asks for
    beyond it: seeds, contenders, budget. Analyse the result with `harness.analysis.analyse`. Raises HarnessError if the
    configuration can't be run.
    """
    from rich.console import Console

    from harness.cli.progress import make_listener
    from harness.experiment.runner import execute_run, new_run_directory

    base = Path(runs_directory)
    directory = base / name if name else new_run_directory(base, config.preset)
    cache = Path(cache_directory) if cache_directory is not None else None
    with make_listener(Console(stderr=True), show=show_progress) as listener:
        execute_run(config, directory, cache_directory=cache, command=f"harness.run({config!r})", listener=listener)
    return load_run(directory)


def profile(
    directory: str | Path,
    *,
    wait_steps: int = 2,
    warmup_steps: int = 1,
    active_steps: int = 3,
    show: bool = False,
) -> AbstractContextManager[LoopProfile]:
    """Profile the PyTorch loop inside the `with` block: any model, any loop.

    Call `step()` on what the block gives you at the end of each step; without that the whole block counts as one. The
    first step is recorded too, then `wait_steps` run and are timed without the profiler, `warmup_steps` warm it up, and
    `active_steps` are recorded. At the block's end `directory` has the trace and `ledger.json`, `ledger` and `findings`
    are there, and `show` prints them. An error in the loop is passed on; what was recorded before it is kept.

    Raises ConfigError if the directory holds anything but an earlier profile of a loop, which is replaced.
    """
    config = ProfileConfig(wait_steps=wait_steps, warmup_steps=warmup_steps, active_steps=active_steps)
    from harness.own_loop import profile_loop

    return profile_loop(Path(directory), config, show=show)
