"""A verdict, its two words, and why: a text for people, and the numbers in it for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Verdict = Literal[
    "ACCEPTED", "FASTER", "NO_GAIN", "SLOWER", "UNCLEAR", "REJECTED", "INERT", "NOT_MEASURED", "NOT_APPLICABLE",
    "FAILED",
]  # fmt: skip

Speed = Literal["FASTER", "NO_GAIN", "SLOWER", "UNCLEAR"]
"""Of the whole job: shown to be faster, shown to gain less than is worth it, shown to be slower, none of these."""

Quality = Literal["SAME", "HOLDS", "WORSE", "OPEN"]
"""The same updates, scores shown to be no worse, scores shown to be worse, nothing shown."""


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
