"""Whether each step's update was applied, seen at samples of weights before and after it.

Each step costs the device two small copies. They are compared for many steps at once: one by one the comparisons would
be a dozen launches a step.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

COMPARED_TOGETHER = 32
"""Steps; the copies of so many are a megabyte."""


class UpdateWatch:
    """Copies the probes before and after each step; nothing waits for the device until `read`."""

    def __init__(self, probes: list[Tensor]) -> None:
        self._probes = probes
        self._open: tuple[list[Tensor], Tensor] | None = None
        self._steps = 0
        self._copies: dict[tuple[int, ...], list[tuple[int, Tensor, Tensor]]] = {}
        """Place of a step, probes before and after it, not yet compared; by the probes' sizes."""
        self._places: list[int] = []
        self._changed: list[Tensor] = []

    def begin(self, number: int) -> None:
        """Copy what step `number` looks at: the head, and one of the other matrices in turn."""
        first, *others = self._probes
        probes = [first, others[number % len(others)]] if others else [first]
        self._open = probes, torch.cat(probes)

    def end(self) -> None:
        """Copy it again."""
        if self._open is None:
            raise RuntimeError("a step ends that has not begun")
        probes, before = self._open
        sizes = tuple(probe.numel() for probe in probes)
        self._copies.setdefault(sizes, []).append((self._steps, before, torch.cat(probes)))
        self._open = None
        self._steps += 1
        if self._steps % COMPARED_TOGETHER == 0:
            self._compare()

    def read(self) -> list[bool]:
        """Return for each step whether every probe of it took another value; waits for the device."""
        self._compare()
        changed = torch.cat(self._changed).tolist() if self._changed else []
        return [differs for _, differs in sorted(zip(self._places, changed, strict=True))]

    def _compare(self) -> None:
        for sizes, steps in self._copies.items():
            places, *copies = zip(*steps, strict=True)
            before, after = (torch.cat(column).view(len(steps), -1) for column in copies)
            differs = (after != before) & (after == after)  # NaN is no value
            parts = [part.any(dim=1) for part in differs.split_with_sizes(list(sizes), dim=1)]
            self._places += places
            self._changed.append(functools.reduce(torch.logical_and, parts))
        self._copies.clear()
