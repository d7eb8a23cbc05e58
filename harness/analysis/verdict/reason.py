"""A verdict, and why: a text for people, and the numbers in it for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Verdict = Literal[
    "ACCEPTED", "REJECTED", "NO_GAIN", "SLOWER", "INERT", "INCONCLUSIVE", "NOT_APPLICABLE", "FAILED"
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a verdict is what it is."""

    rule: str
    """Which rule decided, or the state of what was not judged."""
    text: str
    numbers: dict[str, float]
    """Those in the text, by name."""


class Words(NamedTuple):
    """What a rule says."""

    text: str
    numbers: Mapping[str, float] = {}
