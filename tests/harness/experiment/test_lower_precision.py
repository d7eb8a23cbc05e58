"""The equivalence check of lower precisions: what only rounds holds, what computes something else does not."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import pytest
import torch

from harness import registry
from harness.analysis.evidence.sameness import judge_equivalence
from harness.experiment import equivalence
from harness.experiment.deviation import compare_updates, load_updates, save_updates
from harness.experiment.equivalence import make_checked_setup, make_updates
from harness.presets import preset
from harness.records.serialise import override
from harness.strategy import TrainSetup
from optimizations import unpadded

CPU = torch.device("cpu")
MODELS = ("distilbert-base-uncased", "bert-base-uncased")


def in_bf16(setup: TrainSetup) -> TrainSetup:
    return replace(setup, compute_dtype=torch.bfloat16)


def judged(reference, setup, windows):
    given = make_updates(setup, windows)
    return judge_equivalence(compare_updates(reference, given, lowers_precision=True), lowers_precision=True)


@pytest.mark.parametrize("source", MODELS)
@pytest.mark.parametrize(
    "stack", ["amp_bf16", "bf16_weights", "unpadded+amp_bf16", "unpadded+bf16_weights", "sdpa+amp_bf16+fused_adamw"]
)
def test_what_only_rounds_is_within_the_tolerance_with_room(source, stack, make_setup, windows):
    reference = make_updates(make_setup(source, dropout=False), windows)
    setup = make_setup(source, dropout=False)
    for strategy in registry.resolve(stack):
        setup = strategy.apply(setup)
    check = judged(reference, setup, windows)
    assert check.holds, check.problem
    assert check.tolerance_dtype == "bfloat16"
    assert 0 < check.worst.gradient < check.tolerance / 2
    assert not check.proves


def pack(setup: TrainSetup, attend) -> TrainSetup:
    setup = unpadded.Unpadded().apply(setup)
    unpadded.ATTENTIONS["faulty"] = attend
    unpadded.set_packed_attention(setup.model, "faulty", longest=setup.max_length)
    return in_bf16(setup)


@pytest.fixture(autouse=True)
def _forget_faulty_attention():
    yield
    unpadded.ATTENTIONS.pop("faulty", None)


def windows_see_each_other(setup: TrainSetup) -> TrainSetup:
    def attend(query, key, value, cu_seqlens, *, longest, scaling, dropout):
        return unpadded.attend(query, key, value, scaling=scaling, dropout=dropout).transpose(1, 2)

    return pack(setup, attend)


def wrong_scale(setup: TrainSetup) -> TrainSetup:
    def attend(*tensors, scaling, **given):
        return unpadded.attend_one_by_one(*tensors, scaling=scaling * 0.5**0.5, **given)

    return pack(setup, attend)


def padding_attended_to(setup: TrainSetup) -> TrainSetup:
    def loss(model, batch):
        def seeing(**inputs):
            return model(**{**inputs, "attention_mask": torch.ones_like(inputs["attention_mask"])})

        return setup.forward_loss(seeing, batch)

    return in_bf16(replace(setup, forward_loss=loss))


def one_window_left_out(setup: TrainSetup) -> TrainSetup:
    def loss(model, batch):
        kept = {name: value[1:] for name, value in batch.inputs.items()}
        labels = {name: value[1:] for name, value in batch.labels.items()}
        return setup.forward_loss(model, replace(batch, inputs=kept, labels=labels))

    return in_bf16(replace(setup, forward_loss=loss))


def weights_in_fp8(setup: TrainSetup) -> TrainSetup:
    def loss(model, batch):
        rounded = {
            name: p + (p.detach().to(torch.float8_e4m3fn).float() - p.detach()) for name, p in model.named_parameters()
        }
        return setup.forward_loss(lambda **inputs: torch.func.functional_call(model, rounded, (), inputs), batch)

    return in_bf16(replace(setup, forward_loss=loss))


def a_tensor_without_gradient(setup: TrainSetup) -> TrainSetup:
    setup.model.distilbert.transformer.layer[0].ffn.lin1.weight.register_hook(torch.zeros_like)
    return in_bf16(setup)


def a_frozen_tensor(setup: TrainSetup) -> TrainSetup:
    setup.model.distilbert.embeddings.word_embeddings.weight.requires_grad_(False)
    return in_bf16(setup)


def lost_updates(setup: TrainSetup) -> TrainSetup:
    def make_step(inner, optimizer, scheduler):
        honest, calls = setup.make_step(inner, optimizer, scheduler), itertools.count(1)

        def step(batch):
            before = {name: p.detach().clone() for name, p in setup.model.named_parameters()}
            outcome = honest(batch)
            if next(calls) % 2 == 0:
                for name, p in setup.model.named_parameters():
                    p.data.copy_(before[name])
            return outcome

        return step

    return in_bf16(replace(setup, make_step=make_step))


@pytest.mark.parametrize(
    "fault",
    [
        windows_see_each_other,
        wrong_scale,
        padding_attended_to,
        one_window_left_out,
        weights_in_fp8,
        a_tensor_without_gradient,
        a_frozen_tensor,
        lost_updates,
    ],
)
def test_other_mathematics_in_a_lower_precision_is_seen(fault, make_setup, windows):
    reference = make_updates(make_setup(dropout=False), windows)
    check = judged(reference, fault(make_setup(dropout=False)), windows)
    assert not check.holds
    assert check.problem


def test_another_learning_rate_is_seen_in_bf16(make_setup, windows):
    reference = make_updates(make_setup(dropout=False), windows)
    setup = make_setup(dropout=False)
    faster = replace(setup, training=replace(setup.training, learning_rate=1.2 * setup.training.learning_rate))
    check = judged(reference, in_bf16(faster), windows)
    assert "the update of the median matrix" in check.problem


def test_rounding_that_no_dtype_shows_is_held_against_the_coarsest_if_it_is_announced(make_setup, windows):
    reference = make_updates(make_setup(dropout=False), windows)
    setup = make_setup(dropout=False)

    def loss(model, batch):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return setup.forward_loss(model, batch)

    hidden = replace(setup, forward_loss=loss)
    check = judged(reference, hidden, windows)
    assert (check.holds, check.dtype, check.tolerance_dtype) == (True, "float32", "bfloat16")
    silent = judge_equivalence(compare_updates(reference, make_updates(hidden, windows)))
    assert not silent.holds


@pytest.mark.usefixtures("needs_bundled")
@pytest.mark.parametrize(("stack", "holds"), [("amp_bf16", True), ("unpadded+amp_bf16", True), ("wrong", False)])
def test_on_the_bundled_encoder(stack, holds, inputs, windows):
    config = override(preset("quick"), {"device": "cpu"})
    make = partial(make_checked_setup, config, inputs=inputs, device=CPU)
    setup = make(strategies=[] if stack == "wrong" else registry.resolve(stack))
    check = judged(
        make_updates(make(strategies=[]), windows), wrong_scale(setup) if stack == "wrong" else setup, windows
    )
    assert check.holds is holds, check.problem


# A gradient scaler skips updates until it has found its scale.


def scaled_fp16(setup: TrainSetup, factor: float) -> TrainSetup:
    """Loss and gradients `factor` times as large, which clipping takes out again but fp16 must hold."""
    honest = setup.forward_loss
    setup = replace(setup, forward_loss=lambda model, batch: factor * honest(model, batch))
    return replace(setup, compute_dtype=torch.float16, gradient_scaling=True)


def enlarged(setup: TrainSetup, factor: float) -> TrainSetup:
    return replace(scaled_fp16(setup, factor), compute_dtype=torch.float32, gradient_scaling=False)


@pytest.mark.parametrize("factor", [1.0, 3e3])
def test_updates_skipped_while_the_scale_is_looked_for_are_no_difference(factor, make_setup, windows):
    reference = make_updates(enlarged(make_setup(dropout=False), factor), windows)
    setup = scaled_fp16(make_setup(dropout=False), factor)
    given = make_updates(setup, windows)
    assert given.skipped == 0
    assert all(torch.isfinite(gradient).all() for gradient in given.gradients.values())
    check = judge_equivalence(compare_updates(reference, given, lowers_precision=True), lowers_precision=True)
    assert check.holds, check.problem
    assert check.tolerance_dtype == "float16"


def test_without_looking_for_the_scale_the_first_update_would_be_skipped(make_setup, windows, monkeypatch):
    monkeypatch.setattr(equivalence, "MOST_PASSES", 1)
    assert make_updates(scaled_fp16(make_setup(dropout=False), 3e3), windows).skipped > 0


def test_a_fault_in_fp16_is_seen_also_after_skipped_updates(make_setup, windows):
    reference = make_updates(enlarged(make_setup(dropout=False), 3e3), windows)
    setup = scaled_fp16(windows_see_each_other(make_setup(dropout=False)), 3e3)
    given = make_updates(setup, windows)
    assert given.skipped == 0
    check = judge_equivalence(compare_updates(reference, given, lowers_precision=True), lowers_precision=True)
    assert not check.holds


def test_where_no_scale_is_found_the_check_says_so_and_refutes_nothing(make_setup, windows, monkeypatch, tmp_path):
    monkeypatch.setattr(equivalence, "MOST_PASSES", 2)
    setup = make_setup(dropout=False)
    reference = make_updates(setup, windows)
    made = make_updates(scaled_fp16(make_setup(dropout=False), 1e12), windows)
    assert made.skipped == 3
    save_updates(made, tmp_path / "updates.safetensors")
    given = load_updates(tmp_path / "updates.safetensors")
    assert given.skipped == 3
    record = compare_updates(reference, given, lowers_precision=True)
    assert "3 of 3 updates were skipped" in record.unmade
    check = judge_equivalence(record, lowers_precision=True)
    assert (check.holds, check.problem, check.unmade) == (False, None, record.unmade)


def test_gradients_that_are_no_numbers_without_a_scaler_are_a_problem(make_setup, windows):
    reference = make_updates(make_setup(dropout=False), windows)
    setup = make_setup(dropout=False)
    setup.model.qa_outputs.weight.register_hook(lambda gradient: gradient * torch.nan)
    given = make_updates(in_bf16(setup), windows)
    assert given.skipped == 0
    check = judge_equivalence(compare_updates(reference, given, lowers_precision=True), lowers_precision=True)
    assert not check.holds
    assert check.problem
