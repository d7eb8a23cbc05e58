"""lean_model: transformers' numbers without transformers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.config import ModelConfig
from harness.errors import ModelError
from harness.experiment.trial import apply_strategies
from harness.registry import resolve
from harness.strategy import ModelFiles
from harness.tasks.question_answering.task import TASK
from harness.training.model import (
    KNOWN_SIZES,
    bundled_directory,
    find_model_files,
    load_model,
    load_model_config,
)
from optimizations.lean.config import DEFAULTS, refuse_config
from optimizations.lean.loading import load_lean, take_over
from optimizations.lean.model import LeanModel

CPU = torch.device("cpu")
SOURCES = ("distilbert-base-uncased", "bert-base-uncased")
SMALL = {
    "distilbert-base-uncased": {"vocab_size": 500, "dim": 32, "hidden_dim": 64, "n_layers": 3, "n_heads": 4},
    "bert-base-uncased": {
        "vocab_size": 500,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
    },
}


def random_model(source: str) -> ModelConfig:
    return ModelConfig(source=source, weights="random", overrides=SMALL[source])


def assert_same_parameters(one: torch.nn.Module, other: torch.nn.Module) -> None:
    ours, theirs = dict(one.named_parameters()), dict(other.named_parameters())
    assert ours.keys() == theirs.keys()
    assert [name for name, value in ours.items() if not torch.equal(value, theirs[name])] == []
    assert all(value.requires_grad for value in ours.values())


@pytest.mark.parametrize("source", SOURCES)
def test_random_weights_are_those_that_transformers_draws(source):
    config = random_model(source)
    lean = load_model(config, loaders=(load_lean,), head=TASK.head(), seed=5, device=CPU)
    assert isinstance(lean, LeanModel)
    assert_same_parameters(lean, load_model(config, head=TASK.head(), seed=5, device=CPU))


@pytest.mark.parametrize("source", KNOWN_SIZES)
def test_fields_that_a_configuration_leaves_out_are_as_in_transformers(source):
    theirs = load_model_config(ModelConfig(source=source, weights="random")).to_dict()
    ours = vars(LeanModel(KNOWN_SIZES[source]).config)
    assert {name: ours[name] for name in DEFAULTS[theirs["model_type"]]} == {
        name: theirs[name] for name in DEFAULTS[theirs["model_type"]]
    }


def test_the_bundled_encoder_comes_with_the_head_that_transformers_draws(needs_bundled):
    config = ModelConfig(source="bundled")
    lean = load_model(config, loaders=(load_lean,), head=TASK.head(), seed=3, device=CPU)
    assert isinstance(lean, LeanModel)
    assert lean.training
    assert_same_parameters(lean, load_model(config, head=TASK.head(), seed=3, device=CPU))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_logits_loss_and_gradients_are_transformers(source, attention, make_setup, windows):
    setup = make_setup(source, dropout=False)
    lean = take_over(setup.model)
    # Its own parameters, so that gradients don't add up.
    lean.load_state_dict({name: value.clone() for name, value in lean.state_dict().items()}, assign=True)
    lean.set_attn_implementation(attention)
    batch = setup.collate(windows, np.arange(8))
    expected, given = setup.model(**batch.tensors()), lean(**batch.tensors())
    real = batch.inputs["attention_mask"].bool()
    for name in ("start_logits", "end_logits"):
        torch.testing.assert_close(getattr(given, name)[real], getattr(expected, name)[real], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(given.loss, expected.loss, rtol=1e-6, atol=1e-6)
    expected.loss.backward()
    given.loss.backward()
    gradients = {name: parameter.grad for name, parameter in lean.named_parameters()}
    for name, parameter in setup.model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("source", SOURCES)
def test_dropout_is_at_transformers_places(source, make_setup, windows):
    """The same random numbers in the same order give the same loss, so eager attention draws where theirs does."""
    setup = make_setup(source)
    lean = take_over(setup.model)
    batch = setup.collate(windows, np.arange(4))
    torch.manual_seed(1)
    expected = setup.forward_loss(setup.model, batch)
    torch.manual_seed(1)
    torch.testing.assert_close(setup.forward_loss(lean, batch), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("parts", ["unpadded", "fused_blocks", "unpadded+fused_blocks", "bf16_weights", "sdpa"])
def test_stacks_make_the_update_that_they_make_on_transformers_model(source, parts, make_setup, windows):
    losses = []
    for stack in (parts, f"lean_model+{parts}"):
        setup, refusal = apply_strategies(make_setup(source, dropout=False), resolve(stack))
        if refusal is not None:
            pytest.skip(refusal)
        batch = setup.collate(windows, np.arange(8))
        loss = setup.forward_loss(setup.model, batch)
        loss.backward()
        gradient = dict(setup.model.named_parameters())["qa_outputs.weight"].grad
        losses.append((loss.item(), gradient))
    rounding = 2e-2 if "bf16" in parts else 1e-5
    assert losses[1][0] == pytest.approx(losses[0][0], rel=rounding)
    torch.testing.assert_close(losses[1][1], losses[0][1], rtol=10 * rounding, atol=rounding)


@pytest.mark.parametrize("source", SOURCES)
def test_what_it_saves_transformers_loads(source, tmp_path):
    lean = load_model(random_model(source), loaders=(load_lean,), head=TASK.head(), seed=1, device=CPU)
    lean.save_pretrained(tmp_path)
    loaded = load_model(ModelConfig(source=str(tmp_path)), head=TASK.head(), seed=9, device=CPU)
    assert_same_parameters(lean, loaded)
    again = load_lean(find_model_files(ModelConfig(source=str(tmp_path)), TASK.head()), 9, CPU)
    assert_same_parameters(again, loaded)


def test_weights_are_copies_and_not_the_file(tmp_path):
    load_model(random_model(SOURCES[0]), loaders=(load_lean,), head=TASK.head(), seed=1, device=CPU).save_pretrained(
        tmp_path
    )
    files = find_model_files(ModelConfig(source=str(tmp_path)), TASK.head())
    before = files.weights.read_bytes()
    model = load_lean(files, 0, CPU)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert files.weights.read_bytes() == before


@pytest.mark.parametrize(
    "damage", ["weights cut off", "a configuration that is no JSON", "a configuration that is a list"]
)
def test_damaged_files_are_an_error_of_one_line(damage, tmp_path):
    load_model(random_model(SOURCES[0]), loaders=(load_lean,), head=TASK.head(), seed=1, device=CPU).save_pretrained(
        tmp_path
    )
    if damage == "weights cut off":
        path = tmp_path / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
    else:
        (tmp_path / "config.json").write_text("{" if "JSON" in damage else "[]")
    with pytest.raises(ModelError):
        load_model(ModelConfig(source=str(tmp_path)), loaders=(load_lean,), head=TASK.head(), seed=0, device=CPU)


@pytest.mark.parametrize("change", ["a tensor is missing", "a tensor has another shape", "another architecture"])
def test_what_does_not_fit_is_left_to_transformers(change, tmp_path):
    load_model(random_model(SOURCES[0]), loaders=(load_lean,), head=TASK.head(), seed=1, device=CPU).save_pretrained(
        tmp_path
    )
    path, name = tmp_path / "model.safetensors", "distilbert.transformer.layer.1.ffn.lin1.weight"
    tensors = load_file(path)
    config = json.loads((tmp_path / "config.json").read_text())
    if change == "a tensor is missing":
        del tensors[name]
    elif change == "a tensor has another shape":
        tensors[name] = tensors[name][:-1].contiguous()
    else:
        config["activation"] = "relu"
    save_file(tensors, path)
    assert load_lean(ModelFiles(config=config, weights=path, head=TASK.head()), 0, CPU) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("sinusoidal_pos_embds", True), ("hidden_act", "gelu_new"), ("is_decoder", True), ("model_type", "roberta")],
)
def test_variants_that_are_not_written_are_refused_by_name(field, value):
    kind = "distilbert" if field == "sinusoidal_pos_embds" else "bert"
    reason = refuse_config({"model_type": kind} | {field: value})
    assert reason is not None
    assert str(value) in reason


def test_frozen_parameters_stay_frozen(make_setup):
    setup = make_setup()
    for parameter in setup.model.distilbert.embeddings.parameters():
        parameter.requires_grad_(False)
    lean = take_over(setup.model)
    assert not any(parameter.requires_grad for parameter in lean.distilbert.embeddings.parameters())
    assert all(parameter.requires_grad for parameter in lean.qa_outputs.parameters())


def test_evaluation_of_padded_rows_ignores_padding(make_setup, windows):
    setup = make_setup(dropout=False)
    lean = replace(setup, model=take_over(setup.model))
    expected, given = setup.evaluate(setup, windows), lean.evaluate(lean, windows)
    for row, length in enumerate(windows.lengths):
        np.testing.assert_allclose(given[0][row, :length], expected[0][row, :length], rtol=1e-4, atol=1e-5)


def test_bundled_directory_holds_what_the_lean_loader_reads(needs_bundled):
    files = find_model_files(ModelConfig(source="bundled"), TASK.head())
    assert files is not None
    assert files.weights == bundled_directory() / "model.safetensors"
