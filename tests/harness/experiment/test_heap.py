"""The heap of timed processes: large tensors always come from new memory, smaller ones never."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.experiment.heap import OWN_RULES, find_heap, settle_heap
from harness.experiment.process import import_path

SCRIPT = """
import random, sys
import torch
from harness.experiment.heap import find_heap, settle_heap

MIB = 1 << 20

def make(mib):
    return torch.empty(int(mib * MIB), dtype=torch.uint8)

# A history: what a job leaves is free, in pieces of all sizes, between some that are not.
drawn = random.Random(int(sys.argv[1]))
left = [make(drawn.uniform(0.2, 31)) for _ in range(60)]
left = [one for one in left if drawn.random() < 0.3]
kept = settle_heap() if sys.argv[2] == "settled" else []
end = find_heap().stop
small = [make(20) for _ in range(10)]
from_heap = sum(one.data_ptr() in find_heap() for one in small)
grown = find_heap().stop - end
large = [make(46) for _ in range(6)]
print(from_heap, grown, sum(one.data_ptr() in find_heap() for one in large))
"""


def look(seed: int, how: str) -> list[int]:
    """Return, of a process with some history: 20 MiB from the heap, bytes it grew by, 46 MiB from the heap."""
    environment = {name: value for name, value in os.environ.items() if name not in OWN_RULES}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(seed), how],
        env={**environment, "PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(word) for word in done.stdout.split()]


@pytest.mark.skipif(not find_heap(), reason="this system does not tell where the heap is")
def test_whatever_the_history_small_tensors_come_from_holes_and_large_ones_never() -> None:
    assert [look(seed, "settled") for seed in range(3)] == [[10, 0, 0]] * 3


@pytest.mark.skipif(not find_heap(), reason="this system does not tell where the heap is")
def test_without_it_what_a_history_has_left_decides() -> None:
    assert len({tuple(look(seed, "as it is")) for seed in range(3)}) > 1


@pytest.mark.parametrize("variable", OWN_RULES)
def test_an_allocator_with_rules_of_its_own_is_left_alone(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")

    assert settle_heap() == []


def test_the_heap_is_found_by_its_name_and_may_be_told_in_parts(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text(
        "55e5-55e6 rw-p 00000000 00:00 0    /usr/bin/python3\n"
        "6000-7000 rw-p 00000000 00:00 0    [heap]\n"
        "7000-7800 rw-p 00000000 00:00 0    [heap]\n"
    )

    assert find_heap(maps) == range(0x6000, 0x7800)


def test_a_system_that_does_not_tell_has_no_heap_to_settle(tmp_path: Path) -> None:
    assert find_heap(tmp_path / "missing") == range(0)
