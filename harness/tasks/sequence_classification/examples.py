"""The example of classification: what every data source yields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One text and the class it belongs to."""

    id: str
    """Unique within a data set."""
    text: str
    label: str
    classes: tuple[str, ...] = ()
    """Names of all classes, sorted: those of the training set."""
