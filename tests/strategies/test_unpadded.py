"""unpadded: the padded path's logits and gradients, no window sees another, whichever way attention goes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, bidirectional_mask_function, eager_mask

from harness import registry
from harness.analysis.evidence.sameness import judge_equivalence
from harness.experiment.deviation import compare_updates
from harness.experiment.equivalence import make_updates
from harness.strategy import unpack
from harness.training.evaluation import evaluate_in_batches
from harness.training.evaluation_check import logits_error
from harness.training.loop import make_trainer, train_epoch
from optimizations.unpadded import ATTENTIONS, attend_with_flash, choose_attention, set_packed_attention

MODELS = ("distilbert-base-uncased", "bert-base-uncased")
ON_CPU = ("packed_one_by_one", "packed_in_rows")
NUMBERS = np.arange(8)


def unpadded(setup, attention="packed_one_by_one"):
    setup = registry.get("unpadded")().apply(setup)
    set_packed_attention(setup.model, attention, longest=setup.max_length)
    return setup


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("source", MODELS)
def test_transformers_takes_every_attention_by_its_name(source, attention, make_setup):
    model = make_setup(source).model
    set_packed_attention(model, attention, longest=64)
    assert model.config._attn_implementation == attention


def test_a_packed_batch_has_no_mask_even_where_transformers_would_make_one(make_setup):
    """As transformers 5.17 does while a CUDA graph is captured: it asks for a mask that must not be left out."""
    unpadded(make_setup())
    make_mask = ALL_MASK_ATTENTION_FUNCTIONS["packed_one_by_one"]
    sizes = {"batch_size": 1, "q_length": 6, "kv_length": 6, "mask_function": bidirectional_mask_function}
    assert make_mask(attention_mask=None, allow_is_bidirectional_skip=False, **sizes) is None
    padding = torch.tensor([[True] * 4 + [False] * 2])
    given = make_mask(attention_mask=padding, allow_is_bidirectional_skip=True, **sizes)
    assert torch.equal(given, eager_mask(attention_mask=padding, **sizes))


def test_rows_are_as_long_as_the_configured_length_and_not_as_the_position_table(make_setup, windows, monkeypatch):
    lengths = set()
    monkeypatch.setattr(
        "optimizations.unpadded.unpack",
        lambda *given, length, fill: lengths.add(length) or unpack(*given, length=length, fill=fill),
    )
    setup = unpadded(make_setup(), "packed_in_rows")
    setup.forward_loss(setup.model, setup.collate(windows, NUMBERS))
    assert lengths == {setup.max_length}
    assert setup.max_length < setup.model.config.max_position_embeddings


@pytest.mark.parametrize("attention", ON_CPU)
@pytest.mark.parametrize("source", MODELS)
def test_update_is_that_of_the_padded_path(source, attention, make_setup, assert_same_update):
    contender = unpadded(make_setup(source, dropout=False), attention)
    assert_same_update(make_setup(source, dropout=False), contender)


@pytest.mark.parametrize("attention", ON_CPU)
@pytest.mark.parametrize("source", MODELS)
def test_evaluation_gives_the_padded_logits(source, attention, make_setup, windows):
    expected = evaluate_in_batches(make_setup(source), windows)
    given = evaluate_in_batches(unpadded(make_setup(source), attention), windows)
    assert given[0].shape == (len(windows), windows.lengths.max())
    assert logits_error(windows, expected, given) < 1e-5


@pytest.mark.parametrize("attention", ON_CPU)
@pytest.mark.parametrize("source", MODELS)
def test_changing_one_window_leaves_the_logits_of_the_others(source, attention, make_setup, windows):
    setup = unpadded(make_setup(source, dropout=False), attention)
    batch = setup.collate(windows, NUMBERS)
    poisoned = {name: value.clone() for name, value in batch.inputs.items()}
    first, last = (int(value) for value in batch.inputs["cu_seqlens"][3:5])
    poisoned["input_ids"][0, first:last] = 999
    with torch.no_grad():
        clean, dirty = (setup.model(**inputs).start_logits[0] for inputs in (batch.inputs, poisoned))
    others = np.r_[0:first, last : len(clean)]
    torch.testing.assert_close(dirty[others], clean[others], rtol=0, atol=1e-6)
    assert float((dirty[first:last] - clean[first:last]).abs().max()) > 1e-4


def test_batches_hold_no_padding_and_count_the_same_work(make_setup, windows):
    baseline = train_epoch(make_trainer(make_setup(epochs=1), windows), epoch=1, first_step=1)
    packed = train_epoch(make_trainer(unpadded(make_setup(epochs=1)), windows), epoch=1, first_step=1)
    for ours, theirs in zip(baseline.steps, packed.steps, strict=True):
        assert theirs.computed_tokens == theirs.useful_tokens == ours.useful_tokens < ours.computed_tokens
        assert (theirs.windows, theirs.token_id_sum) == (ours.windows, ours.token_id_sum)
    assert packed.window_order.tolist() == baseline.window_order.tolist()


def test_attention_dropout_is_kept(make_setup, windows):
    setup = unpadded(make_setup(dropout=False))
    for layer in setup.model.distilbert.transformer.layer:
        layer.attention.dropout.p = 0.5
    batch = setup.collate(windows, NUMBERS)
    with torch.no_grad():
        assert float(setup.forward_loss(setup.model, batch)) != float(setup.forward_loss(setup.model, batch))
        setup.model.eval()
        assert float(setup.forward_loss(setup.model, batch)) == float(setup.forward_loss(setup.model, batch))


@pytest.mark.parametrize("source", MODELS)
def test_a_padded_batch_is_still_right(source, make_setup, windows):
    """The check of the scored logits gives the trained model padded batches."""
    padded = make_setup(source)
    expected = evaluate_in_batches(padded, windows)
    set_packed_attention(padded.model, "packed_one_by_one", longest=padded.max_length)
    assert logits_error(windows, expected, evaluate_in_batches(padded, windows)) < 1e-6


@pytest.mark.parametrize("attention", ON_CPU)
def test_bf16_autocast_rounds_and_no_more(attention, make_setup, windows):
    plain = unpadded(make_setup(dropout=False), attention)
    rounded = replace(unpadded(make_setup(dropout=False), attention), compute_dtype=torch.bfloat16)
    expected, given = (make_updates(setup, windows).losses[0] for setup in (plain, rounded))
    assert given == pytest.approx(expected, rel=0.02)
    assert given != expected


@pytest.mark.parametrize("source", MODELS)
def test_equivalence_holds_on_windows_of_all_lengths(source, make_setup, windows):
    reference = make_updates(make_setup(source, dropout=False), windows)
    record = compare_updates(reference, make_updates(unpadded(make_setup(source, dropout=False)), windows))
    assert judge_equivalence(record).holds


def test_refuses_a_loss_that_runs_over_the_padding(make_setup):
    assert "loss_over" in registry.get("unpadded")().not_applicable(make_setup(loss_over="row"))


@pytest.fixture
def on_cuda(monkeypatch):
    """Return a device, as which this machine passes for a GPU that has the flash kernels."""
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (9, 0))
    return torch.device("cuda")


def test_flash_operator_takes_the_arguments_we_give(on_cuda):
    assert choose_attention(on_cuda, 64) == "packed_varlen"
    query = torch.empty(1, 4, 30, 32, dtype=torch.float16, device="meta")
    cu_seqlens = torch.empty(3, dtype=torch.int32, device="meta")
    output = attend_with_flash(query, query, query, cu_seqlens, longest=512, scaling=0.1, dropout=0.1)
    assert output.shape == (1, 30, 4, 32)


def test_flash_does_not_take_fp32_which_goes_over_rows():
    query, key, value = torch.randn(3, 1, 2, 6, 8).unbind()
    arguments = {"cu_seqlens": torch.tensor([0, 2, 6], dtype=torch.int32), "longest": 8, "scaling": 0.5, "dropout": 0.0}
    given, expected = (ATTENTIONS[name](query, key, value, **arguments) for name in ("packed_varlen", "packed_in_rows"))
    assert torch.equal(given, expected)


def test_an_operator_with_other_arguments_is_not_called(on_cuda, monkeypatch):
    monkeypatch.setattr("optimizations.unpadded.FLASH_ARGUMENTS", ("query", "something_new"))
    assert choose_attention(on_cuda, 64) == "packed_in_rows"


@pytest.mark.parametrize("head_size", [20, 264])
def test_heads_that_flash_does_not_take_go_over_rows(head_size, on_cuda):
    assert choose_attention(on_cuda, head_size) == "packed_in_rows"


def test_processors_go_through_the_windows_one_by_one():
    assert choose_attention(torch.device("cpu"), 64) == "packed_one_by_one"


def test_refuses_models_that_are_not_written_for_it(make_setup):
    setup = make_setup()
    setup.model.config.model_type = "roberta"
    assert "roberta" in registry.get("unpadded")().not_applicable(setup)
    assert "Linear" in registry.get("unpadded")().not_applicable(replace(setup, model=torch.nn.Linear(2, 2)))


def test_compiled_blocks_train_packed_batches(make_setup, windows, monkeypatch):
    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **_: compiler(function, backend="eager"))
    torch._dynamo.reset()
    plain, setup = (unpadded(make_setup(dropout=False)) for _ in range(2))
    setup = registry.get("compile")().apply(setup)
    for numbers in (np.arange(8), np.arange(8, 16), np.arange(3)):
        batch = setup.collate(windows, numbers)
        torch.testing.assert_close(setup.forward_loss(setup.model, batch), plain.forward_loss(plain.model, batch))
