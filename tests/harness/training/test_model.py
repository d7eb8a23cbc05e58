"""Models and tokenizers: where they come from, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, bidirectional_mask_function, eager_mask

from harness.config import ModelConfig
from harness.errors import ModelError
from harness.experiment.inputs import Inputs
from harness.experiment.prepare import summarise_inputs
from harness.presets import preset
from harness.records.serialise import override
from harness.records.spec import TokenizerFacts
from harness.tasks.question_answering.task import TASK
from harness.training import model as models
from harness.training.attention_mask import additive_mask
from harness.training.model import (
    check_length,
    load_model,
    load_model_config,
    load_tokenizer,
)

CPU = torch.device("cpu")


def test_random_weights_need_no_hub_and_have_the_published_sizes():
    distilbert = load_model_config(ModelConfig(source="distilbert-base-uncased", weights="random"))
    bert = load_model_config(ModelConfig(source="google-bert/bert-base-uncased", weights="random"))
    assert (distilbert.n_layers, distilbert.dim) == (6, 768)
    assert (bert.num_hidden_layers, bert.hidden_size) == (12, 768)


def test_model_is_pinned_to_fp32_and_eager_attention():
    model = load_model(preset("smoke").model, head=TASK.head(), seed=0, device=CPU)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.config._attn_implementation == "eager"
    assert model.training


def mask_arguments(**others):
    sizes = {"batch_size": 2, "q_length": 6, "kv_length": 6, "mask_function": bidirectional_mask_function}
    return {**sizes, "attention_mask": torch.tensor([[True] * 6, [True] * 4 + [False] * 2]), **others}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_eager_mask_is_transformers_own(dtype):
    arguments = mask_arguments(dtype=dtype, allow_is_causal_skip=True, config=None)
    given, expected = additive_mask(**arguments), eager_mask(**arguments)
    assert given.dtype == expected.dtype == dtype
    assert torch.equal(given, expected)


def test_without_padding_there_is_no_eager_mask():
    full = torch.ones(2, 6, dtype=torch.bool)
    assert additive_mask(**mask_arguments(attention_mask=full, allow_is_bidirectional_skip=True)) is None


def test_eager_mask_copies_nothing_from_the_host():
    """Such a copy waits for the device, and fails in a CUDA graph's capture; `torch.tensor` begins with lift_fresh."""

    class Operators(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), named=None):
            names.add(function._schema.name)
            return function(*arguments, **(named or {}))

    arguments, names = mask_arguments(), set()
    with Operators():
        additive_mask(**arguments)
    assert "aten::where" in names
    assert not names & {"aten::lift_fresh", "aten::_to_copy", "aten::copy_"}


def test_every_model_gets_that_mask():
    load_model(preset("smoke").model, head=TASK.head(), seed=0, device=CPU)
    assert ALL_MASK_ATTENTION_FUNCTIONS["eager"] is additive_mask


def test_seed_decides_the_weights_that_are_drawn():
    weights = [
        load_model(preset("smoke").model, head=TASK.head(), seed=seed, device=CPU).qa_outputs.weight
        for seed in (0, 0, 1)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.usefixtures("needs_bundled")
def test_bundled_encoder_is_pretrained_with_a_head_by_seed():
    config = ModelConfig(source="bundled")
    first, second = (load_model(config, head=TASK.head(), seed=seed, device=CPU) for seed in (0, 1))
    assert torch.equal(first.bert.embeddings.word_embeddings.weight, second.bert.embeddings.word_embeddings.weight)
    assert not torch.equal(first.qa_outputs.weight, second.qa_outputs.weight)


@pytest.mark.usefixtures("needs_bundled")
def test_known_sizes_share_the_bundled_vocabulary_and_say_so(windows):
    config = override(preset("smoke"), {"model.source": "distilbert-base-uncased", "model.weights": "random"})
    assert load_tokenizer(config.model).vocab_size == 30522
    inputs = Inputs(
        validation=[],
        train_windows=windows,
        validation_windows=windows,
        tokenizer=TokenizerFacts(sha256="", pad_id=0),
        head=TASK.head(),
        from_cache=False,
    )
    assert "bundled" in summarise_inputs(config, [], inputs)["tokenizer"]


@pytest.mark.parametrize("part", [load_tokenizer, load_model_config])
def test_unreachable_hub_is_an_error_with_remedies(part, monkeypatch):
    monkeypatch.setattr(models, "hub_reachable", lambda: False)
    with pytest.raises(ModelError, match=r"not in the local cache and the hub can't be reached") as raised:
        part(ModelConfig(source="nobody/no-such-model"))
    for remedy in ("HF_HOME", "--preset seed-offline", "--model bundled", "bundled-distilbert", "--weights random"):
        assert remedy in raised.value.remedy


def test_a_directory_that_is_no_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"the configuration of .* can't be loaded"):
        load_model_config(ModelConfig(source=str(tmp_path)))


@pytest.mark.usefixtures("needs_bundled")
def test_a_saved_model_loads_from_its_directory(tmp_path):
    model = load_model(preset("smoke").model, head=TASK.head(), seed=0, device=CPU)
    model.save_pretrained(tmp_path)
    load_tokenizer(preset("smoke").model).save_pretrained(tmp_path)
    config = ModelConfig(source=str(tmp_path))
    assert load_tokenizer(config).is_fast
    again = load_model(config, head=TASK.head(), seed=9, device=CPU)
    assert torch.equal(again.qa_outputs.weight, model.qa_outputs.weight)


def test_weights_that_are_no_safetensors_are_named(tmp_path):
    load_model(preset("smoke").model, head=TASK.head(), seed=0, device=CPU).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(ModelError, match=r"the weights of .* can't be loaded"):
        load_model(ModelConfig(source=str(tmp_path)), head=TASK.head(), seed=0, device=CPU)


def test_windows_longer_than_the_position_table_are_refused():
    config = load_model_config(preset("smoke").model)
    with pytest.raises(ModelError, match=r"max_length is 513 but the model knows 512"):
        check_length(config, 513)


def test_an_override_the_model_does_not_have_is_named():
    with pytest.raises(ModelError, match="names 'hidden', which DistilBertConfig"):
        load_model_config(ModelConfig(weights="random", overrides={"hidden": 3}))
