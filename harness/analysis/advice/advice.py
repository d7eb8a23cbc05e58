"""What `speedproof profile` and `harness.profile` say: the ledger of one configuration and the findings in it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from harness.analysis.advice.findings import Finding
from harness.analysis.trace.model import Ledger
from harness.records.files import write_json
from harness.records.serialise import plain

ADVICE_SCHEMA_VERSION = 1
"""Raised when a key of `ledger.json` changes its meaning."""

ADVICE_FILE = "ledger.json"


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The contents of `ledger.json`. What was not measured is None, never 0."""

    schema_version: int = ADVICE_SCHEMA_VERSION
    subject: str
    """Which configuration: "baseline", a strategy or stack, or "loop" for a loop of one's own."""
    phases_s: dict[str, float]
    """Of the whole job."""
    ledger: Ledger | None
    findings: tuple[Finding, ...]
    """Largest share first."""
    trace_file: str | None
    """Relative to the directory."""
    notes: tuple[str, ...]
    """How far to trust it."""


def write_advice(directory: Path, advice: Advice) -> None:
    """Write `ledger.json`: plain data that strict JSON can hold."""
    write_json(directory / ADVICE_FILE, plain(dataclasses.asdict(advice)))
