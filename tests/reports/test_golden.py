"""The reports of recorded runs, word for word.

After a wanted change: `UPDATE_GOLDEN=1 .venv/bin/pytest tests/reports/test_golden.py`, then read what changed in
`golden/`.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FIGURES = {"speedup", "phases", "epochs", "wall_clock", "samples", "ledger", "waterfall", "roofline",
           "speedup-baseline", "speedup-amp_bf16", "speedup-fused_adamw+sdpa"}  # fmt: skip
NAMES = ("gpu", "cpu", "failed", "one_seed", "vacuous", "interrupted")


def test_every_case_has_a_golden_report(cases: ModuleType) -> None:
    assert set(cases.CASES) == set(NAMES)
    assert {path.stem for path in (Path(__file__).parent / "golden").glob("*.md")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_golden_report(
    name: str, cases: ModuleType, recorded: ModuleType, tmp_path: Path, analysed: Any, render: Any
) -> None:
    text = render(analysed(cases.CASES[name](recorded, tmp_path / "run")), FIGURES)
    golden = Path(__file__).parent / "golden" / f"{name}.md"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
