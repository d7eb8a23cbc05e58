"""The sentence above the table, and who may be in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.analysis.evidence.sameness import Equivalence
from harness.analysis.model import Analysis, ContenderAnalysis
from reports.answer import result_sentence
from reports.document import plain_text
from reports.sections.quality import quality_table
from reports.sections.setup import what_was_run
from reports.select import best_accepted, best_explained
from reports.verdicts import verdict_rows


def accept(analysis: Analysis, *names: str, peer: str | None = None) -> Analysis:
    """Return the analysis with `names` alone accepted, and one of them marked as a peer."""
    contenders = tuple(
        replace(
            contender,
            verdict="ACCEPTED" if contender.name in names else "NO_GAIN",
            strategies=tuple(replace(part, is_peer=contender.name == peer) for part in contender.strategies),
        )
        for contender in analysis.contenders
    )
    return replace(analysis, contenders=contenders)


def with_check(contender: ContenderAnalysis, check: Equivalence | None) -> ContenderAnalysis:
    """Return the contender with another check of its updates."""
    return replace(contender, evidence=replace(contender.evidence, equivalence=check))


@pytest.fixture
def measured(make_run: Any, analysed: Any) -> Analysis:
    return analysed(make_run())


def test_a_peer_is_shown_but_never_recommended(measured: Analysis) -> None:
    fastest = best_accepted(accept(measured, "amp_bf16", "fused_adamw+sdpa"))
    assert fastest is not None
    other = ({"amp_bf16", "fused_adamw+sdpa"} - {fastest.name}).pop()
    analysis = accept(measured, "amp_bf16", "fused_adamw+sdpa", peer=fastest.name)
    best = best_accepted(analysis)
    assert best is not None
    assert best.name == other
    assert result_sentence(analysis).startswith(f"Switch on `{other}`: job ")
    assert {row["Strategy"]: row["Verdict"] for row in verdict_rows(analysis)}[fastest.name] == "ACCEPTED (peer)"
    *_, strategies = what_was_run(analysis).blocks
    (table,) = strategies.blocks
    assert "(peer)" in "".join(plain_text(cell) for row in table.rows for cell in row)
    assert best_explained(analysis).name == other


def test_a_peer_alone_recommends_nothing(measured: Analysis) -> None:
    analysis = accept(measured, "amp_bf16", peer="amp_bf16")
    sentence = result_sentence(analysis)
    assert sentence.startswith("Switch on nothing")
    assert "To compare with: `amp_bf16` ACCEPTED (peer), job 1." in sentence


def test_quality_is_said_to_hold_only_where_it_was_shown(measured: Analysis) -> None:
    words = {row["Strategy"]: row["Quality"] for row in verdict_rows(measured)}
    assert words["amp_bf16"] == "holds"
    assert words["fused_adamw+sdpa"] == "same updates"

    def quality(**changes: Any) -> str:
        changed = replace(measured, contenders=tuple(replace(c, **changes) for c in measured.contenders))
        return {row["Strategy"]: row["Quality"] for row in verdict_rows(changed)}["amp_bf16"]

    assert quality(verdict="FASTER", quality="OPEN") == "open"
    assert quality(verdict="REJECTED", quality="WORSE") == "worse"
    assert quality(verdict="REJECTED", quality=None) == "rejected"


def test_names_can_be_marked_up(measured: Analysis) -> None:
    assert result_sentence(measured, str).startswith("Switch on amp_bf16: job ")


def test_the_quality_table_says_what_a_check_in_a_lower_precision_found(measured: Analysis) -> None:
    amp = next(contender for contender in measured.contenders if contender.name == "amp_bf16")
    check = amp.evidence.equivalence
    assert check is not None
    broken = replace(check, holds=False, problem="the gradient of a is off")
    unmade = replace(check, holds=False, unmade="its gradients overflowed")
    cells = []
    for found_check in (check, broken, unmade, None):
        (found,) = quality_table(replace(measured, contenders=(with_check(amp, found_check),)))
        cells.append(plain_text(found.rows[0][1]))
    assert cells == [
        "not refuted: gradients off by 0.02 at most, 2e-01 allowed in bfloat16",
        "does not hold: the gradient of a is off",
        "could not be made: its gradients overflowed",
        "not checked",
    ]


def test_a_lower_precision_that_is_the_same_is_not_said_to_make_the_same_updates(measured: Analysis) -> None:
    same = tuple(replace(contender, quality="SAME") for contender in measured.contenders)
    words = {row["Strategy"]: row["Quality"] for row in verdict_rows(replace(measured, contenders=same))}
    assert (words["amp_bf16"], words["fused_adamw+sdpa"]) == ("rounding within noise", "same updates")
