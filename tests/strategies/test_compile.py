"""compile: one graph for all blocks, the same update, evaluation untouched."""

from __future__ import annotations

import pytest
import torch

from harness import registry
from optimizations.compile import compile_training_forward, repeated_blocks


def test_finds_the_transformer_blocks(make_setup):
    for source in ("distilbert-base-uncased", "bert-base-uncased"):
        assert len(repeated_blocks(make_setup(source).model)) == 2


def test_a_model_without_blocks_is_compiled_whole():
    model = torch.nn.Linear(2, 2)
    assert repeated_blocks(model) == [model]


def test_all_blocks_share_one_graph(make_setup, monkeypatch):
    setup = make_setup(dropout=False)
    graphs = []

    def count_graphs(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **_: compiler(function, backend=count_graphs))
    torch._dynamo.reset()
    for block in repeated_blocks(setup.model):
        compile_training_forward(block)
    inputs = {"input_ids": torch.randint(5, 90, (2, 16)), "attention_mask": torch.ones(2, 16, dtype=torch.long)}
    setup.model(**inputs)
    assert len(graphs) == 1


def test_evaluation_mode_runs_the_block_itself(monkeypatch):
    block = torch.nn.Linear(2, 2)
    calls = []

    def fake_compile(function):
        def compiled(*arguments):
            calls.append("compiled")
            return function(*arguments)

        return compiled

    monkeypatch.setattr(torch, "compile", fake_compile)
    compile_training_forward(block)
    block.eval()(torch.ones(1, 2))
    assert calls == []
    block.train()(torch.ones(1, 2))
    assert calls == ["compiled"]


def test_compiled_update_equals_the_eager_one(make_setup, assert_same_update):
    strategy = registry.get("compile")()
    setup = make_setup(dropout=False)
    reason = strategy.not_applicable(setup)
    if reason is not None:
        pytest.skip(reason)
    torch._dynamo.reset()
    assert_same_update(make_setup(dropout=False), strategy.apply(setup), tolerance=1e-4)


def test_refuses_without_a_compiler(make_setup, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert "needs a C++ compiler" in registry.get("compile")().not_applicable(make_setup())
