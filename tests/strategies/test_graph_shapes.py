"""Which shapes cuda_graphs records, and when: before the clock, for the whole plan, only what comes often enough."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from harness import registry
from harness.config import ProfileConfig
from harness.data.batching import make_padding_collate
from harness.data.windows import Windows
from harness.experiment import session
from harness.experiment.commands import RunProfile
from harness.experiment.footprint import take_footprint
from harness.experiment.segments import SegmentRunner
from harness.experiment.trial import TrialClock
from harness.records.store import TRIAL_FILE, read_record
from harness.records.trial import TrialRecord
from harness.training.loop import (
    describe_step,
    make_trainer,
    plan_epoch,
    plan_training,
    train_epoch,
    warm_up,
)
from optimizations.cuda_graphs import (
    FIRST_WARM_UPS,
    LATER_WARM_UPS,
    LEAST_USES,
    MAX_GRAPHS,
    GraphedStep,
)
from optimizations.graphs.shapes import fill_bucket, shape_of

PLANS = (
    "",
    "dynamic_padding",
    "length_bucketing",
    "unpadded",
    "unpadded+larger_batches",
    "dynamic_padding+larger_batches",
    "unpadded+device_resident_data",
    "dynamic_padding+device_resident_data",
)
LENGTH = 384


class CountingRecorder:
    """Replays by running again, and counts."""

    def __init__(self):
        self.warm_ups = []
        self.records = 0
        self.replays = 0

    def warm_up(self, run, times):
        self.warm_ups.append(times)
        for _ in range(times):
            run()

    def record(self, run):
        self.records += 1

        def replay():
            self.replays += 1
            for old, new in zip(outputs, run(), strict=True):
                old.copy_(new)

        outputs = run()
        return outputs, replay


def squad_like_windows(count=328, *, seed=0):
    """Lengths as SQuAD's have them: about 180 tokens, some at the limit."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.gamma(6.0, 30.0, size=count), 24, LENGTH).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Windows(
        input_ids=rng.integers(1000, 2000, size=starts[-1]).astype(np.int32),
        token_type_ids=np.zeros(starts[-1], dtype=np.int8),
        row_starts=starts,
        labels={name: np.ones(count, dtype=np.int64) for name in ("start_positions", "end_positions")},
        example_index=np.arange(count, dtype=np.int64),
        offsets=np.full((starts[-1], 2), -1, dtype=np.int32),
    )


def cheap_loss(model, batch):
    """Which shapes are recorded does not depend on what is computed of them."""
    weight = model.qa_outputs.weight
    return weight.sum() + 0.0 * batch.inputs["input_ids"].sum()


@pytest.fixture
def make_graphed(make_setup):
    """Return a factory of setups whose steps go through a counting recorder, which it returns too."""

    def make(stack="", *, batch_size=16, **training):
        setup = make_setup(batch_size=batch_size, **training)
        collate = make_padding_collate(length=LENGTH, pad_id=0, token_types=False)
        setup = replace(setup, max_length=LENGTH, collate=collate)
        for strategy in registry.resolve("+".join(filter(None, (stack, "cuda_graphs")))):
            setup = strategy.apply(setup)
        recorders = []

        def make_step(*given):
            recorders.append(CountingRecorder())
            return GraphedStep(*given, recorders[-1])

        return replace(setup, forward_loss=cheap_loss, make_step=make_step), recorders

    return make


def count_by_making_every_batch(setup, windows, plan):
    """Which shapes come how often, the long way."""
    filled = (fill_bucket(setup.collate(windows, numbers), max_length=setup.max_length) for numbers in plan)
    return Counter(map(shape_of, filled))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("stack", PLANS)
def test_a_job_records_what_comes_often_before_its_first_step_and_nothing_after(stack, seed, make_graphed):
    windows = squad_like_windows(seed=seed)
    setup, recorders = make_graphed(stack, epochs=5, seed=seed)
    uses = count_by_making_every_batch(setup, windows, plan_training(setup, windows))
    frequent = [count for count in uses.values() if count >= LEAST_USES]
    trainer = make_trainer(setup, windows)
    (recorder,) = recorders
    warm_up(trainer)
    assert recorder.records == len(frequent) > 0
    assert recorder.warm_ups == [FIRST_WARM_UPS] + [LATER_WARM_UPS] * (len(frequent) - 1)
    results = []
    for epoch in range(1, 6):
        done = sum(len(result.steps) for result in results)
        results.append(train_epoch(trainer, epoch=epoch, first_step=done + 1))
    assert recorder.records == len(frequent)
    assert recorder.replays == sum(frequent)
    steps = sum(uses.values())
    assert sum(len(result.steps) for result in results) == steps == trainer.total_steps
    knob = f"{len(frequent)} graphs, for {sum(frequent)} of {steps} steps"
    assert describe_step(trainer) == {"captures in warm-up": knob}


def test_the_last_small_batch_of_five_epochs_is_too_rare_and_runs_eagerly(make_graphed):
    windows = squad_like_windows(count=16 * 6 + 3)
    setup, recorders = make_graphed(epochs=5)
    trainer = make_trainer(setup, windows)
    warm_up(trainer)
    assert recorders[0].records == 1
    result = train_epoch(trainer, epoch=1, first_step=1)
    assert [step.windows for step in result.steps] == [16] * 6 + [3]
    assert (recorders[0].records, recorders[0].replays) == (1, 6)


def test_a_plan_in_which_nothing_comes_often_is_not_recorded_at_all(make_graphed):
    setup, recorders = make_graphed("unpadded", epochs=3, max_steps=LEAST_USES - 1)
    trainer = make_trainer(setup, squad_like_windows())
    warm_up(trainer)
    result = train_epoch(trainer, epoch=1, first_step=1)
    assert len(result.steps) == LEAST_USES - 1
    assert (recorders[0].records, recorders[0].replays) == (0, 0)
    assert describe_step(trainer) == {"captures in warm-up": f"0 graphs, for 0 of {LEAST_USES - 1} steps"}


def test_only_what_max_steps_leaves_of_the_plan_counts(make_graphed):
    windows = squad_like_windows(count=16 * 4 + 3)
    setup, recorders = make_graphed(epochs=9, max_steps=8)
    warm_up(make_trainer(setup, windows))
    assert recorders[0].records == 1, "the small batch comes once in 8 steps"


def test_of_too_many_shapes_the_most_frequent_are_recorded(make_graphed, monkeypatch):
    monkeypatch.setattr("optimizations.cuda_graphs.MAX_GRAPHS", 1)
    windows = squad_like_windows()
    setup, recorders = make_graphed("dynamic_padding", epochs=5)
    uses = count_by_making_every_batch(setup, windows, plan_training(setup, windows))
    trainer = make_trainer(setup, windows)
    warm_up(trainer)
    for epoch in range(1, 6):
        train_epoch(trainer, epoch=epoch, first_step=1)
    assert (recorders[0].records, recorders[0].replays) == (1, max(uses.values()))
    assert MAX_GRAPHS > 1


def test_few_batches_are_made_to_learn_the_shapes_of_many(make_graphed):
    windows = squad_like_windows(count=1600)
    setup, _ = make_graphed("unpadded", epochs=5)
    made = []
    counting = replace(setup, collate=lambda *given: made.append(given) or setup.collate(*given))
    trainer = make_trainer(counting, windows)
    plan = plan_training(setup, windows)
    trainer.step.choose(windows, plan, repeated=False)
    assert len(plan) == 500
    assert len(made) < 60


@pytest.mark.parametrize("stack", ["", "dynamic_padding", "unpadded", "unpadded+device_resident_data"])
def test_segments_record_while_a_block_is_loaded_and_never_while_it_is_timed(stack, make_graphed):
    windows = squad_like_windows()
    setup, recorders = make_graphed(stack)
    runner = SegmentRunner(
        setup, SimpleNamespace(train_windows=windows, validation_windows=windows), baseline_batch_size=16
    )
    rng = np.random.default_rng(0)
    for repetitions in (1, 3, 2):
        numbers = rng.permutation(len(windows))[:40].tolist()
        runner.load_block("training", numbers, rehearse=False, repetitions=repetitions)
        (recorder,) = recorders
        records, replays = recorder.records, recorder.replays
        runner.run(repetitions)
        assert recorder.records == records > 0
        assert recorder.replays == replays + 3 * repetitions, "batches of 16, 16 and 8, none of them eager"


def test_a_footprint_records_nothing_while_it_is_profiled(make_graphed, monkeypatch):
    windows = squad_like_windows()
    setup, recorders = make_graphed("unpadded", eval_batch_size=4)
    setup = replace(setup, evaluate=lambda setup, windows: None)
    runner = SegmentRunner(
        setup, SimpleNamespace(train_windows=windows, validation_windows=windows), baseline_batch_size=16
    )
    seen = watch_records(monkeypatch, runner, "run", recorders)
    take_footprint(runner)
    assert seen
    assert all(before == after > 0 for before, after in seen)


def watch_records(monkeypatch, owner, name, recorders):
    """Return a list that will hold how many records there were before and after each call."""
    seen = []
    function = getattr(owner, name)

    def watched(*given, **named):
        before = recorders[-1].records
        result = function(*given, **named)
        seen.append((before, recorders[-1].records))
        return result

    monkeypatch.setattr(owner, name, watched)
    return seen


def test_the_profiled_trial_is_prepared_as_the_job_is_and_records_nothing_in_its_steps(
    make_graphed, monkeypatch, tmp_path
):
    windows = squad_like_windows()
    setup, recorders = make_graphed("unpadded", epochs=5)
    uses = count_by_making_every_batch(setup, windows, plan_training(setup, windows))
    first_steps = count_by_making_every_batch(setup, windows, plan_epoch(setup, windows, 1)[:5])
    seen = watch_records(monkeypatch, session, "train_epoch", recorders)
    config = ProfileConfig(wait_steps=1, warmup_steps=1, active_steps=3)
    model = SimpleNamespace(source="tiny")
    spec = SimpleNamespace(
        config=SimpleNamespace(
            profile=config, model=model, plugins=(), device="cpu", audits=SimpleNamespace(enabled=False)
        ),
        seed=0,
        contender="graphs",
    )
    worker = session.Session(spec, TrialClock(0.0), lambda *_: None)
    inputs = SimpleNamespace(train_windows=windows)
    worker._prepared = SimpleNamespace(setup=setup, inputs=inputs, refusal=None, strategies=[])
    worker.handle(RunProfile(directory=str(tmp_path)))
    knobs = read_record(tmp_path / TRIAL_FILE, TrialRecord).knobs
    frequent = {shape: count for shape, count in uses.items() if count >= LEAST_USES}
    assert seen == [(len(frequent), len(frequent))]
    assert recorders[-1].replays == sum(count for shape, count in first_steps.items() if shape in frequent)
    assert knobs["captures in warm-up"].startswith(f"{len(frequent)} graphs")


def test_graphs_die_with_their_trainer(make_graphed):
    """They keep a set of gradients each, which the next trainer of the process must not find beside its own."""

    class Forgetful(CountingRecorder):
        """A graph holds no Python object that it was recorded from."""

        def record(self, run):
            return run(), lambda: None

    windows = squad_like_windows(count=32)
    setup, _ = make_graphed("unpadded", epochs=5)
    trainer = make_trainer(replace(setup, make_step=lambda *given: GraphedStep(*given, Forgetful())), windows)
    warm_up(trainer, repeated=True)
    train_epoch(trainer, epoch=1, first_step=1)
    step = weakref.ref(trainer.step)
    gc.disable()
    try:
        del trainer
        assert step() is None, "something else holds the graphs, or they wait for the garbage collector"
    finally:
        gc.enable()
