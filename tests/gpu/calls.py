"""What the two calls of the kit consist of: commands, what each is expected to take, and its limit."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from parts import ROOT, Part

MODEL = "bundled-distilbert"
"""DistilBERT's sizes with weights that know something, without a hub."""

MARGIN_POINTS = 4.0
"""Of EM and F1, declared before the run: what three seeds of 250 questions can be expected to certify."""

REHEARSAL = {"data.train_size": 16, "data.validation_size": 8, "data.max_length": 384, "data.doc_stride": 128}
"""On processors, over the preset `smoke`: real questions are longer than its windows."""

OPTION_OF = {
    "model.source": "--model",
    "model.weights": "--weights",
    "data.source": "--data",
    "data.train_file": "--train-file",
    "data.validation_file": "--validation-file",
    "data.train_size": "--train-size",
    "data.validation_size": "--validation-size",
    "data.max_length": "--max-length",
    "data.doc_stride": "--doc-stride",
    "training.epochs": "--epochs",
    "device": "--device",
}
"""How `speedproof run` calls a setting."""


def parts(options: argparse.Namespace, folder: Path) -> list[Part]:
    """Return what a call consists of, in the order of its weight: what comes last is what is cut off."""
    if options.call == "a":
        return [start_part(options), checks_part(options), job_part(options, folder)]
    return [cold_part(options, folder), speed_part(options, folder)]


def start_part(options: argparse.Namespace) -> Part:
    """Versions, driver, and the seconds of each stage of a start."""
    return Part(
        name="start",
        what="what is here, and where a start goes",
        command=(sys.executable, "tests/gpu/start.py", "--device", options.device),
        expected_s=15,
        limit_s=0.2 * options.total_s,
    )


def checks_part(options: argparse.Namespace) -> Part:
    """Every strategy and the stacks, without what compiles, which takes as long again, and without the kit's tests."""
    brief = ("-q", "-ra", "--tb=short", "-p", "no:cacheprovider")
    which = ("--ignore-glob", "*/test_kit*", "-k", "not compile")
    return Part(
        name="checks",
        what="each strategy's and the stacks' update, training and evaluation; NVML, clocks, profiler, roof",
        command=(sys.executable, "-m", "pytest", "tests/gpu", *brief, *which),
        expected_s=70,
        limit_s=0.45 * options.total_s,
    )


def job_part(options: argparse.Namespace, folder: Path) -> Part:
    """One whole job of the best stack beside the baseline's."""
    only_jobs = ("--no-speed", "--no-profile", "--no-roof")
    return Part(
        name="job",
        what=f"{options.epochs} epochs of the baseline and of {options.stack}",
        command=(*run_command(options, folder, "job"), options.stack, *only_jobs),
        # Checking and tokenising 8 s; the baseline 8 to start, 16 of steps, 3 of evaluation; the stack 10.
        expected_s=50,
        limit_s=0.45 * options.total_s,
    )


def cold_part(options: argparse.Namespace, folder: Path) -> Part:
    """The best stack's job with empty caches, and again."""
    command = ("tests/gpu/jobs.py", options.stack, "--preset", preset_of(options))
    where = ("--settings", json.dumps(settings(options)), "--folder", shown(folder / "jobs"))
    return Part(
        name="jobs",
        what=f"{options.epochs} epochs of {options.stack}, cold and warm",
        command=(sys.executable, *command, *where),
        expected_s=30,
        limit_s=0.15 * options.total_s,
    )


def speed_part(options: argparse.Namespace, folder: Path) -> Part:
    """All contenders in one run: seed 0 with all evidence, one after the other, then the other seeds."""
    contenders = (options.stack, *options.contenders)
    how = ("--seeds", str(options.seeds), "--margin", f"{MARGIN_POINTS:g}", "--config", "tests/gpu/kit.toml")
    # Checking and the roof 20 s. Of seed 0: the baseline's job 30 and its A/A 30; each contender 30 of job, segments,
    # checks and trace. Further seeds: 30 for the baseline, 12 for each contender.
    seed_0_s, seed_s = 60 + 30 * len(contenders), 30 + 12 * len(contenders)
    return Part(
        name="speed",
        what=f"speed, traces and {options.seeds} seeds of {', '.join(('baseline', *contenders))}",
        command=(*run_command(options, folder, "speed"), *contenders, *how),
        expected_s=20 + seed_0_s + (options.seeds - 1) * seed_s,
        limit_s=0.95 * options.total_s,
    )


def preset_of(options: argparse.Namespace) -> str:
    """Return the preset: the reference experiment, or tiny sizes for a rehearsal."""
    return "seed" if options.device == "cuda" else "smoke"


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return what all jobs of a call have in common, by the dotted names of settings."""
    common: dict[str, Any] = {"device": options.device, "training.epochs": options.epochs}
    if options.device == "cpu":
        common |= REHEARSAL
    if options.model is not None:
        common |= {"model.source": options.model, "model.weights": "pretrained"}
    if options.train_file is None:
        return common | {"data.source": "generator"}
    files = {"data.train_file": options.train_file, "data.validation_file": options.validation_file}
    return common | {name: shown(path) for name, path in files.items()}


def run_command(options: argparse.Namespace, folder: Path, name: str) -> tuple[str, ...]:
    """Return what both runs have in common. A trial that hangs is ended, so that the others have their time."""
    given = [(OPTION_OF[setting], str(value)) for setting, value in settings(options).items()]
    return (
        *(sys.executable, "-m", "harness", "run", "--no-report", "--preset", preset_of(options)),
        *(part for option in given for part in option),
        *("--runs-dir", shown(folder), "--name", name, "--timeout", f"{0.35 * options.total_s:.0f}"),
    )


def shown(path: Path) -> str:
    """Return a path as the parts, which run in the project's folder, and reports should see it."""
    path = path.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
