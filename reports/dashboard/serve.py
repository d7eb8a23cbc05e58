"""`speedproof view`: TensorBoard on one run, for this machine only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from tensorboard import default, program

from harness.errors import ConfigError, RecordError
from harness.records.store import RUN_FILE
from reports.build import TENSORBOARD_FOLDER, build_reports
from reports.dashboard.plugin import SpeedproofPlugin
from reports.dashboard.runs import is_run

HOST = "127.0.0.1"
"""Never another one: whoever reaches TensorBoard can read the run."""


def view(run: Path, *, port: int | None, announce: Callable[[str], None]) -> None:
    """Serve the run until Ctrl-C; `announce` gets the address once it answers.

    Without a port it is TensorBoard's usual 6006, or the next one that is free; 0 takes any.
    """
    address = start_tensorboard(prepare_logdir(run), port)
    announce(f"{address}#{SpeedproofPlugin.plugin_name}")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return


def prepare_logdir(run: Path) -> Path:
    """Return the run's folder for TensorBoard, built first if it is missing.

    Raises RecordError if the directory holds no run.
    """
    if not is_run(run):
        raise RecordError(f"{run} holds no run: it has no {RUN_FILE}", remedy="check the path, or name --runs-dir")
    logdir = run / TENSORBOARD_FOLDER
    if not logdir.is_dir():
        build_reports(run)
    return logdir


def start_tensorboard(logdir: Path, port: int | None) -> str:
    """Start TensorBoard in a thread of this process and return its address; ConfigError if the port is taken."""
    server = program.TensorBoard(plugins=default.get_plugins())
    # One process: the separate data server would go on after an interrupt.
    options = ["--logdir", str(logdir), "--host", HOST, "--load_fast", "false"]
    server.configure(argv=["tensorboard", *options, *([] if port is None else ["--port", str(port)])])
    try:
        return str(server.launch())
    except program.TensorBoardServerException as error:
        raise ConfigError(f"TensorBoard can't start on {HOST}: {error}", remedy="choose another --port") from None
