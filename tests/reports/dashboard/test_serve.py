"""`speedproof view` as a user runs it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.errors import ConfigError, RecordError
from reports.dashboard.serve import prepare_logdir, start_tensorboard


def heed_interrupts() -> None:
    """A shell's background job ignores interrupts, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_view_serves_the_run_on_this_machine_only_and_ends_on_interrupt(make_run: Any) -> None:
    run = make_run()
    command = [sys.executable, "-m", "harness", "view", run.name, "--runs-dir", str(run.parent), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = line.removeprefix("dashboard: ").strip()
        assert address.startswith("http://127.0.0.1:")
        assert address.endswith("/#speedproof")
        with urllib.request.urlopen(address.replace("#speedproof", "data/plugin/speedproof/runs")) as answer:
            assert json.load(answer) == {"runs": [run.name]}
        listening = [
            c.laddr.ip for c in psutil.Process(process.pid).net_connections() if c.status == psutil.CONN_LISTEN
        ]
        assert listening == ["127.0.0.1"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    assert (run / "report.md").exists(), "the reports are built where they are missing"


def test_a_folder_without_records_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"holds no run: it has no run\.json"):
        prepare_logdir(tmp_path)


def test_reports_that_are_there_are_not_built_again(run: Path) -> None:
    before = (run / "analysis.json").stat().st_mtime_ns
    assert prepare_logdir(run) == run / "tensorboard"
    assert (run / "analysis.json").stat().st_mtime_ns == before


def test_a_port_that_is_taken_is_an_error_of_one_line(run: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="can't start on 127"):
        start_tensorboard(run / "tensorboard", taken.getsockname()[1])
