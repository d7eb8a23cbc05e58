"""A run that is ended from outside takes its workers with it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time

import psutil
import pytest

from harness.cli.interrupts import terminations_as_interrupts

pytestmark = pytest.mark.usefixtures("needs_bundled")


def workers_of(process):
    """Return its worker processes; one that warms the caches may end while it is looked at."""
    found = []
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
            found += [child] if "harness.experiment.worker" in child.cmdline() else []
    return found


def test_a_terminated_run_leaves_no_worker(tmp_path):
    arguments = ["run", "--preset", "smoke", "--runs-dir", str(tmp_path), "--name", "r", "--no-roof", "--quiet"]
    command = [sys.executable, "-m", "harness", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (workers := workers_of(process)):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 130
        assert "--name r goes on from here" in process.stderr.read()
    assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)


def test_the_way_to_end_is_restored():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminations_as_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
