"""Building on demand: the cache, and what is said where there is no library."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from harness.errors import StrategyError
from optimizations.native import build as native
from optimizations.native.kernels import load_library


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    return tmp_path / "cache" / "speedproof" / "native"


@pytest.fixture
def fresh_library():
    load_library.cache_clear()
    yield
    load_library.cache_clear()


@pytest.fixture
def fake_compiler(tmp_path, monkeypatch):
    """Return a function that makes a shell script the compiler; it finds the output's path in $OUT."""

    def make(script: str, version: str = "fake 1.0") -> Path:
        path = tmp_path / "fake-c++"
        path.write_text(
            f'#!/bin/sh\nif [ "$1" = --version ]; then echo {version}; exit 0; fi\nfor OUT; do :; done\n{script}\n'
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("CXX", str(path))
        return path

    return make


def test_second_build_comes_from_the_cache(empty_cache, fake_compiler):
    fake_compiler(f"echo run >> {empty_cache.parent}/runs; echo library > $OUT")
    first, second = native.build(), native.build()
    assert first.time_s is not None
    assert second.time_s is None
    assert second.path == first.path
    assert first.path.read_text() == "library\n"
    assert (empty_cache.parent / "runs").read_text() == "run\n"
    assert list(empty_cache.iterdir()) == [first.path]


def test_other_compiler_processor_or_flags_are_other_libraries(empty_cache, fake_compiler, monkeypatch):
    fake_compiler("echo library > $OUT", version="g++ 12")
    paths = {native.build().path}
    fake_compiler("echo library > $OUT", version="g++ 13")
    paths.add(native.build().path)
    monkeypatch.setattr(Path, "read_text", lambda _path: "flags : avx2")
    paths.add(native.build().path)
    monkeypatch.setattr(native, "FLAGS", ("-O0",))
    paths.add(native.build().path)
    monkeypatch.setattr(native, "SOURCES", ("numeric.h",))
    paths.add(native.build().path)
    assert len(paths) == 5


def test_a_cold_start_asked_of_torch_compile_is_cold_here_too(empty_cache, monkeypatch, tmp_path):
    assert native.cache_directory() == empty_cache
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    assert native.cache_directory() == tmp_path / "inductor" / "native"


def test_without_a_compiler_the_reason_says_so(empty_cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(StrategyError, match="need a compiler"):
        native.build()


def test_a_failing_compiler_is_quoted_and_leaves_nothing(empty_cache, fake_compiler):
    fake_compiler("echo 'note: x' >&2; echo 'fused.cpp:1: error: no such flag' >&2; exit 1")
    with pytest.raises(StrategyError, match="error: no such flag"):
        native.build()
    assert list(empty_cache.iterdir()) == []


def test_a_compiler_that_writes_nothing_has_failed(empty_cache, fake_compiler):
    fake_compiler("exit 0")
    with pytest.raises(StrategyError, match="can't build"):
        native.build()


def test_a_compiler_that_hangs_is_ended(empty_cache, fake_compiler, monkeypatch):
    monkeypatch.setattr(native, "TIMEOUT_S", 0.5)
    fake_compiler("exec sleep 60")
    with pytest.raises(StrategyError, match="does not run"):
        native.build()


def test_what_is_no_library_is_named_with_its_file(empty_cache, fake_compiler, fresh_library):
    fake_compiler("echo garbage > $OUT")
    with pytest.raises(StrategyError, match=r"can't be loaded.*delete that file"):
        load_library()


def test_a_cache_that_can_not_be_written_is_named(empty_cache, fake_compiler):
    fake_compiler("echo library > $OUT")
    empty_cache.parent.mkdir(parents=True)
    empty_cache.write_text("a file where the folder should be")
    with pytest.raises(StrategyError, match="XDG_CACHE_HOME"):
        native.build()


def test_a_new_library_computes(empty_cache, fresh_library, monkeypatch):
    monkeypatch.setattr(native, "FLAGS", tuple(flag for flag in native.FLAGS if flag != "-O3"))
    library = load_library()
    assert library.build.time_s is not None
    assert library.build.path.parent == empty_cache
    assert library.functions.bias_gelu_f32 is not None
