"""cuda_graphs without CUDA: buckets, buffers, what warm-up leaves behind, and the step with a recorder that re-runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness import registry
from harness.analysis.evidence.sameness import judge_equivalence
from harness.experiment.deviation import compare_updates
from harness.experiment.equivalence import CHECKED_UPDATES, make_updates
from harness.training.loop import (
    account_work,
    describe_step,
    make_trainer,
    prepare_step,
    train_epoch,
    warm_up,
)
from optimizations import cuda_graphs
from optimizations.cuda_graphs import GraphedStep, undone
from optimizations.graphs.shapes import fill_bucket, shape_of

MODELS = ("distilbert-base-uncased", "bert-base-uncased")
LAYOUTS = ("", "dynamic_padding", "unpadded")


class RunAgain:
    """Replays by running again, into the same tensors as a graph would, behind the back of the parameters."""

    def __init__(self, model):
        self.model = model
        self.warm_ups = []
        self.records = 0
        self.replays = 0

    def warm_up(self, run, times):
        self.warm_ups.append(times)
        for _ in range(times):
            run()

    def record(self, run):
        self.records += 1
        outputs = run()

        def replay():
            self.replays += 1
            shown = [parameter.grad for parameter in self.model.parameters()]
            for old, new in zip(outputs, run(), strict=True):
                old.copy_(new)
            for parameter, gradient in zip(self.model.parameters(), shown, strict=True):
                parameter.grad = gradient

        return outputs, replay


def graphed(setup, layout="", recorder=None):
    for strategy in registry.resolve("+".join(filter(None, (layout, "cuda_graphs")))):
        setup = strategy.apply(setup)
    return replace(setup, make_step=lambda *given: GraphedStep(*given, recorder or RunAgain(setup.model)))


def prepared(setup, windows, plan):
    """Return a trainer whose step has recorded every shape of the plan."""
    trainer = make_trainer(setup, windows)
    prepare_step(trainer, plan, repeated=True)
    return trainer


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("source", MODELS)
def test_updates_are_those_of_the_baseline(layout, source, make_setup, windows):
    reference = make_updates(make_setup(source, dropout=False), windows)
    setup = make_setup(source, dropout=False)
    recorder = RunAgain(setup.model)
    record = compare_updates(reference, make_updates(graphed(setup, layout, recorder), windows))
    assert judge_equivalence(record).holds
    assert recorder.replays == CHECKED_UPDATES, "what is held against the reference is what replays"


def test_gradients_shown_after_a_replay_are_those_of_its_own_shape(make_setup, windows):
    setups = make_setup(dropout=False), graphed(make_setup(dropout=False))
    plan = [np.arange(8), np.arange(8, 11), np.arange(11, 19)]
    reference, given = (prepared(setup, windows, plan) for setup in setups)
    assert given.step._recorder.records == 2
    for numbers in plan:
        for trainer in (reference, given):
            trainer.step(trainer.setup.collate(windows, numbers))
        expected = {name: parameter.grad for name, parameter in setups[0].model.named_parameters()}
        for name, parameter in setups[1].model.named_parameters():
            torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("layout", ["dynamic_padding", "unpadded"])
@pytest.mark.parametrize("source", MODELS)
def test_filling_a_bucket_leaves_the_loss(layout, source, make_setup, windows):
    setup = registry.get(layout)().apply(make_setup(source, dropout=False))
    for numbers in (np.arange(8), np.arange(3)):
        batch = setup.collate(windows, numbers)
        filled = fill_bucket(batch, max_length=setup.max_length)
        assert filled.inputs["input_ids"].numel() > batch.inputs["input_ids"].numel()
        expected, given = (setup.forward_loss(setup.model, some) for some in (batch, filled))
        torch.testing.assert_close(given, expected)


def test_few_shapes_are_left(make_setup, windows):
    for layout, most in (("dynamic_padding", 2), ("unpadded", 3)):
        setup = registry.get(layout)().apply(make_setup())
        batches = [setup.collate(windows, np.arange(first, first + 8)) for first in range(16)]
        plain = {shape_of(batch) for batch in batches}
        filled = {shape_of(fill_bucket(batch, max_length=setup.max_length)) for batch in batches}
        assert len(filled) <= most < len(plain)


def test_a_batch_of_full_length_stays_as_it_is(make_setup, windows):
    setup = make_setup()
    batch = setup.collate(windows, np.arange(4))
    assert fill_bucket(batch, max_length=batch.inputs["input_ids"].shape[1]) is batch


def test_a_packed_bucket_always_has_a_dummy_window_that_the_model_can_take(make_setup, windows):
    setup = registry.get("unpadded")().apply(make_setup())
    for count in range(1, 9):
        batch = setup.collate(windows, np.arange(count))
        filled = fill_bucket(batch, max_length=setup.max_length)
        dummy = int(filled.inputs["cu_seqlens"].diff()[-1])
        assert 1 <= dummy <= setup.max_length
        assert filled.inputs["cu_seqlens"][-1] == filled.inputs["input_ids"].shape[1]
        assert {int(label[-1]) for label in filled.labels.values()} == {-100}
        assert filled.inputs["position_ids"][0, -1] == dummy - 1


def test_buffers_take_a_batch_and_do_not_share_its_memory(make_setup, windows):
    setup = graphed(make_setup())
    first, second = (setup.collate(windows, np.arange(start, start + 4)) for start in (0, 4))
    trainer = make_trainer(setup, windows)
    trainer.step.prepare([first])
    trainer.step(second)
    (buffers,) = (recorded.batch for recorded in trainer.step._steps.values())
    assert torch.equal(buffers.inputs["input_ids"], second.inputs["input_ids"])
    assert torch.equal(buffers.labels["start_positions"], second.labels["start_positions"])
    assert not torch.equal(first.inputs["input_ids"], second.inputs["input_ids"])


def test_undone_restores_values_at_their_addresses(make_setup, windows):
    setup = make_setup()
    trainer = make_trainer(setup, windows)
    batch = setup.collate(windows, np.arange(4))
    trainer.step(batch)
    tensors = cuda_graphs.state_tensors(setup.model, trainer.optimizer)
    before, random_state = [tensor.clone() for tensor in tensors], torch.get_rng_state()
    with undone(setup.model, trainer.optimizer, setup.device):
        trainer.step(batch)
        assert not all(torch.equal(tensor, old) for tensor, old in zip(tensors, before, strict=True))
    after = cuda_graphs.state_tensors(setup.model, trainer.optimizer)
    assert [tensor.data_ptr() for tensor in after] == [tensor.data_ptr() for tensor in tensors]
    assert all(torch.equal(tensor, old) for tensor, old in zip(after, before, strict=True))
    assert torch.equal(torch.get_rng_state(), random_state)


def test_undone_sets_state_that_was_not_there_to_its_beginning(make_setup, windows):
    setup = make_setup()
    trainer = make_trainer(setup, windows)
    with undone(setup.model, trainer.optimizer, setup.device):
        trainer.step(setup.collate(windows, np.arange(4)))
    states = [value for state in trainer.optimizer.state.values() for value in state.values()]
    assert states
    assert all(not value.any() for value in states)


def test_warm_up_records_what_the_job_needs_and_changes_nothing(make_setup, windows):
    setup = graphed(make_setup(epochs=6, batch_size=7))
    trainer = make_trainer(setup, windows)
    recorder = trainer.step._recorder
    random_state = torch.get_rng_state()
    before = {name: value.clone() for name, value in setup.model.state_dict().items()}
    warm_up(trainer)
    assert recorder.records == 2, "batches of 7, and the last one of 3"
    assert recorder.warm_ups == [cuda_graphs.FIRST_WARM_UPS, cuda_graphs.LATER_WARM_UPS]
    assert all(torch.equal(value, before[name]) for name, value in setup.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(parameter.grad is None for parameter in setup.model.parameters())
    train_epoch(trainer, epoch=1, first_step=1)
    assert (recorder.records, recorder.replays) == (2, 4)
    assert describe_step(trainer) == {"captures in warm-up": "2 graphs, for 24 of 24 steps"}


def test_a_job_does_the_work_of_the_baseline_on_its_schedule(make_setup, windows):
    works = []
    for setup in (make_setup(epochs=2, dropout=False), graphed(make_setup(epochs=2, dropout=False))):
        trainer = make_trainer(setup, windows)
        warm_up(trainer, repeated=True)
        first = train_epoch(trainer, epoch=1, first_step=1)
        second = train_epoch(trainer, epoch=2, first_step=len(first.steps) + 1)
        works.append(account_work(trainer, [first, second]))
        assert all(step.applied for step in (*first.steps, *second.steps))
    assert works[0] == works[1]


def test_outcomes_and_gradients_belong_to_their_step(make_setup, windows):
    setup = graphed(make_setup(dropout=False), "unpadded")
    plan = [np.arange(*span) for span in ((0, 8), (8, 16), (0, 3), (16, 24))]
    trainer = prepared(setup, windows, plan)
    batches = [setup.collate(windows, numbers) for numbers in plan]
    outcomes, norms = [], []
    for batch in batches:
        outcomes.append(trainer.step(batch))
        gradients = [parameter.grad for parameter in setup.model.parameters() if parameter.grad is not None]
        norms.append(float(torch.nn.utils.get_total_norm(gradients)))
    assert len({float(outcome.loss) for outcome in outcomes}) == len(batches)
    limit = setup.training.max_grad_norm
    assert norms == pytest.approx([min(limit, float(outcome.gradient_norm)) for outcome in outcomes], rel=1e-4)


def test_dropout_goes_on_drawing(make_setup, windows):
    setup = graphed(make_setup(learning_rate=0.0))
    trainer = prepared(setup, windows, [np.arange(8)])
    batch = setup.collate(windows, np.arange(8))
    assert float(trainer.step(batch).loss) != float(trainer.step(batch).loss)
    assert trainer.step._recorder.replays == 2


def test_shapes_beyond_the_limit_run_eagerly(make_setup, windows, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "MAX_GRAPHS", 0)
    monkeypatch.setattr(RunAgain, "record", None)
    reference = make_updates(make_setup(dropout=False), windows)
    given = make_updates(graphed(make_setup(dropout=False)), windows)
    assert judge_equivalence(compare_updates(reference, given)).holds


def test_a_stack_with_fused_adamw_keeps_an_optimizer_that_can_be_captured(make_setup):
    for stack in ("cuda_graphs", "fused_adamw+cuda_graphs"):
        setup = make_setup(learning_rate=0.25, weight_decay=0.125)
        for strategy in registry.resolve(stack):
            setup = strategy.apply(setup)
        optimizer = setup.make_optimizer(setup.model, setup.training)
        assert (optimizer.defaults["fused"], optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (
            True,
            0.25,
            0.125,
        )


def test_refuses_a_processor_and_a_loss_over_padding(make_setup):
    strategy = registry.get("cuda_graphs")()
    assert "need a CUDA device" in strategy.not_applicable(make_setup())
    on_cuda = replace(make_setup(loss_over="row"), device=torch.device("cuda"))
    assert "loss_over" in strategy.not_applicable(on_cuda)
