"""The sentence above the table, and who may be in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.analysis.model import Analysis
from reports.sections import card_table
from reports.verdicts import best_accepted, result_sentence, verdict_rows


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


def test_a_peer_is_shown_but_never_recommended(make_run: Any, analysed: Any) -> None:
    measured = analysed(make_run())
    fastest = best_accepted(accept(measured, "amp_bf16", "fused_adamw+sdpa"))
    assert fastest is not None
    other = ({"amp_bf16", "fused_adamw+sdpa"} - {fastest.name}).pop()
    analysis = accept(measured, "amp_bf16", "fused_adamw+sdpa", peer=fastest.name)
    best = best_accepted(analysis)
    assert best is not None
    assert best.name == other
    sentence = result_sentence(analysis)
    assert sentence.startswith(f"1 of {len(analysis.contenders) - 2} accepted. Best: `{other}`")
    assert f"ACCEPTED (peer): `{fastest.name}`" in sentence
    assert {row.name: row.verdict for row in verdict_rows(analysis)}[fastest.name] == "ACCEPTED (peer)"
    assert "(peer)" in card_table(analysis)


def test_a_peer_alone_recommends_nothing(make_run: Any, analysed: Any) -> None:
    analysis = accept(analysed(make_run()), "amp_bf16", peer="amp_bf16")
    assert result_sentence(analysis).startswith("Nothing is accepted.")
