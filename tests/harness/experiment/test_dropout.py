"""Dropout is off in the equivalence check; what scatters with it on tells whether it is the baseline's."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from harness import registry
from harness.analysis.evidence.sameness import judge_equivalence
from harness.experiment.deviation import compare_updates, scatter
from harness.experiment.equivalence import DRAWS, draw_losses, make_checked_setup, make_updates
from harness.presets import preset


def checked(inputs, change, **model):
    """Updates without dropout and losses with it, as a worker makes them."""
    config = replace(preset("smoke"), model=replace(preset("smoke").model, **model))
    quiet, noisy, attention = (
        change(make_checked_setup(config, [], inputs, torch.device("cpu"), dropout=dropout))
        for dropout in (False, True, "attention")
    )
    windows = inputs.train_windows
    return replace(
        make_updates(quiet, windows),
        dropout_losses=draw_losses(noisy, windows),
        attention_losses=draw_losses(attention, windows),
    )


def as_it_is(setup):
    return setup


def with_dropout_of(probability):
    def change(setup):
        for module in setup.model.modules():
            if isinstance(module, nn.Dropout) and module.p > 0:
                module.p = probability
        return setup

    return change


@pytest.fixture
def reference(inputs):
    return checked(inputs, as_it_is)


def test_losses_scatter_and_are_drawn_alike_each_time(inputs, reference):
    assert len(set(reference.dropout_losses)) == DRAWS
    assert checked(inputs, as_it_is).dropout_losses == reference.dropout_losses


@pytest.mark.parametrize("probability", [0.0, 0.9])
def test_another_dropout_is_seen(probability, inputs, reference):
    judged = judge_equivalence(compare_updates(reference, checked(inputs, with_dropout_of(probability))))
    assert not judged.holds
    assert "its dropout is not the baseline's" in judged.problem


@pytest.mark.parametrize("source", ["distilbert-base-uncased", "bert-base-uncased"])
def test_dropout_that_attention_alone_lacks_is_seen(source, inputs):
    def leave_out(setup):
        for name, module in setup.model.named_modules():
            if isinstance(module, nn.Dropout) and name.endswith(("attention.dropout", "attention.self.dropout")):
                module.p = 0.0
        return setup

    bert = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = {"source": source} | ({"overrides": bert} if source.startswith("bert") else {})
    record = compare_updates(checked(inputs, as_it_is, **model), checked(inputs, leave_out, **model))
    judged = judge_equivalence(record)
    assert "its dropout on attention's weights is not the baseline's" in judged.problem
    # The whole scatter does not tell.
    assert judge_equivalence(replace(record, attention_scatter=None)).holds


@pytest.mark.parametrize(
    "name", ["sdpa", "fused_blocks", "unpadded", "dynamic_padding", "gradient_checkpointing", "compile"]
)
def test_dropout_that_draws_other_numbers_holds(name, inputs, reference):
    judged = judge_equivalence(compare_updates(reference, checked(inputs, registry.get(name)().apply)))
    assert judged.holds, judged.problem


@pytest.mark.parametrize(
    ("dtype", "scatter", "holds"),
    [
        # Of one loss in bfloat16 0.4 % may be rounding, whatever dropout on attention's weights does to it.
        ("bfloat16", 4e-5, True),
        ("bfloat16", 3e-2, False),
        ("float32", 4e-5, False),
        # Less than there is dropout in the reference is never rounding.
        ("bfloat16", 3e-6, False),
    ],
)
def test_a_scatter_that_rounding_explains_is_no_other_dropout(dtype, scatter, holds, reference):
    loss = reference.losses[0]
    record = replace(
        compare_updates(reference, reference),
        dtype=dtype,
        attention_scatter=scatter * loss,
        attention_scatter_reference=1e-5 * loss,
    )
    assert judge_equivalence(record, lowers_precision=dtype != "float32").holds == holds


def test_a_model_without_dropout_has_nothing_to_compare(inputs):
    sizes = preset("smoke").model.overrides | {"dropout": 0.0, "attention_dropout": 0.0, "qa_dropout": 0.0}
    updates = checked(inputs, as_it_is, overrides=sizes)
    record = compare_updates(updates, updates)
    assert record.dropout_scatter_reference == 0.0
    assert judge_equivalence(record).holds


def test_the_compiler_is_not_imported_to_ask_what_it_never_compiled(inputs, monkeypatch):
    setup = make_checked_setup(preset("smoke"), [], inputs, torch.device("cpu"), dropout=True)
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    monkeypatch.setattr(torch.compiler, "set_stance", None)
    assert len(draw_losses(setup, inputs.train_windows)) == DRAWS


def test_what_is_compiled_runs_uncompiled(inputs):
    import torch._dynamo

    compiled = []
    torch._dynamo.reset()
    setup = make_checked_setup(preset("smoke"), [], inputs, torch.device("cpu"), dropout=True)
    forward_loss = torch.compile(setup.forward_loss, backend=lambda graph, _: compiled.append(graph) or graph.forward)
    draw_losses(replace(setup, forward_loss=forward_loss), inputs.train_windows)
    assert not compiled


def test_scatter_of_what_was_not_drawn_is_not_measured():
    assert scatter([]) is None
