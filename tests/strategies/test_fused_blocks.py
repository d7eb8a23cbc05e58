"""fused_blocks: the same model with other kernels, padded and packed, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModelForQuestionAnswering

from harness import registry
from harness.errors import StrategyError
from harness.experiment.equivalence import switch_dropout_off
from harness.strategy import make_packing_collate
from harness.training.baseline import describe
from harness.training.evaluation import evaluate_in_batches
from harness.training.loop import account_work, make_trainer, train_epoch
from optimizations.fused_blocks import find_segments
from optimizations.native import build as native
from optimizations.native.dropout import FusedDropout
from optimizations.native.kernels import load_library
from optimizations.native.layers import PATHS, find_encoder

MODELS = ("distilbert-base-uncased", "bert-base-uncased")


@pytest.fixture
def fused(make_setup):
    """Return a factory of setups with the strategy applied."""
    strategy = registry.get("fused_blocks")()
    reason = strategy.not_applicable(make_setup())
    if reason is not None:
        pytest.skip(reason)

    def make(source: str = MODELS[0], **options):
        return strategy.apply(make_setup(source, **options))

    return make


@pytest.mark.parametrize("source", MODELS)
def test_three_updates_equal_the_eager_ones(source, fused, make_setup, windows):
    losses = []
    for setup in (make_setup(source, dropout=False, epochs=1), fused(source, dropout=False, epochs=1)):
        losses.append([step.loss for step in train_epoch(make_trainer(setup, windows), epoch=1, first_step=1).steps])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("source", MODELS)
def test_evaluation_gives_the_eager_logits(source, fused, make_setup, windows):
    expected = evaluate_in_batches(make_setup(source), windows)
    given = evaluate_in_batches(fused(source), windows)
    for ours, wanted in zip(given, expected, strict=True):
        for row, length in enumerate(windows.lengths):
            np.testing.assert_allclose(ours[row, :length], wanted[row, :length], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("source", MODELS)
def test_packed_batches_give_the_logits_of_padded_ones(source, fused, make_setup, windows):
    setup, plain = fused(source), make_setup(source)
    packed = make_packing_collate(setup.collate)(windows, np.arange(6))
    padded = plain.collate(windows, np.arange(6))
    with torch.no_grad():
        given = setup.model.eval()(**packed.inputs).start_logits[0]
        expected = plain.model.eval()(**padded.inputs).start_logits[padded.inputs["attention_mask"].bool()]
    torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("source", MODELS)
def test_packed_update_equals_the_eager_packed_one(source, fused, make_setup, assert_same_update):
    unpadded = registry.get("unpadded")()
    reference = unpadded.apply(make_setup(source, dropout=False))
    assert_same_update(reference, unpadded.apply(fused(source, dropout=False)))


def first_loss(setup, windows):
    with torch.no_grad():
        return float(setup.forward_loss(setup.model, setup.collate(windows, np.arange(8))))


def test_dropout_is_kept_and_follows_the_seed(fused, windows):
    setup = fused()
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(first_loss(setup, windows))
    assert losses[0] == losses[1]
    assert losses[1] != losses[2]


@pytest.mark.parametrize("source", MODELS)
def test_no_dropout_is_left_to_pytorch(source, fused):
    assert [name for name, module in fused(source).model.named_modules() if type(module) is nn.Dropout] == []


def test_dropout_switched_off_afterwards_is_off(fused, make_setup, windows):
    setup = fused()
    switch_dropout_off(setup.model)
    assert first_loss(setup, windows) == pytest.approx(first_loss(make_setup(dropout=False), windows), rel=1e-5)


@pytest.mark.parametrize("source", MODELS)
def test_query_key_and_value_are_three_parameters_that_all_train(source, fused, make_setup, windows):
    setup = fused(source, epochs=1)
    assert [(n, p.shape) for n, p in setup.model.named_parameters()] == [
        (n, p.shape) for n, p in make_setup(source).model.named_parameters()
    ]
    trainer = make_trainer(setup, windows)
    untrained = account_work(trainer, [train_epoch(trainer, epoch=1, first_step=1)]).untrained_tensors
    # A key's bias has no gradient but rounding; a pooler is not used by question answering.
    assert [n for n in untrained if "pooler" not in n and not n.endswith(("k_lin.bias", "key.bias"))] == []


def test_saved_weights_and_gradients_load_into_a_plain_model(fused, make_setup, windows, tmp_path):
    setup = fused(epochs=1)
    trainer = make_trainer(setup, windows)
    trainer.step(setup.collate(windows, np.arange(8)))
    gradients = {n: p.grad for n, p in setup.model.named_parameters() if p.grad is not None}
    save_file(gradients, tmp_path / "gradients.safetensors")
    setup.model.save_pretrained(tmp_path / "model")
    loaded = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "model", attn_implementation="eager")
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, setup.model.state_dict()[name]), name


def test_weights_that_were_moved_apart_still_count(fused, windows):
    setup = fused(dropout=False)
    before = first_loss(setup, windows)
    kind, encoder = find_encoder(setup.model)
    value = attrgetter(PATHS[kind]["value"])(encoder.layer[0])
    value.weight = nn.Parameter(value.weight.detach() * 64)
    assert abs(first_loss(setup, windows) - before) > 1e-4
    value.weight.data /= 64
    assert first_loss(setup, windows) == before


def test_knob_says_which_compiler_built_the_kernels(fused):
    setup = fused()
    knob = describe(setup, setup.make_optimizer(setup.model, setup.training))["blocks"]
    assert knob.startswith("2 fused, C++ kernels by ")


def test_every_dropout_of_a_model_is_replaced_with_its_probability_and_mode(fused, make_setup):
    class Special(nn.Dropout):
        pass

    setup = make_setup()
    setup.model.more = nn.ModuleDict({"own": nn.Dropout(0.3), "off": nn.Dropout(0.1).eval(), "special": Special(0.2)})
    model = registry.get("fused_blocks")().apply(setup).model
    assert not any(type(module) is nn.Dropout for module in model.modules())
    assert isinstance(model.more["own"], FusedDropout)
    assert (model.more["own"].p, model.more["own"].training) == (0.3, True)
    assert isinstance(model.more["off"], FusedDropout)
    assert (model.more["off"].p, model.more["off"].training) == (0.1, False)
    assert type(model.more["special"]) is Special


def test_lengths_are_read_off_both_kinds_of_masks():
    keys = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]).bool()
    boolean = keys[:, None, None, :].expand(2, 1, 4, 4)
    additive = torch.where(boolean, 0.0, torch.finfo(torch.float32).min)
    for mask in (boolean, additive):
        assert [segment.keys for segment in find_segments(2, 4, mask)] == [3, 4]
    assert [(segment.first, segment.queries, segment.keys) for segment in find_segments(2, 4, None)] == [
        (0, 4, 4),
        (4, 4, 4),
    ]


@pytest.mark.parametrize("hidden", [(0, 0, 1), (0, 3, 1)], ids=["padding on the left", "one query sees less"])
def test_masks_that_hide_more_than_padding_are_refused(hidden):
    mask = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    row, query, key = hidden
    if query == 0:
        mask[row, 0, :, key - 1] = False
    else:
        mask[row, 0, query, key] = False
    with pytest.raises(StrategyError, match="padded on the right only"):
        find_segments(1, 4, mask)


def test_cumulative_lengths_are_borders_of_windows():
    segments = find_segments(1, 9, None, torch.tensor([0, 3, 4, 9], dtype=torch.int32))
    assert [(segment.first, segment.queries, segment.keys) for segment in segments] == [(0, 3, 3), (3, 1, 1), (4, 5, 5)]


def refusal(setup) -> str:
    return registry.get("fused_blocks")().not_applicable(setup)


def test_other_models_activations_and_types_are_refused(make_setup):
    setup = make_setup()
    setup.model.config.activation = "relu"
    assert "activation is relu" in refusal(setup)
    setup = make_setup()
    setup.model.to(torch.bfloat16)
    assert "float32 weights" in refusal(setup)
    setup = make_setup()
    setup.model.config.model_type = "roberta"
    assert "neither a BERT nor a DistilBERT" in refusal(setup)


def test_refused_without_a_compiler(make_setup, monkeypatch, tmp_path):
    load_library.cache_clear()
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert "need a compiler" in refusal(make_setup())


def test_refused_where_the_compiler_fails(make_setup, monkeypatch, tmp_path):
    load_library.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setattr(native, "FLAGS", ("-fno-such-flag",))
    if native.find_compiler() is None:
        pytest.skip("no compiler to fail")
    assert "no-such-flag" in refusal(make_setup())


def test_refused_on_processors_without_vectors(make_setup, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert "AVX2" in refusal(make_setup())


def test_refused_on_a_gpu(make_setup):
    assert "cuda" in refusal(replace(make_setup(), device=torch.device("cuda")))
