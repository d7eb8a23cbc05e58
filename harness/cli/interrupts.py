"""What ends a run from outside."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminations_as_interrupts() -> Iterator[None]:
    """Have SIGTERM raise KeyboardInterrupt, as Ctrl-C does: `timeout` and batch systems send it.

    By default it ends the process at once, and a worker that is busy would go on without it. Main thread only.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
