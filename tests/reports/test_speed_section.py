"""What a contender costs once, and when that is earned back."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.analysis.evidence.energy import EnergyEvidence, TrainingEnergy
from harness.analysis.evidence.startup import WarmUp
from reports.document import plain_text
from reports.sections.speed import energy_part, warm_up_table


def ran(**evidence):
    """An analysis of contenders with this evidence."""
    return SimpleNamespace(
        ran=[(SimpleNamespace(name=name, is_baseline=False), found) for name, found in evidence.items()],
        scoring=SimpleNamespace(headline_title="F1"),
    )


def cells(low=1.2, **changes):
    """The row of a contender with these one-time costs and this lower end of its step speedup, without its name."""
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
    evidence = SimpleNamespace(
        warm_up=WarmUp(**costs | changes), time_to_score=None, steps=SimpleNamespace(low=low)
    )  # fmt: skip
    (table,) = warm_up_table(ran(compile=evidence))
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


def test_a_saving_within_the_steps_own_interval_is_not_shown():
    assert cells(low=0.97)[3] == "not shown to save anything"


def energy_of(*, epoch_j=500.0, token_j=2.5e-3, energy_j=1500.0, integrated_j=1530.0, source="counter"):
    return TrainingEnergy(
        epoch_j=epoch_j,
        token_j=token_j,
        power_w=500.0,
        source=source,
        energy_j=energy_j,
        integrated_j=integrated_j,
        window_s=3.0,
        error_share=0.003 if source == "counter" else 0.0,
    )


def energy_cells(own, *, name="amp_bf16"):
    evidence = EnergyEvidence(
        baseline=energy_of(epoch_j=12_500.0, token_j=62.5e-3), contender=own, ratio=12_500.0 / own.epoch_j, notes=()
    )
    analysis = ran(**{name: SimpleNamespace(energy=evidence)}, sdpa=SimpleNamespace(energy=None))
    _, table = energy_part(analysis)
    (row,) = table.rows
    return [plain_text(cell) for cell in row]


def test_energy_stands_beside_the_baselines():
    assert energy_cells(energy_of()) == [
        "amp_bf16",
        "500 J ± 0.3 %",
        "12.5 kJ",
        "25.0×",
        "2.5 mJ",
        "62.5 mJ",
        "500 W (baseline 500 W)",
        "integrated power: 102 % of the counter",
    ]


def test_energy_without_a_counter_says_so():
    own = energy_of(token_j=0.25e-3, energy_j=None, source="power")
    assert energy_cells(own)[-1] == "nothing: no counter, power integrated"
    assert energy_cells(own)[4] == "250 µJ"


def test_where_no_energy_was_measured_nothing_is_said_of_it():
    assert energy_part(ran(sdpa=SimpleNamespace(energy=None))) == ()
