"""The heap of a process whose segments are timed, brought to one state: its history decides how fast it gets memory.

glibc maps what is larger than its threshold anew each time, page by page with a fault each, unless it fits into what
the heap happens to have left; what is smaller comes from holes of the heap or from its top, which is given back and
faulted in again whenever it has grown (mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD). Of the processes that had
run a job of quick's baseline about two in three mapped three tensors of the size of the word embedding in each step,
the others two, for good, and young processes three and more: 4.4 % and 2 % of a step, which is no strategy's merit. In
a settled heap ten of ten mapped three; of six, timed in turn, five lay within 0.4 % and the oldest was 0.7 % slower.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

MMAP_THRESHOLD_MAX = 32 << 20
"""Bytes: glibc's DEFAULT_MMAP_THRESHOLD_MAX on 64 bits (malloc/malloc.c), where its threshold ends in a process that
has freed a tensor as large."""

MARGIN = 64 << 10
"""Bytes by which a request stays below the threshold, with its header and alignment."""

PIECE = (MMAP_THRESHOLD_MAX - MARGIN) // 2
"""Bytes. Two side by side make the largest hole that there may be: nothing above the threshold fits into it."""

PIECES = 49
"""Two of three become holes: half a gibibyte, which costs memory only where a step uses it."""

MOST_TRIES = 8

OWN_RULES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")
"""Environment variables with which a process's allocator works by rules of its own, or is another one."""


def settle_heap() -> list[Tensor]:
    """Give the heap holes for all that is smaller than glibc's threshold and none for what is larger.

    Returns what keeps the holes apart, to be held while segments are timed; it is never written to. Does nothing where
    the allocator is not glibc's, or works by a strategy's rules.
    """
    if any(variable in os.environ for variable in OWN_RULES):
        return []
    try:
        raise_threshold()
        pieces = [torch.empty(PIECE, dtype=torch.uint8) for _ in range(PIECES)]
    except RuntimeError:
        # The process may not have as many addresses.
        return []
    heap = find_heap()
    return choose_kept(sorted((one for one in pieces if one.data_ptr() in heap), key=Tensor.data_ptr))


def raise_threshold() -> None:
    """Bring glibc's threshold to its limit: it follows the largest chunk that was mapped and freed."""
    tries: list[Tensor] = []
    while len(tries) < MOST_TRIES:
        tries.append(torch.empty(MMAP_THRESHOLD_MAX - MARGIN, dtype=torch.uint8))
        if tries[-1].data_ptr() not in find_heap():
            return


def choose_kept(pieces: list[Tensor]) -> list[Tensor]:
    """Return every third of each run of neighbours, the first and the last: no hole is larger than two pieces.

    `pieces` are sorted by address. Runs begin and end in holes that were there before, beside what may be free.
    """
    runs: list[list[Tensor]] = []
    for piece in pieces:
        if runs and piece.data_ptr() - runs[-1][-1].data_ptr() <= PIECE + MARGIN:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return [piece for run in runs for i, piece in enumerate(run) if i % 3 == 0 or i == len(run) - 1]


def find_heap(maps: Path = Path("/proc/self/maps")) -> range:
    """Return the addresses of this process's heap; none where the system doesn't tell."""
    try:
        lines = maps.read_text(encoding="utf-8").splitlines()
    except OSError:
        return range(0)
    spans = [line.split(maxsplit=1)[0].split("-") for line in lines if line.endswith("[heap]")]
    bounds = [(int(first, 16), int(last, 16)) for first, last in spans]
    return range(min(first for first, _ in bounds), max(last for _, last in bounds)) if bounds else range(0)
