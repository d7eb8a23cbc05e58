"""compile_cached: one cache for each training, kept between runs; a cold first run says so, and the second is warm."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness import registry
from harness.experiment.job import compile_cache_directory
from harness.presets import preset
from harness.records.spec import TrialSpec
from optimizations.compile_cached import CACHE_VARIABLE


def applied(setup, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, "of-the-run")
    return registry.get("compile_cached")().apply(setup)


def test_a_training_finds_its_own_cache_again(make_setup, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    applied(make_setup(), monkeypatch)
    first = os.environ[CACHE_VARIABLE]
    applied(make_setup(), monkeypatch)
    assert os.environ[CACHE_VARIABLE] == first
    assert first.startswith(str(tmp_path / "speedproof"))


def test_what_compiles_other_code_has_another_cache(make_setup, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    setup = make_setup()
    others = [
        make_setup("bert-base-uncased"),
        make_setup(dropout=False),
        make_setup(batch_size=3),
        replace(setup, compute_dtype=torch.bfloat16),
        replace(setup, max_length=96),
        registry.get("dynamic_padding")().apply(make_setup()),
    ]
    caches = [applied(other, monkeypatch).knobs["compile cache"] for other in (setup, *others)]
    assert len(set(caches)) == len(caches)
    assert applied(make_setup(seed=1), monkeypatch).knobs["compile cache"] == caches[0]


def test_the_record_looks_where_the_compiler_does(monkeypatch, tmp_path):
    spec = TrialSpec(
        contender="compile_cached",
        seed=0,
        config=preset("smoke"),
        directory=".",
        cache_directory=".",
        compile_cache_directory=str(tmp_path / "run"),
    )
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    assert compile_cache_directory(spec) == tmp_path / "run"
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "kept"))
    assert compile_cache_directory(spec) == tmp_path / "kept"


def test_compiles_as_compile_does_and_says_where_the_cache_is(make_setup, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    knobs = applied(make_setup(), monkeypatch).knobs
    assert "Inductor" in knobs["compile"]
    assert Path(os.environ[CACHE_VARIABLE]).name in knobs["compile cache"]


def test_refuses_what_compile_refuses(make_setup, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert "needs a C++ compiler" in registry.get("compile_cached")().not_applicable(make_setup())


@pytest.fixture(autouse=True)
def _keep_the_environment(monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, os.environ.get(CACHE_VARIABLE, ""))
