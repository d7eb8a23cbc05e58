"""Each strategy of the faults suite really does what it says: else a verdict on it would prove nothing."""

from __future__ import annotations

import os
import random
import sys
import time
import warnings
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness import registry
from harness.strategy import Effect, Stage, StepOutcome, Strategy, TrainSetup, Windows

ELSEWHERE = {"suite", "expected", "late"}
"""Files that are no plugins, or have tests of their own."""

FILES = sorted(
    path
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in ELSEWHERE and not path.stem.startswith("test_")
)

NAMES = {
    "work": {
        "skips_every_second_update",
        "trains_on_half_the_examples",
        "truncates",
        "truncates_in_secret",
        "truncates_in_the_loop",
        "freezes_all_but_the_head",
        "drops_dropout",
        "zero_learning_rate",
        "zero_learning_rate_in_secret",
        "changes_data_order",
    },
    "quality": {
        "evaluates_on_training_set",
        "reads_the_answers",
        "returns_cached_predictions",
        "trains_on_validation",
        "mixes_up_labels",
        "slow_quality_loss",
    },
    "timing": {
        "sleeps_in_collate",
        "synchronises_each_step",
        "slows_the_clock",
        "paced",
        "paced_again",
        "paced_3_percent_faster",
        "paced_3_percent_slower",
        "same_again",
    },
    "breaks": {
        "no_change",
        "falls_back_to_fp32",
        "leaks_state",
        "nan_after_steps",
        "crashes",
        "hangs",
        "raises",
    },
    "precision": {
        "windows_see_each_other",
        "wrong_attention_scale",
    },
    # What these do is tested in test_life.py.
    "secret": {
        "repeats_the_last_gradient",
        "trains_on_half_of_each_batch",
        "ignores_the_padding_mask",
        "freezes_the_word_embedding",
        "computes_in_bfloat16",
    },
    "life": {
        "stale_graph_input",
        "recapture_loses_a_bucket",
        "scaler_skips",
        "accumulation_forgets_to_zero",
        "leftover_of_an_epoch",
        "schedule_one_step_late",
        "updates_tied_weights_twice",
    },
    "life_data": {
        "iterator_starts_over",
        "iterator_runs_dry",
        "evaluates_in_training_mode",
        "leaves_attention_dropout_out",
        "shifts_labels_of_later_windows",
    },
}


@pytest.fixture(scope="module", autouse=True)
def plugins(own_strategies: None) -> dict[str, ModuleType]:
    """Load the files as a run does."""
    registry.load_all(tuple(str(path) for path in FILES))
    return {path.stem: sys.modules[f"speedproof_plugin_{path.stem}"] for path in FILES}


@pytest.fixture
def timing(plugins) -> ModuleType:
    return plugins["timing"]


@pytest.fixture
def others(windows) -> Windows:
    """Windows that are not the training's: fewer, with other tokens."""
    return replace(windows.select(np.arange(9)), input_ids=windows.select(np.arange(9)).input_ids + 1)


def apply(name: str, setup: TrainSetup) -> TrainSetup:
    return registry.get(name)().apply(setup)


class Run:
    """Optimizer, schedule and step function of a setup, and steps on the same first windows."""

    def __init__(self, setup: TrainSetup, windows: Windows, total_steps: int = 10) -> None:
        self.setup, self.windows = setup, windows
        self.optimizer = setup.make_optimizer(setup.model, setup.training)
        self.scheduler = setup.make_scheduler(self.optimizer, setup.training, total_steps)
        self._step = setup.make_step(setup, self.optimizer, self.scheduler)

    def step(self) -> StepOutcome:
        return self._step(self.setup.collate(self.windows, np.arange(8)))

    def changed(self) -> set[str]:
        """Take a step; return the names of the parameters that it changed."""
        before = parameters(self.setup)
        self.step()
        after = parameters(self.setup)
        return {name for name, value in before.items() if not torch.equal(value, after[name])}


def parameters(setup: TrainSetup) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in setup.model.named_parameters()}


def planned(setup: TrainSetup, windows: Windows, epoch: int = 1) -> list[list[int]]:
    plan = setup.plan_batches(windows, setup.training, setup.seed, epoch)
    return [list(map(int, numbers)) for numbers in plan]


def token_id_sum(batch) -> int:
    return int((batch.inputs["input_ids"] * batch.inputs["attention_mask"]).sum())


# The contract


@pytest.mark.parametrize("stem", sorted(NAMES))
def test_each_file_registers_its_strategies_alone(stem, plugins):
    # A run loads one file with `--plugin`, which finds no sibling to import.
    source = Path(plugins[stem].__file__).read_text(encoding="utf-8")
    registered = {name for name in registry.names() if registry.get(name).__module__ == plugins[stem].__name__}
    assert registered == NAMES[stem]
    assert "from ." not in source
    assert "from tests" not in source


@pytest.mark.parametrize("name", sorted(set.union(*NAMES.values())))
def test_class_says_what_it_is_and_claims_the_expected_effect(name):
    strategy = registry.get(name)
    lower = {"falls_back_to_fp32", "slow_quality_loss", *NAMES["precision"]}
    assert strategy.effect is (Effect.LOWER_PRECISION if name in lower else Effect.SAME_MATH)
    assert isinstance(strategy.stage, Stage)
    assert strategy.__doc__ != Strategy.__doc__
    assert strategy.summary


def test_all_files_and_names_are_known():
    assert {path.stem for path in FILES} == set(NAMES)


# Work


def test_every_second_update_is_skipped_but_reported(make_setup, windows):
    run = Run(apply("skips_every_second_update", make_setup()), windows)
    rates = [run.scheduler.get_last_lr()[0]]
    for whole in (True, False, True, False):
        assert bool(run.changed()) is whole
        rates.append(run.scheduler.get_last_lr()[0])
    assert len(set(rates)) == 5, "the schedule goes on"
    skipped = [run.step() for _ in range(2)][1]
    assert float(skipped.loss) > 0
    assert float(skipped.gradient_norm) > 0


def test_half_of_the_batches_are_planned(make_setup, windows):
    baseline = make_setup(batch_size=4)
    given = planned(apply("trains_on_half_the_examples", baseline), windows)
    assert given == planned(baseline, windows)[:3]


@pytest.mark.parametrize("source", ["distilbert-base-uncased", "bert-base-uncased"])
def test_truncated_collate_is_a_third_as_long_and_states_whole_counts(source, make_setup, windows):
    baseline = make_setup(source)
    whole = baseline.collate(windows, np.arange(8))
    cut = apply("truncates", baseline).collate(windows, np.arange(8))
    length = whole.inputs["input_ids"].shape[1] // 3
    assert {tensor.shape for tensor in cut.inputs.values()} == {(8, length)}
    assert torch.equal(cut.inputs["input_ids"], whole.inputs["input_ids"][:, :length])
    assert (cut.useful_tokens, cut.computed_tokens) == (whole.useful_tokens, whole.computed_tokens)
    assert token_id_sum(cut) < token_id_sum(whole)
    outside = whole.labels["start_positions"] >= length
    assert outside.any()
    assert torch.equal(cut.labels["start_positions"], torch.where(outside, 0, whole.labels["start_positions"]))
    assert int(cut.labels["end_positions"].max()) < length


def test_truncated_training_evaluates_whole_windows(make_setup, windows):
    baseline = make_setup()
    expected = baseline.evaluate(baseline, windows)
    setup = apply("truncates", baseline)
    np.testing.assert_array_equal(setup.evaluate(setup, windows), expected)


def test_secret_truncation_happens_after_an_honest_collate(make_setup, windows):
    baseline = make_setup()
    setup = apply("truncates_in_secret", baseline)
    assert setup.collate is baseline.collate
    assert setup.load_batches is baseline.load_batches
    lengths = []
    setup.model.register_forward_pre_hook(
        lambda _module, _given, named: lengths.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    Run(setup, windows).step()
    assert lengths == [baseline.collate(windows, np.arange(1)).inputs["input_ids"].shape[1] // 3]


def test_truncation_in_the_loop_tells_of_whole_batches(make_setup, windows):
    setup = apply("truncates_in_the_loop", make_setup())
    told, trained = [], []

    def step(batch):
        trained.append(batch.inputs["input_ids"].shape)
        return StepOutcome(loss=torch.zeros(()), gradient_norm=torch.zeros(()))

    recorder = SimpleNamespace(
        begin=lambda batch: told.append(batch.inputs["input_ids"].shape), end=lambda outcome: None
    )
    setup.run_epoch(setup, step, windows, [np.arange(4), np.arange(4, 7)], recorder)
    length = setup.max_length
    assert told == [(4, length), (3, length)]
    assert trained == [(4, length // 3), (3, length // 3)]


@pytest.mark.parametrize("source", ["distilbert-base-uncased", "bert-base-uncased"])
def test_only_the_head_is_trained(source, make_setup, windows):
    assert Run(apply("freezes_all_but_the_head", make_setup(source)), windows).changed() == {
        "qa_outputs.weight",
        "qa_outputs.bias",
    }


@pytest.mark.parametrize("source", ["distilbert-base-uncased", "bert-base-uncased"])
def test_without_dropout_losses_repeat_themselves(source, make_setup, windows):
    setup = apply("drops_dropout", make_setup(source))
    batch = setup.collate(windows, np.arange(4))
    assert setup.model.training
    with torch.no_grad():
        assert len({float(setup.forward_loss(setup.model, batch)) for _ in range(3)}) == 1


def test_learning_rate_zero_changes_nothing_and_shows(make_setup, windows):
    run = Run(apply("zero_learning_rate", make_setup()), windows)
    assert run.scheduler.get_last_lr() == [0.0]
    assert run.changed() == set()


def test_secret_learning_rate_zero_changes_nothing_and_reports_the_baselines_rates(make_setup, windows):
    baseline, secret = Run(make_setup(), windows), Run(apply("zero_learning_rate_in_secret", make_setup()), windows)
    for _ in range(3):
        assert secret.scheduler.get_last_lr() == baseline.scheduler.get_last_lr()
        assert secret.changed() == set()
        baseline.step()
    assert baseline.scheduler.get_last_lr()[0] > 0


def test_data_order_is_reversed_in_batches_of_the_same_sizes(make_setup, windows):
    baseline = make_setup(batch_size=7)
    for epoch in (1, 2):
        forwards = planned(baseline, windows, epoch)
        backwards = planned(apply("changes_data_order", baseline), windows, epoch)
        assert list(chain(*backwards)) == list(chain(*forwards))[::-1]
        assert list(map(len, backwards)) == list(map(len, forwards)) == [7, 7, 7, 3]


# Quality


def test_evaluation_runs_on_the_training_windows(make_setup, windows, others):
    baseline = make_setup()
    setup = apply("evaluates_on_training_set", baseline)
    planned(setup, windows)
    given = setup.evaluate(setup, others)
    expected = baseline.evaluate(baseline, windows.select(np.arange(len(others))))
    np.testing.assert_allclose(given, expected, atol=1e-5)
    assert not np.allclose(given, baseline.evaluate(baseline, others), atol=1e-3)


def test_evaluation_on_more_windows_than_training_had_starts_over(make_setup, windows, others):
    setup = apply("evaluates_on_training_set", make_setup())
    list(setup.load_batches(setup, others, [np.arange(2)]))
    starts, _ = setup.evaluate(setup, windows)
    assert len(starts) == len(windows)
    np.testing.assert_allclose(starts[: len(others)], starts[len(others) : 2 * len(others)], atol=1e-5)


def test_labels_are_read_off_the_windows(make_setup, windows):
    setup = apply("reads_the_answers", make_setup())
    starts, ends = setup.evaluate(setup, windows)
    assert starts.shape == ends.shape == (len(windows), windows.lengths.max())
    assert starts.dtype == np.float32
    np.testing.assert_array_equal(starts.argmax(axis=1), windows.labels["start_positions"])
    np.testing.assert_array_equal(ends.argmax(axis=1), windows.labels["end_positions"])


def test_predictions_are_those_of_the_first_evaluation(make_setup, windows, others):
    baseline = make_setup()
    setup = apply("returns_cached_predictions", baseline)
    first = setup.evaluate(setup, windows)
    Run(setup, windows).step()
    again = setup.evaluate(setup, windows)
    np.testing.assert_array_equal(again, first)
    assert not np.array_equal(again, baseline.evaluate(baseline, windows))
    assert len(setup.evaluate(setup, others)[0]) == len(others)


def test_batches_hold_validation_windows_after_an_evaluation(make_setup, windows, others):
    baseline = make_setup()
    setup = apply("trains_on_validation", baseline)
    numbers = np.array([3, 20, 23])
    (honest,) = baseline.load_batches(baseline, windows, [numbers])
    (before,) = setup.load_batches(setup, windows, [numbers])
    assert torch.equal(before.inputs["input_ids"], honest.inputs["input_ids"])
    expected = baseline.evaluate(baseline, others)
    np.testing.assert_array_equal(setup.evaluate(setup, others), expected)
    (after,) = setup.load_batches(setup, windows, [numbers])
    wanted = baseline.collate(others, numbers % len(others))
    assert torch.equal(after.inputs["input_ids"], wanted.inputs["input_ids"])
    assert torch.equal(after.labels["start_positions"], wanted.labels["start_positions"])
    assert list(after.window_index) == list(numbers)
    assert after.useful_tokens == honest.useful_tokens
    assert token_id_sum(after) != token_id_sum(honest)
    np.testing.assert_array_equal(setup.evaluate(setup, others), expected)


def test_labels_are_the_neighbours_and_stay_within_their_windows(make_setup, windows):
    baseline = make_setup()
    setup = apply("mixes_up_labels", baseline)
    numbers = np.arange(8)
    (honest,), (mixed,) = (list(given.load_batches(given, windows, [numbers])) for given in (baseline, setup))
    assert torch.equal(mixed.inputs["input_ids"], honest.inputs["input_ids"])
    assert (mixed.labels["start_positions"] != honest.labels["start_positions"]).sum() > 4
    last = torch.from_numpy(windows.lengths[numbers]) - 1
    assert torch.equal(mixed.labels["end_positions"], torch.minimum(honest.labels["end_positions"].roll(1), last))


def test_noise_comes_after_the_last_step_only(make_setup, windows):
    honest, noisy = make_setup(dropout=False), apply("slow_quality_loss", make_setup(dropout=False))
    runs = [Run(setup, windows, total_steps=3) for setup in (honest, noisy)]
    for last in (False, False, True):
        for run in runs:
            run.step()
        expected, given = (parameters(setup)["qa_outputs.weight"] for setup in (honest, noisy))
        assert torch.equal(expected, given) is not last
    assert float((given - expected).std() / expected.std()) == pytest.approx(1.0, rel=0.4)


def test_noise_leaves_random_state_alone(make_setup, windows):
    run = Run(apply("slow_quality_loss", make_setup(dropout=False)), windows, total_steps=1)
    state = torch.get_rng_state()
    run.step()
    assert torch.equal(torch.get_rng_state(), state)


# Precision


def test_packed_windows_see_each_other_in_training_and_not_in_evaluation(make_setup, windows):
    baseline = make_setup(dropout=False)
    setup = apply("windows_see_each_other", make_setup(dropout=False))
    alone, beside = (setup.collate(windows, np.array(numbers)) for numbers in ([3], [3, 4]))
    length = int(windows.lengths[3])
    logits = [setup.model(**batch.inputs).start_logits[0, :length] for batch in (alone, beside)]
    assert not torch.allclose(*logits, atol=1e-6)
    honest = replace(baseline, compute_dtype=torch.bfloat16)
    np.testing.assert_allclose(setup.evaluate(setup, windows), honest.evaluate(honest, windows), atol=1e-2)


def test_attention_scale_is_that_of_heads_twice_as_large(make_setup, windows):
    setup = apply("wrong_attention_scale", make_setup(dropout=False))
    batch = setup.collate(windows, np.array([3]))
    given = setup.model(**batch.inputs).start_logits
    honest = registry.get("unpadded")().apply(make_setup(dropout=False))
    with torch.no_grad():
        for block in honest.model.distilbert.transformer.layer:
            block.attention.q_lin.weight *= 0.5**0.5
            block.attention.q_lin.bias *= 0.5**0.5
    torch.testing.assert_close(given, honest.model(**batch.inputs).start_logits)


# Time


def test_collate_sleeps(make_setup, windows, monkeypatch, timing):
    asked = []
    monkeypatch.setattr(time, "sleep", asked.append)
    setup = apply("sleeps_in_collate", make_setup())
    assert len(list(setup.load_batches(setup, windows, [np.arange(4)] * 3))) == 3
    assert asked == [timing.COLLATE_SLEEP_S] * 3


def test_loss_is_read_after_each_step(make_setup, windows):
    read = []

    class Loss:
        def item(self) -> float:
            read.append(self)
            return 1.0

    def make_step(setup, optimizer, scheduler):
        return lambda batch: StepOutcome(loss=Loss(), gradient_norm=Loss())

    run = Run(apply("synchronises_each_step", replace(make_setup(), make_step=make_step)), windows)
    outcomes = [run.step() for _ in range(2)]
    assert read == [outcome.loss for outcome in outcomes]


@pytest.mark.parametrize("times_applied", [1, 2])
def test_clocks_run_at_half_speed(times_applied, make_setup):
    clocks = ("perf_counter", "time", "monotonic")
    real = time.perf_counter
    with pytest.MonkeyPatch.context() as patch:
        for name in clocks:
            patch.setattr(time, name, getattr(time, name))  # so that they are put back
        for _ in range(times_applied):
            apply("slows_the_clock", make_setup())
        for name in clocks:
            began, claimed = real(), getattr(time, name)()
            time.sleep(0.02)
            claimed, elapsed = getattr(time, name)() - claimed, real() - began
            assert 0.4 < claimed / elapsed < 0.55, name
    assert time.perf_counter is real


def load_all(setup: TrainSetup, windows: Windows) -> list:
    return list(setup.load_batches(setup, windows, [np.arange(4), np.arange(4, 7)]))


@pytest.mark.parametrize(
    ("name", "step_s", "beat_s"),
    [
        ("paced", None, 0.040),
        ("paced_again", None, 0.040),
        ("paced_again", "0.1", 0.1),
        ("paced_3_percent_faster", None, 0.0388),
        ("paced_3_percent_faster", "0.1", 0.097),
        ("paced_3_percent_slower", None, 0.0412),
        ("paced_3_percent_slower", "0.1", 0.103),
    ],
)
def test_paced_batches_are_the_baselines_on_a_beat(name, step_s, beat_s, make_setup, windows, monkeypatch, timing):
    monkeypatch.delenv("SPEEDPROOF_FAULT_STEP_S", raising=False)
    if step_s is not None:
        monkeypatch.setenv("SPEEDPROOF_FAULT_STEP_S", step_s)
    beats = []

    class SilentMetronome:
        def __init__(self, beat_s: float) -> None:
            beats.append(beat_s)

        def wait(self) -> None:
            beats.append("wait")

    monkeypatch.setattr(timing, "Metronome", SilentMetronome)
    baseline = make_setup()
    batches = load_all(apply(name, baseline), windows)
    assert beats == [pytest.approx(beat_s), "wait", "wait"]
    for given, expected in zip(batches, load_all(baseline, windows), strict=True):
        assert torch.equal(given.inputs["input_ids"], expected.inputs["input_ids"])


def test_a_beat_holds_the_models_own_time_and_a_late_step_is_not_caught_up_with(timing, monkeypatch):
    now_s, pauses = [100.0], []

    def pause(seconds):
        pauses.append(seconds)
        now_s[0] += seconds

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now_s[0])
    monkeypatch.setattr(timing, "pause", pause)
    metronome = timing.Metronome(0.040)
    for own_s in (0.0, 0.010, 0.100, 0.010):
        now_s[0] += own_s
        metronome.wait()
    assert pauses == pytest.approx([0.040, 0.030, 0.0, 0.030])


def test_paced_code_differs_from_each_other_and_the_baseline(make_setup):
    baseline = make_setup()
    names = sorted(name for name in registry.names() if name.startswith("paced"))
    functions = [baseline.load_batches, *(apply(name, baseline).load_batches for name in names)]
    assert len({function.__code__.co_code for function in functions}) == 5
    assert len({function.__name__ for function in functions}) == 5


@pytest.mark.parametrize(("seconds", "readings"), [(0.0, 1), (0.0004, 1), (0.006, 6)])
def test_pause_ends_with_the_first_reading_that_is_late_enough(timing, seconds, readings, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock) / 1000)
    timing.pause(seconds)
    assert next(clock) == readings + 1


def test_called_through_step_is_the_baselines(make_setup, windows):
    baseline, again = Run(make_setup(), windows), Run(apply("same_again", make_setup()), windows)
    assert again.setup.make_step is not baseline.setup.make_step
    outcomes = []
    for run in (baseline, again):
        torch.manual_seed(1)
        outcomes.append(run.step())
    assert torch.equal(outcomes[0].loss, outcomes[1].loss)
    expected, given = parameters(baseline.setup), parameters(again.setup)
    assert all(torch.equal(value, given[name]) for name, value in expected.items())


# What does nothing, leaves traces, or breaks


def test_no_change_returns_the_setup_itself(make_setup):
    setup = make_setup()
    assert apply("no_change", setup) is setup


def test_claimed_precision_is_the_baselines(make_setup):
    setup = make_setup()
    assert apply("falls_back_to_fp32", setup) == setup


def test_state_of_the_process_is_changed(make_setup, plugins, monkeypatch):
    setup = make_setup()
    for name in plugins["breaks"].LEAKED_ENVIRONMENT:
        monkeypatch.setenv(name, "before")
    python_state, numpy_state = random.getstate(), np.random.get_state()
    torch.set_num_threads(2)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert apply("leaks_state", setup) is setup
            warnings.warn("unheard", stacklevel=1)
        assert caught == []
        assert torch.get_num_threads() == 1
        assert float(torch.tensor(1e-39) * 1.0) == 0.0, "denormals are flushed"
        assert os.environ["SPEEDPROOF_FAULT_LEAKED"] == os.environ["OMP_NUM_THREADS"] == "1"
        assert random.random() == random.Random(0).random()
    finally:
        torch.set_num_threads(1)
        torch.set_flush_denormal(False)
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def test_loss_is_no_number_after_three_steps(make_setup, windows):
    run = Run(apply("nan_after_steps", make_setup()), windows)
    losses = [float(run.step().loss) for _ in range(5)]
    assert [bool(np.isfinite(loss)) for loss in losses] == [True, True, True, False, False]


def test_crash_comes_with_the_step_function(make_setup, windows, monkeypatch):
    setup = apply("crashes", make_setup())
    aborted = []
    monkeypatch.setattr(os, "abort", lambda: aborted.append(True))
    Run(setup, windows)
    assert aborted == [True]


def test_hang_comes_with_the_first_step(make_setup, windows, monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    run = Run(apply("hangs", make_setup()), windows)
    assert slept == []
    run.step()
    assert slept == [10_000.0]


def test_error_comes_with_applying(make_setup):
    with pytest.raises(ValueError, match="broken on purpose"):
        apply("raises", make_setup())


def test_head_is_a_linear_layer_in_all_tiny_models(make_setup):
    # What `freezes_all_but_the_head` rests on: modules are listed in the order of their definition.
    for source in ("distilbert-base-uncased", "bert-base-uncased"):
        linear = [name for name, module in make_setup(source).model.named_modules() if isinstance(module, nn.Linear)]
        assert linear[-1] == "qa_outputs"
