"""Readings taken by a thread while something else runs: only what was read inside counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

LONGEST_WAIT_S = 5.0
"""For a reading that is under way at the end; one that hangs is left behind."""


@contextmanager
def read_during(read: Callable[[], T], *, first_s: float, every_s: float) -> Iterator[list[T]]:
    """Call `read` after `first_s` and then every `every_s`, while the block runs; the list fills up meanwhile.

    A reading that the block's end overtakes is thrown away: it may be of what comes after.
    """
    kept: list[T] = []
    ended = threading.Event()

    def run() -> None:
        wait_s = first_s
        while not ended.wait(wait_s):
            value = read()
            if ended.is_set():
                return
            kept.append(value)
            wait_s = every_s

    thread = threading.Thread(target=run, name="readings", daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        ended.set()
        thread.join(LONGEST_WAIT_S)
