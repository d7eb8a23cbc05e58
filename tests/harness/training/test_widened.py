"""The widened encoder computes what its source does, and learns as one that is twice as wide."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertForQuestionAnswering, DistilBertModel

from harness.training.model_files import bundled_directory
from harness.training.widened import NOISE, distilbert_config, widen

pytestmark = pytest.mark.usefixtures("needs_bundled")

TINY = BertConfig(
    vocab_size=64,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=32,
)


def padded_batch(vocabulary, *, rows=4, length=96):
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(5, vocabulary, (rows, length), generator=draw)
    mask = torch.ones_like(ids)
    mask[1, length // 2 :] = 0
    mask[3, 8:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def tiny_bert():
    torch.manual_seed(0)
    bert = BertModel(TINY).eval()
    for parameter in bert.parameters():  # biases and LayerNorms too, which begin at 0 and 1
        torch.nn.init.normal_(parameter, std=0.3)
    return bert


def widened_from(state, config, model=DistilBertModel):
    given = distilbert_config(config)
    wide = model(DistilBertConfig(**given, attn_implementation="eager"))
    weights = widen(state, layers=given["n_layers"], heads=given["n_heads"])
    if model is DistilBertModel:
        weights = {name.removeprefix("distilbert."): tensor for name, tensor in weights.items()}
    return wide, weights


def largest_difference(bert, wide, batch):
    with torch.no_grad():
        narrow = bert.eval()(**batch).last_hidden_state
        doubled = wide.eval()(**batch).last_hidden_state
    return (torch.cat([narrow, narrow], -1) - doubled)[batch["attention_mask"].bool()].abs().max().item()


def test_real_hidden_states_are_equal():
    """Seen: 2.8e-6, where the largest hidden state is 6.2."""
    directory = bundled_directory()
    bert = BertModel.from_pretrained(directory, attn_implementation="eager", dtype=torch.float32)
    config = json.loads((directory / "config.json").read_text())
    wide, weights = widened_from(load_file(directory / "model.safetensors"), config)
    wide.load_state_dict(weights)
    assert (wide.config.dim, wide.config.n_heads, wide.config.hidden_dim) == (768, 12, 3072)
    assert sum(parameter.numel() for parameter in wide.parameters()) == 66_362_880
    assert largest_difference(bert, wide, padded_batch(30_000)) < 1e-4


def test_biases_norms_and_odd_sizes_are_widened_too():
    bert = tiny_bert()
    wide, weights = widened_from(bert.state_dict(), TINY.to_dict())
    wide.load_state_dict(weights)
    assert largest_difference(bert, wide, padded_batch(64, length=24)) < 1e-4


def test_only_the_answer_head_is_new():
    wide, weights = widened_from(tiny_bert().state_dict(), TINY.to_dict(), DistilBertForQuestionAnswering)
    missing, unexpected = wide.load_state_dict(weights, strict=False)
    assert (sorted(missing), unexpected) == (["qa_outputs.bias", "qa_outputs.weight"], [])


def test_what_is_made_is_always_the_same():
    state = tiny_bert().state_dict()
    first, second = (widen(state, layers=2, heads=2) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def copies(tensor, dim, groups):
    """Both copies of the features along `dim`."""
    grouped = tensor.unflatten(dim, (groups, 2, -1))
    return grouped.select(dim + 1, 0), grouped.select(dim + 1, 1)


def updates_after(steps, *, noise):
    """Train the tiny widened model; return how each weight has changed."""
    wide, weights = widened_from(tiny_bert().state_dict(), TINY.to_dict(), DistilBertForQuestionAnswering)
    weights = widen(tiny_bert().state_dict(), layers=2, heads=2, noise=noise)
    torch.manual_seed(0)
    wide.load_state_dict(weights, strict=False)
    before = {name: parameter.detach().clone() for name, parameter in wide.named_parameters()}
    optimizer = torch.optim.AdamW(wide.train().parameters(), lr=1e-3)
    batch, labels = padded_batch(64, length=24), torch.tensor([3, 4, 5, 6])
    for _ in range(steps):
        optimizer.zero_grad()
        wide(**batch, start_positions=labels, end_positions=labels + 1).loss.backward()
        optimizer.step()
    return {name: parameter.detach() - before[name] for name, parameter in wide.named_parameters()}


INNER = {"attention.q_lin": 2, "attention.k_lin": 2, "attention.v_lin": 2, "ffn.lin1": 1}
HIDDEN = {"attention.out_lin": 1, "ffn.lin2": 1, "output_layer_norm": 1}


def relative_difference(updates, name, groups):
    first, second = copies(updates[f"distilbert.transformer.layer.1.{name}.weight"], 0, groups)
    return ((first - second).norm() / (first + second).norm()).item()


@pytest.mark.parametrize(("name", "groups"), [*INNER.items(), *HIDDEN.items()])
def test_a_few_updates_tell_the_copies_apart(name, groups):
    assert relative_difference(updates_after(10, noise=NOISE), name, groups) > 0.01


@pytest.mark.parametrize(("name", "groups"), INNER.items())
def test_without_noise_the_copies_inside_a_layer_would_stay_the_same(name, groups):
    """What the noise is for: if this fails one day, it can go."""
    assert relative_difference(updates_after(10, noise=0.0), name, groups) < 1e-3
