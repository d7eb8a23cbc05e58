"""Gradients of audited steps beside the reference's: rounding is told from faults, also where dropout differs."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from harness import registry
from harness.analysis.evidence.audits import FALSE_ALARM
from harness.analysis.evidence.perturbation import judge_perturbation
from harness.data.packing import select_windows
from harness.experiment.perturbation import (
    measure_deviation,
    measure_step,
    reference_gradient,
    relative_distance,
    sketch,
    summarise_steps,
)
from harness.experiment.replay import replay
from harness.experiment.snapshot import Snapshot, used_gradient
from harness.experiment.twin import TwinGradients, compare_twin, make_twin, twin_gradients
from harness.presets import preset
from harness.records.serialise import override
from harness.statistics.perturbation import pool_ratios
from harness.training.loop import make_trainer, plan_training

TINY = {"vocab_size": 2048, "dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2}
"""As in `make_setup`."""

STEPS = 8
"""Audited: the first ones of a job."""

REPEATED = 1e-6
"""Relative difference of equal gradients: one was taken from moments, whose rounding it shares."""


class Catcher:
    """A `StepRecorder` that catches every step, as the auditor does."""

    def __init__(self, trainer, plan):
        self._trainer, self._plan = trainer, plan
        self._before = None
        self.snapshots = []

    def _moments(self, name):
        state = self._trainer.optimizer.state
        parameters = self._trainer.setup.model.named_parameters()
        return {key: state[p][name].clone() for key, p in parameters if name in state.get(p, {})}

    def _parameters(self):
        parameters = self._trainer.setup.model.named_parameters()
        return {name: p.detach().clone() for name, p in parameters if p.requires_grad}

    def begin(self, batch):
        moments = self._moments("exp_avg"), self._moments("exp_avg_sq")
        self._before = (self._parameters(), *moments, torch.get_rng_state())

    def end(self, outcome):
        before, exp_avg, exp_avg_sq, random_state = self._before
        number = len(self.snapshots)
        self.snapshots.append(
            Snapshot(
                epoch=1,
                step=number + 1,
                numbers=tuple(self._plan[number].tolist()),
                before=before,
                after=self._parameters(),
                exp_avg=exp_avg,
                exp_avg_sq=exp_avg_sq,
                updates_before=number,
                exp_avg_after=self._moments("exp_avg"),
                dtype="float32",
                betas=(0.9, 0.999),
                eps=1e-8,
                weight_decay=0.0,
                learning_rate=0.0,
                planned_learning_rate=0.0,
                loss=float(outcome.loss),
                gradient_norm=float(outcome.gradient_norm),
                random_state=random_state,
                cuda_random_state=None,
            )
        )


def train(setup, windows):
    """Take the job's first steps and return them as snapshots."""
    plan = plan_training(setup, windows)[:STEPS]
    trainer = make_trainer(setup, windows, total_steps=100)
    catcher = Catcher(trainer, plan)
    torch.manual_seed(1)
    setup.run_epoch(setup, trainer.step, windows, plan, catcher)
    return catcher.snapshots


def audit(snapshots, reference, windows):
    """The referee's part."""
    plan = plan_training(reference, windows)
    others = np.random.default_rng(0).integers(len(plan), size=(STEPS, 2))
    return summarise_steps(
        [
            measure_step(
                snapshot,
                reference,
                windows,
                expected=reference_gradient(reference, windows, snapshot, snapshot.numbers),
                others=[plan[i] for i in picked],
            )
            for snapshot, picked in zip(snapshots, others, strict=True)
        ]
    )


def judge(make_setup, windows, change, *, twin=None):
    """Audit a job of a changed setup; `twin` is what its strategies do on a fresh model, if one is to be made."""
    snapshots = train(change(make_setup()), windows)
    record = audit(snapshots, make_setup(), windows)
    if twin is not None:
        with_dropout = twin_gradients(twin(make_setup()), windows, snapshots)
        made = TwinGradients(
            with_dropout=with_dropout,
            again=twin_gradients(twin(make_setup()), windows, snapshots[:1])[0],
            without=twin_gradients(twin(make_setup(dropout=False)), windows, snapshots),
        )
        off = make_setup(dropout=False)
        record = replace(record, twin=compare_twin(record, made, snapshots, off, windows))
    return judge_perturbation([record], steps=24, share=0.05), record


def in_bf16(setup):
    return replace(setup, compute_dtype=torch.bfloat16)


def apply(stack):
    def change(setup):
        for strategy in registry.resolve(stack):
            setup = strategy.apply(setup)
        return setup

    return change


def unpadded(setup):
    return apply("unpadded")(setup)


@pytest.mark.parametrize("stack", ["baseline", "fused_adamw", "sdpa", "gradient_checkpointing"])
def test_who_draws_the_references_random_numbers_deviates_by_rounding_alone(stack, make_setup, windows):
    judged, record = judge(make_setup, windows, apply(stack))
    assert judged.holds
    assert not judged.by_twin
    assert judged.rounding.worst < 1e-4
    assert record.scatter_degrees == 2 * STEPS


def test_bf16_is_small_beside_the_scatter(make_setup, windows):
    judged, _ = judge(make_setup, windows, in_bf16)
    assert judged.holds, judged.rounding.problem
    assert 1e-4 < judged.rounding.typical < judged.rounding.worst < judged.share


def weights_in_fp8(setup):
    def loss(model, batch):
        rounded = {
            name: p + (p.detach().to(torch.float8_e4m3fn).float() - p.detach()) for name, p in model.named_parameters()
        }
        return setup.forward_loss(lambda **inputs: torch.func.functional_call(model, rounded, (), inputs), batch)

    return replace(setup, forward_loss=loss)


class WrongGelu(nn.Module):
    def forward(self, values):
        return 1.05 * nn.functional.gelu(values, approximate="tanh")


def wrong_gelu(setup):
    for layer in setup.model.distilbert.transformer.layer:
        layer.ffn.activation = WrongGelu()
    return setup


def only(setup, windows_kept):
    """A setup whose loss sees some windows of each batch."""

    def loss(model, batch):
        kept = {name: value[windows_kept] for name, value in batch.inputs.items()}
        labels = {name: value[windows_kept] for name, value in batch.labels.items()}
        return setup.forward_loss(model, replace(batch, inputs=kept, labels=labels))

    return replace(setup, forward_loss=loss)


def half_the_batch(setup):
    return only(setup, slice(0, 2))


def one_window_left_out(setup):
    return only(setup, slice(1, None))


def padding_attended_to(setup):
    def loss(model, batch):
        mask = torch.ones_like(batch.inputs["attention_mask"])
        return setup.forward_loss(model, replace(batch, inputs={**batch.inputs, "attention_mask": mask}))

    return replace(setup, forward_loss=loss)


def a_table_frozen(setup):
    setup.model.distilbert.embeddings.word_embeddings.weight.requires_grad_(False)
    return setup


@pytest.mark.parametrize(
    "fault", [weights_in_fp8, half_the_batch, one_window_left_out, padding_attended_to, a_table_frozen]
)
def test_what_is_no_rounding_of_bf16_does_not_hold(fault, make_setup, windows):
    judged, _ = judge(make_setup, windows, lambda setup: in_bf16(fault(setup)))
    assert not judged.holds
    assert judged.rounding.problem is not None


def test_a_gelu_that_is_5_percent_too_large_is_found_where_weights_have_learned(make_setup, windows):
    def larger(setup):
        # Weights of 0.02 make a GELU of almost nothing; as large as trained ones, it matters.
        for layer in setup.model.distilbert.transformer.layer:
            nn.init.normal_(layer.ffn.lin1.weight, std=0.5)
            nn.init.normal_(layer.ffn.lin2.weight, std=0.5)
        return setup

    def make(**how):
        torch.manual_seed(3)
        return larger(make_setup(**how))

    assert judge(make, windows, in_bf16)[0].rounding.worst < 0.05
    judged, _ = judge(make, windows, wrong_gelu)
    assert not judged.holds
    assert judged.rounding.worst > 0.05


# Where dropout draws other numbers: the steps' scatter, and a twin.


@pytest.mark.parametrize("stack", ["unpadded", "unpadded+amp_bf16", "unpadded+fused_adamw", "fused_blocks"])
def test_a_twin_shows_that_who_draws_other_numbers_rounds_alone(stack, make_setup, windows):
    judged, record = judge(make_setup, windows, apply(stack), twin=apply(stack))
    assert judged.by_twin
    assert judged.fault is None
    assert judged.holds, judged.rounding.problem
    assert max(record.twin.disagreements) < REPEATED


def test_a_twin_is_made_from_the_configuration_alone(make_setup, windows, inputs):
    snapshots = train(unpadded(make_setup()), windows)[:2]
    config = override(preset("smoke"), {"model.overrides": TINY})
    twin = make_twin(config, registry.resolve("unpadded"), inputs, torch.device("cpu"), snapshots)
    for snapshot, made in zip(snapshots, twin.with_dropout, strict=True):
        assert relative_distance(used_gradient(snapshot), made) < REPEATED
    assert relative_distance(twin.with_dropout[0], twin.again) == 0.0
    assert relative_distance(twin.with_dropout[0], twin.without[0]) > 0.05


def test_without_a_twin_other_random_numbers_leave_it_open(make_setup, windows):
    judged, _ = judge(make_setup, windows, unpadded)
    assert (judged.holds, judged.fault) == (False, None)
    assert "no twin" in judged.rounding.problem


def from_step(number, change):
    """A cheat that begins late: its setup is an honest one, changed from a step on."""

    def late(setup):
        steps, faulty = itertools.count(1), change(setup)

        def loss(model, batch):
            return (faulty if next(steps) >= number else setup).forward_loss(model, batch)

        return replace(setup, forward_loss=loss)

    return late


def in_secret_bf16(setup):
    def loss(model, batch):
        with torch.autocast("cpu", torch.bfloat16):
            return setup.forward_loss(model, batch)

    return replace(setup, forward_loss=loss)


def one_row_only(setup):
    """Half of the windows of a packed batch."""

    def loss(model, batch):
        return setup.forward_loss(model, select_windows(batch, np.arange(2)))

    return replace(setup, forward_loss=loss)


def test_a_cheat_that_begins_late_is_not_what_its_twin_does(make_setup, windows):
    judged, record = judge(
        make_setup, windows, lambda setup: from_step(STEPS, one_row_only)(unpadded(setup)), twin=unpadded
    )
    assert f"step {STEPS} is not what its strategies do" in judged.fault
    assert max(record.twin.disagreements[:-1]) < REPEATED


def test_packed_rows_that_round_in_secret_from_some_step_on_are_not_what_their_twin_does(make_setup, windows):
    _, record = judge(
        make_setup, windows, lambda setup: from_step(STEPS, in_secret_bf16)(unpadded(setup)), twin=unpadded
    )
    found = judge_perturbation([record], steps=24, share=0.05, lowers_precision=False)
    assert f"step {STEPS} is not what its strategies do" in found.fault


def test_a_fault_of_every_step_shows_in_the_twin_without_dropout(make_setup, windows):
    def cheat(setup):
        return one_row_only(unpadded(setup))

    judged, record = judge(make_setup, windows, cheat, twin=cheat)
    assert max(record.twin.disagreements) < REPEATED
    assert not judged.holds
    assert "allowed" in judged.rounding.problem


def test_no_draws_are_made_of_a_step_that_a_twin_explains_and_those_of_others_still_are(make_setup, windows):
    snapshot = train(unpadded(make_setup()), windows)[0]
    left, drawn = (
        replay(snapshot, make_setup(), windows, lowers_precision=True, has_twin=has_twin)[0]
        for has_twin in (True, False)
    )
    assert (left.left_to_twin, left.draws, left.ratios, left.nearness) == (True, 0, (), ())
    assert (drawn.left_to_twin, drawn.draws) == (False, 6)
    assert left.worst == drawn.worst
    same = replay(train(make_setup(), windows)[0], make_setup(), windows, lowers_precision=True, has_twin=True)[0]
    assert (same.same_random_numbers, same.left_to_twin) == (True, False)


def scatter_of(make_setup, windows, change):
    """What the replays' draws say of a job of a changed setup."""
    snapshots = train(change(make_setup()), windows)
    records = [replay(snapshot, make_setup(), windows, lowers_precision=False)[0] for snapshot in snapshots]
    return pool_ratios([np.array(record.ratios) for record in records if record.ratios])


def test_gradients_with_other_dropout_scatter_as_the_references_do(make_setup, windows):
    scatter = scatter_of(make_setup, windows, unpadded)
    assert scatter.groups == STEPS
    assert min(scatter.p_more, scatter.p_less) > 0.01


def test_dropout_left_out_is_too_little_scatter(make_setup, windows):
    def without_dropout(setup):
        setup.model.eval()
        return setup

    scatter = scatter_of(make_setup, windows, without_dropout)
    assert scatter.p_less < FALSE_ALARM / 2
    assert scatter.ratio < 0.5


def test_batches_of_before_are_too_much_scatter(make_setup, windows):
    def stale(setup):
        kept = []

        def loss(model, batch):
            kept.append(batch)
            return setup.forward_loss(model, kept[0])

        return replace(setup, forward_loss=loss)

    assert scatter_of(make_setup, windows, stale).p_more < 1e-3


def test_who_can_not_repeat_a_step_is_not_blamed_for_it(make_setup, windows):
    rng = np.random.default_rng(0)

    def unrepeatable(setup):
        def loss(model, batch):
            torch.manual_seed(int(rng.integers(2**31)))
            return setup.forward_loss(model, batch)

        return replace(setup, forward_loss=loss)

    judged, record = judge(make_setup, windows, unrepeatable, twin=unrepeatable)
    assert record.twin.repeatability > 0.1
    assert judged.fault is None


def test_tensors_whose_gradient_is_zero_by_an_invariance_are_measured_against_the_whole(make_setup, windows):
    _, record = judge(make_setup, windows, in_bf16)
    scatter = dict(zip(record.tensors, record.scatter, strict=True))
    whole = sum(value**2 for value in scatter.values()) ** 0.5
    invariant = {name for name, value in scatter.items() if value < 1e-4 * whole}
    assert {"qa_outputs.bias", *(name for name in scatter if name.endswith("k_lin.bias"))} <= invariant
    assert not any(part in name for name in invariant for part in ("v_lin", "ffn", "embeddings"))


def test_what_is_not_trained_has_no_deviation():
    assert measure_deviation({}, {"weight": torch.ones(3)}).norms == {"weight": None}
    assert measure_deviation({"weight": torch.zeros(3)}, {"weight": torch.ones(3)}).norms["weight"] == 3**0.5


def test_sketches_keep_inner_products():
    torch.manual_seed(0)
    # All positive: without signs everything would add up.
    one, other = torch.rand(300, 400), torch.rand(300, 400)
    mixed = one + other
    exact = float((one * mixed).sum())
    assert float(sketch(one, seed=3) @ sketch(mixed, seed=3)) == pytest.approx(exact, rel=0.1)
    assert torch.equal(sketch(one[0], seed=3), one[0])
