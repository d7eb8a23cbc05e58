"""A late form is the honest setup until its trigger holds, and the cheat from then on: seen in real trainings."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness import registry
from harness.experiment.equivalence import make_updates, switch_dropout_off
from harness.strategy import Effect, TrainSetup, Windows
from harness.training.loop import make_trainer, train_epoch

STEPS_PER_EPOCH = 6
"""24 windows by 4."""

ALTERNATING = {"skips_every_second_update", "repeats_the_last_gradient"}
"""Their first step of two is honest."""


@pytest.fixture(scope="module", autouse=True)
def late(own_strategies: None) -> ModuleType:
    registry.load_all((str(Path(__file__).with_name("late.py")),))
    return sys.modules["speedproof_plugin_late"]


def forms(late: ModuleType) -> dict[str, type]:
    return {name: registry.get(name) for name in registry.names() if registry.get(name).__module__ == late.__name__}


def train(setup: TrainSetup, windows: Windows, epochs: int) -> list[Tensor]:
    """Return all parameters as one vector after each step."""
    torch.manual_seed(1)
    trainer = make_trainer(setup, windows, total_steps=100)
    after: list[Tensor] = []

    def keep(_step: int) -> None:
        after.append(torch.cat([p.detach().flatten() for p in setup.model.parameters()]).clone())

    for epoch in range(1, epochs + 1):
        train_epoch(trainer, epoch=epoch, first_step=len(after) + 1, on_step=keep)
    return after


@pytest.fixture
def first_difference(make_setup, windows, late) -> Callable[..., int | None]:
    """Return a function that trains a form beside what it claims to be: the first step after which they differ."""

    def find(name: str, epochs: int = 3, *, dropout: bool = False) -> int | None:
        # Without dropout no random number that a loader draws makes a difference.
        given, expected = (
            train(make(make_setup(batch_size=4, dropout=dropout)), windows, epochs)
            for make in (registry.get(name)().apply, registry.get(name).before)
        )
        return next(
            (step for step, pair in enumerate(zip(given, expected, strict=True), start=1) if not torch.equal(*pair)),
            None,
        )

    return find


IN_THE_STEP = [
    "skips_every_second_update",
    "truncates_in_secret",
    "truncates_in_the_loop",
    "mixes_up_labels",
    "trains_on_half_of_each_batch",
    "ignores_the_padding_mask",
    "repeats_the_last_gradient",
    "computes_in_bfloat16",
    "zero_learning_rate_in_secret",
]
IN_THE_MODEL = ["freezes_all_but_the_head", "freezes_the_word_embedding"]
CHOSEN = ["windows_see_each_other", "wrong_attention_scale"]


@pytest.mark.parametrize("cheat", [*IN_THE_STEP, *IN_THE_MODEL, *CHOSEN, "truncates"])
def test_late_forms_are_honest_for_eight_steps_and_no_longer(cheat, first_difference):
    assert first_difference(f"late_{cheat}", epochs=2) == (10 if cheat in ALTERNATING else 9)


@pytest.mark.parametrize("cheat", ["truncates_in_the_loop", "mixes_up_labels", "drops_dropout"])
def test_random_numbers_are_the_baselines_for_eight_steps(cheat, first_difference):
    assert first_difference(f"late_{cheat}", epochs=2, dropout=True) == 9


def test_dropout_is_dropped_with_the_ninth_step(make_setup, windows):
    setup = registry.get("late_drops_dropout")().apply(make_setup(batch_size=4))
    trainer = make_trainer(setup, windows)
    shares: list[float] = []

    def note(_step: int) -> None:
        shares.append(max(module.p for module in setup.model.modules() if isinstance(module, nn.Dropout)))

    for epoch in (1, 2):
        train_epoch(trainer, epoch=epoch, first_step=1 + len(shares), on_step=note)
    assert shares == [0.1] * 8 + [0.0] * 4


@pytest.mark.parametrize("cheat", IN_THE_STEP)
def test_second_epoch_forms_are_honest_in_the_first_epoch(cheat, first_difference):
    expected = STEPS_PER_EPOCH + (2 if cheat in ALTERNATING else 1)
    assert first_difference(f"second_epoch_{cheat}", epochs=2) == expected


@pytest.mark.parametrize("cheat", IN_THE_STEP)
def test_timed_forms_are_honest_for_as_many_epochs_as_a_job_has(cheat, first_difference, late):
    expected = late.JOB_EPOCHS * STEPS_PER_EPOCH + (2 if cheat in ALTERNATING else 1)
    assert first_difference(f"timed_{cheat}") == expected


@pytest.mark.parametrize("cheat", ["truncates_in_the_loop", "trains_on_half_of_each_batch", "mixes_up_labels"])
def test_rare_forms_are_honest_for_forty_nine_steps(cheat, first_difference):
    assert first_difference(f"rare_{cheat}", epochs=9) == 50


def test_a_tenth_of_the_steps_is_drawn_and_the_same_ones_each_time(late, first_difference):
    drawn = [step for step in range(1, 1001) if late.SOMETIMES.holds(step, 1)]
    assert 70 < len(drawn) < 130
    assert first_difference("sometimes_trains_on_half_of_each_batch", epochs=1 + drawn[0] // 6) == drawn[0]


@pytest.mark.parametrize(
    "cheat", ["trains_on_half_of_each_batch", "truncates_in_the_loop", "freezes_the_word_embedding"]
)
@pytest.mark.parametrize(("age_s", "cheats"), [("1e9", False), ("0", True)])
def test_aged_forms_begin_once_the_process_is_old_enough(age_s, cheats, cheat, late, first_difference, monkeypatch):
    monkeypatch.setattr(late, "_first_step_s", [])
    monkeypatch.setenv(late.AGE_VARIABLE, age_s)
    step = first_difference(f"aged_{cheat}", epochs=1)
    assert step == (1 if cheats else None)


def test_age_counts_from_the_first_step_of_the_process(late, monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(late.time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(late, "_first_step_s", [])
    monkeypatch.delenv(late.AGE_VARIABLE, raising=False)
    for at_s, is_old in ((100.0, False), (124.9, False), (125.0, True)):
        now_s[0] = at_s
        assert late.is_old(1, 1) is is_old
    assert not late.is_old(0, 2), "a plan is made before any step"


@pytest.mark.parametrize("cheat", ["trains_on_half_of_each_batch", "ignores_the_padding_mask"])
@pytest.mark.parametrize(("prefix", "step"), [("bf16_", 1), ("bf16_late_", 9)])
def test_forms_in_bf16_claim_it_and_compute_in_it_before_they_cheat(prefix, step, cheat, first_difference, make_setup):
    form = registry.get(f"{prefix}{cheat}")
    assert form.effect is Effect.LOWER_PRECISION
    assert form().apply(make_setup()).compute_dtype is torch.bfloat16
    assert first_difference(form.name, epochs=2) == step


def test_packed_forms_claim_bf16(make_setup):
    for cheat in CHOSEN:
        assert registry.get(f"late_{cheat}").effect is Effect.LOWER_PRECISION
        assert registry.get(f"late_{cheat}")().apply(make_setup()).compute_dtype is torch.bfloat16


@pytest.mark.parametrize("prefix", ["late_", "second_epoch_"])
@pytest.mark.parametrize("cheat", IN_THE_STEP)
def test_equivalence_check_sees_nothing_of_them(prefix, cheat, make_setup, windows):
    given = []
    for apply in (lambda setup: setup, registry.get(f"{prefix}{cheat}")().apply):
        setup = make_setup(batch_size=8)
        switch_dropout_off(setup.model)
        given.append(make_updates(apply(setup), windows))
    expected, given = given
    assert given.losses == expected.losses
    assert all(torch.equal(given.updates[name], value) for name, value in expected.updates.items())


def test_each_training_is_honest_anew(late, make_setup, windows):
    setup = registry.get("late_truncates_in_secret")().apply(make_setup(batch_size=4))
    baseline = make_setup(batch_size=4)
    train(setup, windows, epochs=2)
    with torch.no_grad():
        for parameter, value in zip(baseline.model.parameters(), setup.model.parameters(), strict=True):
            parameter.copy_(value)
    assert torch.equal(train(setup, windows, epochs=2)[7], train(baseline, windows, epochs=2)[7])


def test_planned_cheats_touch_the_second_epoch_alone(make_setup, windows):
    honest = make_setup(batch_size=4)
    for cheat, batches in (("trains_on_half_the_examples", 3), ("changes_data_order", 6)):
        setup = registry.get(f"second_epoch_{cheat}")().apply(make_setup(batch_size=4))
        plans = {
            epoch: [
                [list(map(int, numbers)) for numbers in one.plan_batches(windows, one.training, 0, epoch)]
                for one in (setup, honest)
            ]
            for epoch in (1, 2, 3)
        }
        assert plans[1][0] == plans[1][1]
        assert plans[2][0] != plans[2][1]
        assert len(plans[2][0]) == batches
        assert plans[3][0] == plans[3][1]


@pytest.mark.parametrize("cheat", ["evaluates_on_training_set", "reads_the_answers"])
def test_evaluation_is_honest_after_the_first_epoch_and_not_after_the_second(cheat, make_setup, windows):
    others = replace(windows.select(np.arange(9)), input_ids=windows.select(np.arange(9)).input_ids + 1)
    setup, plain = registry.get(f"second_epoch_{cheat}")().apply(make_setup(batch_size=4)), make_setup()
    trainer = make_trainer(setup, windows)
    for epoch, is_honest in ((1, True), (2, False)):
        train_epoch(trainer, epoch=epoch, first_step=1 + 6 * (epoch - 1))
        given = setup.evaluate(setup, others)
        model = replace(plain, model=setup.model)
        expected = model.evaluate(model, others)
        assert (
            all(np.allclose(*map(of_tokens, pair), atol=1e-5) for pair in zip(given, expected, strict=True))
            is is_honest
        )


def of_tokens(logits: np.ndarray) -> np.ndarray:
    """The first tokens' logits, which each window has; what is beyond is as wide as the evaluation likes."""
    return logits[:, :12]


def test_late_clock_is_slow_from_the_ninth_step_on(make_setup, windows):
    real = time.perf_counter
    with pytest.MonkeyPatch.context() as patch:
        for name in ("perf_counter", "time", "monotonic"):
            patch.setattr(time, name, getattr(time, name))  # so that they are put back
        setup = registry.get("late_slows_the_clock")().apply(make_setup(batch_size=4))
        train(setup, windows, epochs=1)
        assert time.perf_counter is real
        train(setup, windows, epochs=2)
        assert time.perf_counter is not real
    assert time.perf_counter is real


def test_late_crash_comes_with_the_ninth_step(make_setup, windows, monkeypatch):
    monkeypatch.setattr(os, "abort", lambda: (_ for _ in ()).throw(RuntimeError("aborted")))
    setup = registry.get("late_crashes")().apply(make_setup(batch_size=4))
    trainer, steps = make_trainer(setup, windows), []
    train_epoch(trainer, epoch=1, first_step=1, on_step=steps.append)
    with pytest.raises(RuntimeError, match="aborted"):
        train_epoch(trainer, epoch=2, first_step=7, on_step=steps.append)
    assert steps == list(range(1, 9))


def test_every_cheat_of_the_suite_has_a_line_in_the_table(late):
    cheats = {
        name
        for name in registry.names()
        if registry.get(name).__module__.removeprefix("speedproof_plugin_") in late.SOURCES
    }
    paced = {name for name in cheats if name.startswith("paced")}
    assert len(cheats) > 30
    assert {name for name in cheats - paced if name not in late.__doc__} == set()


def test_every_form_is_registered_with_what_it_claims(late):
    names = forms(late)
    assert {f"late_{cheat}" for cheat in (*IN_THE_STEP, *IN_THE_MODEL, *CHOSEN)} <= set(names)
    assert len(names) == 7 * 6 + 2 * 4 + 3 * 2 + 4 + 3 + 4 + 2
    for name, form in names.items():
        lower = name.startswith("bf16_") or form.cheat in CHOSEN
        assert form.effect is (Effect.LOWER_PRECISION if lower else Effect.SAME_MATH)
        assert form.summary.endswith(form.trigger.words)
