"""The GPU kit: checks, speed and quality on one CUDA machine without a network, everything into one folder.

`make gpu` runs it. PyTorch, transformers and what they need must be installed; of the rest (`packages.py`) what is
missing is taken from a folder of wheels (`make gpu-wheels` fills it on a machine that has a network). All parts
together keep to `--total-s`: a part at its limit is interrupted, and a run is reported on as far as it came; a part
that fails does not stop the others. `summary.md` says what came out; `kit.tar.gz` holds the folder, and
`kit-traces.tar.gz` its traces. Exit status 1 if any part failed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packages import install

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "build" / "gpu-packages"
"""Where wheels are installed: nothing is put into the machine's own Python, and nothing into the output."""

STACKS = {
    "cuda": "unpadded+amp_bf16+fused_adamw+fast_evaluation",
    "cpu": "unpadded+fused_adamw+fast_evaluation",
}
"""The best stack that is known; on processors one that applies to all of them, so that a rehearsal runs it."""

CONTENDERS = ("amp_bf16", "sdpa", "hf_trainer_best", "fused_adamw")
"""Beside the stack, in the order of their weight: what is cut off is the last. `compile` alone would take a minute."""

TOTAL_S = 460.0
"""A little less than 8 minutes: interrupting the last part and packing take some seconds more."""

GRACE_S = 15.0
"""For an interrupted part to end by itself: pytest prints its failures, a run ends its workers."""

LEAST_S = 10.0
"""A part that would have less is not started."""

REPORT_LIMIT_S = 60.0
ARCHIVE = "kit.tar.gz"
TRACES = "kit-traces.tar.gz"
TRACE_SUFFIX = ".trace.json.gz"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One command of the kit."""

    name: str
    what: str
    command: tuple[str, ...]
    expected_s: float
    """Estimated for an H100, not measured."""
    limit_s: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a part ended."""

    part: Part
    result: str
    took_s: float

    @property
    def failed(self) -> bool:
        """Whether it did anything but end well."""
        return self.result != "exit status 0"


def parts(options: argparse.Namespace) -> list[Part]:
    """Return what the kit runs, in order."""
    return [
        Part(
            name="doctor",
            what="what is here",
            command=(*harness(), "doctor", "--roof"),
            expected_s=20,
            limit_s=0.15 * options.total_s,
        ),
        Part(
            name="checks",
            what="every strategy's update, training and evaluation; NVML, clocks, profiler, roof",
            command=(sys.executable, "-m", "pytest", "tests/gpu", "-q", "-ra", "--tb=short", "-p", "no:cacheprovider"),
            expected_s=110,  # half of it the compiler's
            limit_s=0.3 * options.total_s,
        ),
        Part(
            name="speed",
            what="the seed job of two epochs on random weights",
            command=speed_command(options),
            # A worker: 8 s to start, 4 of job, 8 of segments, 5 of checks and trace; the baseline has two. Roof first.
            expected_s=20 + 25 * (2 + 1 + len(options.contenders)),
            limit_s=0.45 * options.total_s,
        ),
        Part(
            name="quality",
            what="EM and F1 of the stack over seeds",
            command=quality_command(options),
            expected_s=15 + 18 * 2 * options.seeds,  # a job: 8 s to start, 10 of five epochs
            limit_s=0.35 * options.total_s,
        ),
    ]


def harness() -> tuple[str, ...]:
    """Return the program, as it runs without being installed."""
    return (sys.executable, "-m", "harness")


def run_options(options: argparse.Namespace, name: str) -> tuple[str, ...]:
    """Return what both runs have in common."""
    files = ("--train-file", options.train_file, "--validation-file", options.validation_file)
    return (
        *("--device", options.device, "--runs-dir", str(options.out), "--name", name),
        *(files if options.train_file else ("--data", "generator")),
    )


def speed_command(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the seed job on random weights: the stack, then others one by one."""
    sizes = ("--preset", "seed", "--weights", "random") if options.device == "cuda" else ("--preset", "smoke")
    brief = ("--epochs", "2", "--budget", str(options.budget))
    return (*harness(), "run", options.stack, *options.contenders, *sizes, *brief, *run_options(options, "speed"))


def quality_command(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the same recipe on the bundled encoder over several seeds: whole jobs, no segments."""
    sizes = ("--preset", "seed", "--model", "bundled") if options.device == "cuda" else ("--preset", "smoke")
    jobs = ("--seeds", str(options.seeds), "--no-speed", "--no-profile", "--no-roof")
    return (*harness(), "run", options.stack, *sizes, *jobs, *run_options(options, "quality"))


def report_part(run: Path) -> Part:
    """Return what reports on a run that did not come to its end."""
    return Part(
        name=f"{run.name}-report",
        what=f"{run.name} as far as it came",
        command=(*harness(), "report", str(run)),
        expected_s=10,
        limit_s=REPORT_LIMIT_S,
    )


def environment(packages: Path) -> dict[str, str]:
    """Return the parts' environment: the project and the kit's packages on the path, no hub, logs written at once."""
    path = os.pathsep.join([str(ROOT), str(packages), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


def run_part(part: Part, out: Path, env: dict[str, str], *, left_s: float) -> Outcome:
    """Run one part for as long as it may and as is left, its output to a log and the end of it to the terminal."""
    if left_s < LEAST_S:
        return Outcome(part=part, result="not started: no time was left", took_s=0.0)
    print(f"== {part.name}: {part.what}", flush=True)
    start_s = time.monotonic()
    path = out / f"{part.name}.log"
    with path.open("w", encoding="utf-8") as log:
        log.write(" ".join(part.command) + "\n")
        log.flush()
        process = subprocess.Popen(part.command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)
        result = wait(process, limit_s=min(part.limit_s, left_s))
    print("\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]), flush=True)
    return Outcome(part=part, result=result, took_s=time.monotonic() - start_s)


def wait(process: subprocess.Popen[bytes], *, limit_s: float) -> str:
    """Return how the process ended; at its limit it is interrupted, and killed if that does not end it."""
    try:
        return f"exit status {process.wait(limit_s)}"
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return f"killed {GRACE_S:g} s after its limit of {limit_s:.0f} s"
    return f"interrupted at its limit of {limit_s:.0f} s"


def hear_interrupts() -> None:
    """Have the parts heed an interrupt: what a shell starts in the background ignores it, and so would its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run_parts(planned: list[Part], out: Path, env: dict[str, str], *, total_s: float) -> list[Outcome]:
    """Run part after part, write summary and archives after each; report on a run that was cut off."""
    deadline_s = time.monotonic() + total_s
    outcomes: list[Outcome] = []
    for part in planned:
        outcomes.append(run_part(part, out, env, left_s=deadline_s - time.monotonic()))
        if outcomes[-1].failed and (out / part.name / "run.json").exists():
            outcomes.append(run_part(report_part(out / part.name), out, env, left_s=REPORT_LIMIT_S))
        save(outcomes, out)
    return outcomes


def save(outcomes: list[Outcome], out: Path) -> None:
    """Write `summary.md` and both archives."""
    (out / "summary.md").write_text(summary(outcomes), encoding="utf-8")
    pack(out, out / ARCHIVE, lambda path: not path.name.endswith(TRACE_SUFFIX))
    pack(out, out / TRACES, lambda path: path.name.endswith(TRACE_SUFFIX))


def pack(folder: Path, archive: Path, wanted: Callable[[Path], bool]) -> None:
    """Put the wanted files of a folder into an archive in it, other archives of the kit left out."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in (ARCHIVE, TRACES)]
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in filter(wanted, files):
            tar.add(path, arcname=path.relative_to(folder))


def summary(outcomes: list[Outcome]) -> str:
    """Return `summary.md`."""
    lines = [
        "# GPU kit",
        "",
        "| part | what | result | seconds | estimated |",
        "| --- | --- | --- | ---: | ---: |",
    ]
    for outcome in outcomes:
        part = outcome.part
        lines.append(f"| {part.name} | {part.what} | {outcome.result} | {outcome.took_s:.0f} | {part.expected_s:.0f} |")
    return "\n".join([*lines, "", "Reports: `speed/report.md`, `quality/report.md`; logs beside this file.", ""])


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """Return the kit's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/gpu-kit"))
    parser.add_argument("--wheels", type=Path, default=Path("wheels"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu rehearses it on tiny sizes")
    parser.add_argument("--train-file", help="SQuAD v1.1 JSON; without it the built-in generator's questions")
    parser.add_argument("--validation-file")
    parser.add_argument("--stack", help="timed first, and held against the baseline over the seeds")
    parser.add_argument("--contenders", nargs="*", default=CONTENDERS, help="what is timed beside the stack")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=5.0, help="seconds of timed segments per contender")
    parser.add_argument("--total-s", type=float, default=TOTAL_S, help="for all parts together")
    options = parser.parse_args(arguments)
    options.stack = options.stack or STACKS[options.device]
    return options


def main(arguments: list[str]) -> int:
    """Run the kit."""
    options = parse_options(arguments)
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    hear_interrupts()
    sys.path.append(str(PACKAGES))
    install(options.wheels, PACKAGES)
    outcomes = run_parts(parts(options), options.out, environment(PACKAGES), total_s=options.total_s)
    print(summary(outcomes))
    return 1 if any(outcome.failed for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
