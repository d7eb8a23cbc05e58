"""The GPU kit: one CUDA machine without a network, looked at in two calls of minutes.

`make gpu CALL=a` (200 s at most, installing included): versions and where a start goes, every CUDA strategy and the
best stack held against the baseline, one whole job of five epochs beside the baseline's. `make gpu CALL=b` (450 s): a
cold and a warm job, then the baseline, the best stack, Trainer's best and the stack with bf16 weights in one run,
timed, profiled and over three seeds.

PyTorch, transformers and what they need must be installed; of the rest (`packages.py`) what is missing is taken from
the folder that `make gpu-wheels` fills on a machine with a network, and so are the questions. Without make:
`python3 tests/gpu/kit.py a --archives FOLDER`.

Into the folder of archives (`OUT=`) comes nothing but `summary.md` and one finished archive a part, 16 MiB at most,
also while a part goes on: after each trial of a run its archive is written anew. Being cut off, even killed, thus loses
the trial that was running. Traces but the best stack's lie in an archive of their own. A part at its limit is
interrupted and kept as far as it came; one that fails does not stop the others. Exit status 1 if any part failed.

No report is made there: `make gpu-report FROM=folder` makes them from the archives, anywhere.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from archives import find_members, move, pack
from calls import MODEL, parts, shown
from packages import QUESTIONS, install
from parts import GRACE_S, ROOT, Outcome, Part, hear_interrupts, run_part
from stacks import OTHERS, PEER, STACKS
from tables import finished_trials, jobs_table

PACKAGES = ROOT / "build" / "gpu-packages"
"""Where wheels are installed: nothing is put into the machine's own Python, and nothing into the output."""

TOTAL_S = {"a": 200.0, "b": 450.0}
"""For a call, from its start to its last archive."""

INSTALL_S = 10.0
"""Estimated, not measured."""

RESERVE_S = GRACE_S + 5.0
"""Of the total: for the last part to end by itself, and for its archive."""


def environment(packages: Path) -> dict[str, str]:
    """Return the parts' environment: the project and the kit's packages on the path, no hub, logs written at once."""
    path = os.pathsep.join([str(ROOT), str(packages), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "160"}


class Keeper:
    """Keeps the archives of a call: each is written anew when there is more to keep."""

    def __init__(self, folder: Path, archives: Path, *, kept_trace: str) -> None:
        self._folder, self._archives, self._kept_trace = folder, archives, kept_trace
        self.left_out: dict[str, list[str]] = {}
        """Archive → what it would have been too large with."""

    def keep(self, part: Part) -> None:
        """Write the archives of a part as far as it has come."""
        paths = [path for path in (self._folder / part.name, self._folder / f"{part.name}.log") if path.exists()]
        members = find_members(paths, kept_trace=self._kept_trace)
        for name, files in ((part.name, members.main), (f"{part.name}-traces", members.traces)):
            if files:
                archive = f"{name}.tar.gz"
                self.left_out[archive] = pack(files, self._archives / archive, root=self._folder)

    def watch(self, part: Part, before: list[Outcome]) -> Callable[[], None]:
        """Return what keeps a part that is running as soon as another of its trials has ended."""
        seen = 0

        def tick() -> None:
            nonlocal seen
            count = len(finished_trials(self._folder / part.name))
            if count > seen:
                seen = count
                self.keep(part)
                self.summarise(before)

        return tick

    def summarise(self, outcomes: list[Outcome]) -> str:
        """Write `summary.md`, and return it."""
        left_out = [f"{name} had to leave out {', '.join(what)}." for name, what in self.left_out.items() if what]
        text = summary(outcomes, jobs_table(self._folder), left_out)
        temporary = self._folder / ".summary.md"
        temporary.write_text(text, encoding="utf-8")
        move(temporary, self._archives / "summary.md")
        return text


def run_parts(
    planned: list[Part], folder: Path, keeper: Keeper, env: dict[str, str], *, deadline_s: float
) -> list[Outcome]:
    """Run part after part, each as far as it comes; keep what it left as soon as it has ended.

    An interrupt ends the part that runs; it is kept as far as it came, and the interrupt goes on.
    """
    outcomes: list[Outcome] = []
    for part in planned:
        start_s = time.monotonic()
        try:
            left_s = deadline_s - start_s
            outcomes.append(run_part(part, folder, env, left_s=left_s, on_tick=keeper.watch(part, outcomes)))
        except KeyboardInterrupt:
            took_s = time.monotonic() - start_s
            outcomes.append(Outcome(part=part, result="interrupted from outside", took_s=took_s))
            raise
        finally:
            keeper.keep(part)
            keeper.summarise(outcomes)
    return outcomes


def summary(outcomes: list[Outcome], jobs: list[str], left_out: list[str]) -> str:
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
    reports = "`make gpu-report FROM=this folder` makes the reports; logs are in the archives."
    return "\n".join([*lines, *(["", *jobs] if jobs else []), *(["", *left_out] if left_out else []), "", reports, ""])


def new_folder(parent: Path, call: str) -> Path:
    """Make and return a folder for what a call leaves; what another left stays as it is."""
    number = 1
    while (folder := parent / (call if number == 1 else f"{call}-{number}")).exists():
        number += 1
    folder.mkdir(parents=True)
    return folder


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """Return the kit's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("call", choices=tuple(TOTAL_S))
    parser.add_argument("--archives", type=Path, default=Path("runs/gpu-kit/archives"), help="nothing else comes there")
    parser.add_argument("--runs", type=Path, default=Path("runs/gpu-kit"), help="where everything else lies")
    parser.add_argument("--wheels", type=Path, default=Path("wheels"), help="what `make gpu-wheels` filled")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu rehearses it on tiny sizes")
    parser.add_argument("--train-file", type=Path, help="SQuAD v1.1 JSON; without it that beside the wheels, if any")
    parser.add_argument("--validation-file", type=Path)
    parser.add_argument("--model", help=f"on cuda {MODEL} unless given, on cpu a tiny random one")
    parser.add_argument("--stack", help="the best one")
    parser.add_argument("--contenders", nargs="*", help="what is timed beside the stack in call b")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--total-s", type=float, help="for the whole call")
    options = parser.parse_args(arguments)
    if (options.train_file is None) != (options.validation_file is None):
        parser.error("give both --train-file and --validation-file")
    beside = [options.wheels / name for name in QUESTIONS]
    if options.train_file is None and all(path.is_file() for path in beside):
        options.train_file, options.validation_file = beside
    options.total_s = TOTAL_S[options.call] if options.total_s is None else options.total_s
    options.stack = options.stack or STACKS[options.device]
    options.contenders = (PEER, OTHERS[options.device]) if options.contenders is None else options.contenders
    if options.device == "cuda":
        options.model = options.model or MODEL
    return options


def main(arguments: list[str]) -> int:
    """Run one call of the kit."""
    start_s = time.monotonic()
    options = parse_options(arguments)
    hear_interrupts()
    sys.path.append(str(PACKAGES))
    install(options.wheels, PACKAGES)
    folder = new_folder(options.runs.resolve(), options.call)
    keeper = Keeper(folder, options.archives.resolve(), kept_trace=options.stack)
    deadline_s = start_s + options.total_s - RESERVE_S
    print(f"ready after {time.monotonic() - start_s:.1f} s; all files in {shown(folder)}", flush=True)
    planned = parts(options, folder)
    outcomes = run_parts(planned, folder, keeper, environment(PACKAGES), deadline_s=deadline_s)
    print(keeper.summarise(outcomes))
    return 1 if any(outcome.failed for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
