"""The table at the end of a run."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from reports.console import print_table


def printed(analysis: Any, width: int) -> str:
    text = io.StringIO()
    print_table(analysis, Console(file=text, width=width))
    return text.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_names_and_verdicts_are_never_broken(make_run: Any, analysed: Any, width: int) -> None:
    for name, options in {"cpu": {}, "gpu": {"gpu": True}}.items():
        text = printed(analysed(make_run(name, **options)), width)
        for word in ("fused_adamw+sdpa", "NOT_APPLICABLE", "FAILED", "1.00×"):
            assert word in text
        assert max(len(line) for line in text.splitlines()) <= width


def test_ranges_where_there_is_room(make_run: Any, analysed: Any) -> None:
    analysis = analysed(make_run())
    assert " to " in printed(analysis, 140).split("Switch on")[0]
    assert " to " not in printed(analysis, 80).split("Switch on")[0]


def test_energy_is_a_column_only_where_it_was_measured(make_run: Any, analysed: Any) -> None:
    cpu, gpu = (printed(analysed(make_run(str(on_gpu), gpu=on_gpu)), 140) for on_gpu in (False, True))
    assert "Energy was not measured" in cpu
    assert "8000 J" in gpu
    assert "Energy was not measured" not in gpu


def test_foreign_markup_is_shown_as_it_is(make_run: Any, analysed: Any, recorded: Any) -> None:
    run = make_run(seeds=1)
    recorded.record_outcome(run, "compile", 0, "failed", "E: [bold]x[/bold] [/nonsense]")
    assert "[bold]x[/bold] [/nonsense]" in printed(analysed(run), 140)


def test_unequal_work_is_told(make_run: Any, analysed: Any, recorded: Any) -> None:
    run = make_run(seeds=1)
    recorded.edit_trial(run, "amp_bf16/0", lambda data: data["work"].update(updates_applied=23))
    text = printed(analysed(run), 140)
    assert "REJECTED" in text
    assert "amp_bf16: unequal work: 23 of 24 updates changed the parameters" in text
