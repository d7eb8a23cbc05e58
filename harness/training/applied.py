"""Whether each step's update was applied, seen at samples of weights before and after it.

Each step costs the device two small copies. They are compared for many steps at once: one by one the comparisons would
be a dozen launches a step.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor

COMPARED_TOGETHER = 32
"""Steps; the copies of so many are a megabyte."""


class _Copies(NamedTuple):
    """Of one step, not yet compared."""

    place: int
    sizes: tuple[int, ...]
    """Elements of each probe in the copies."""
    before: Tensor
    after: Tensor


class UpdateWatch:
    """Copies the probes before and after each step; nothing waits for the device until `read`."""

    def __init__(self, probes: list[Tensor]) -> None:
        self._probes = probes
        self._open: tuple[list[Tensor], Tensor] | None = None
        self._steps = 0
        self._copies: list[_Copies] = []
        self._places: list[int] = []
        self._changed: list[Tensor] = []

    def begin(self, number: int) -> None:
        """Copy what step `number` looks at."""
        probes = probes_of_step(self._probes, number)
        self._open = probes, torch.cat(probes)

    def end(self) -> None:
        """Copy it again."""
        if self._open is None:
            raise RuntimeError("a step ends that has not begun")
        probes, before = self._open
        sizes = tuple(probe.numel() for probe in probes)
        self._copies.append(_Copies(self._steps, sizes, before, torch.cat(probes)))
        self._open = None
        self._steps += 1
        if len(self._copies) == COMPARED_TOGETHER:
            self._compare()

    def read(self) -> list[bool]:
        """Return for each step whether every probe of it took another value; waits for the device."""
        self._compare()
        changed = torch.cat(self._changed).tolist() if self._changed else []
        return [differs for _, differs in sorted(zip(self._places, changed, strict=True))]

    def _compare(self) -> None:
        alike: dict[tuple[int, ...], list[_Copies]] = {}
        for copies in self._copies:
            alike.setdefault(copies.sizes, []).append(copies)
        for sizes, same in alike.items():
            self._places += [copies.place for copies in same]
            before, after = (
                torch.cat(column).view(len(same), -1)
                for column in ([copies.before for copies in same], [copies.after for copies in same])
            )
            self._changed.append(have_changed(before, after, sizes))
        self._copies.clear()


def have_changed(before: Tensor, after: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Return for each row whether in each of its parts (of these sizes) any element took another value.

    NaN is no value.
    """
    differs = (after != before) & (after == after)
    parts = [part.any(dim=1) for part in differs.split_with_sizes(list(sizes), dim=1)]
    every: Tensor = functools.reduce(torch.logical_and, parts)
    return every


def probes_of_step(probes: list[Tensor], number: int) -> list[Tensor]:
    """Return what step `number` looks at: the head, and one of the other matrices in turn."""
    first, *others = probes
    return [first, others[number % len(others)]] if others else [first]
