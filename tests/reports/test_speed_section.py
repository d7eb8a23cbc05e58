"""What a contender costs once, and when that is earned back."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.analysis.job_speed import WarmUp
from reports.document import plain_text
from reports.sections.speed import warm_up_table


def cells(**changes):
    """The row of a contender with these one-time costs, without its name."""
    costs = {
        "baseline_s": 1.0,
        "cold_s": 31.0,
        "warm_s": None,
        "compiles": True,
        "stall_s": 0.0,
        "saved_per_step_s": 0.5,
        "break_even_steps": 60.0,
        "break_even_epochs": 7.5,
        "break_even_steps_warm": None,
    }
    contender = SimpleNamespace(name="compile", warm_up=WarmUp(**costs | changes), time_to_f1=None)
    (table,) = warm_up_table([contender])
    return [plain_text(cell) for cell in table.rows[0][1:]]


def test_a_cold_compile_shows_with_its_break_even():
    assert cells()[:4] == ["31.0 s (cold cache)", "not measured", "+500 ms", "60 steps (7.5 epochs)"]


def test_work_of_the_first_epoch_stands_beside_the_warm_up():
    assert cells(stall_s=4.0)[0] == "31.0 s (cold cache) + 4.00 s in the first epoch"


def test_a_saving_without_extra_cost_pays_at_once():
    assert cells(break_even_steps=0.0)[3] == "at once"


@pytest.mark.parametrize("steps", [0.0, None], ids=["cheaper to start", "dearer to start"])
def test_what_saves_nothing_never_breaks_even(steps):
    assert cells(saved_per_step_s=-0.5, break_even_steps=steps, break_even_epochs=steps)[3] == "saves nothing"
