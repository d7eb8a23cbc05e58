"""One job of a stack with caches that are empty, then the same again: cold and warm, beside no baseline.

A run tokenises before its first job, and a baseline runs before any other; here the job itself finds neither tokens
nor compiled kernels. What the parent of a run knows it is told too: the tokenizer's facts, and a model that is made of
another lies ready. What the system keeps of files that were read it keeps.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE))

CACHES = {
    "XDG_CACHE_HOME": "",
    "CUDA_CACHE_PATH": "cuda",
    "TRITON_CACHE_DIR": "triton",
}
"""Environment variables that say where programs keep what they made, and the folder that each gets."""

NAMES = ("cold", "warm")


def point_caches_at(folder: Path) -> None:
    """Have this process and its children keep what they cache below a folder; a hub's files stay where they are."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    os.environ.setdefault("HF_HOME", str(Path(home) / "huggingface"))
    for variable, name in CACHES.items():
        os.environ[variable] = str(folder / name)


def main(arguments: list[str]) -> int:
    """Run both jobs and print their phases side by side; exit status 1 if one did not end well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack")
    parser.add_argument("--preset", required=True)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: dotted names of settings to values")
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    point_caches_at(folder / "cache")

    from tables import phases_table, read_job

    from harness import registry
    from harness.cli.settings import build_config
    from harness.data.tokens import hash_tokenizer
    from harness.records.spec import TokenizerFacts
    from harness.training.model import load_tokenizer

    registry.load_all()
    config = build_config(preset_name=options.preset, file=None, options=options.settings, contenders=[options.stack])
    loaded = load_tokenizer(config.model)
    tokenizer = TokenizerFacts(sha256=hash_tokenizer(loaded), pad_id=int(loaded.pad_token_id or 0))
    jobs = {}
    for name in NAMES:
        record = run_job(config, options.stack, folder, name, tokenizer)
        print(f"{name}: {record}", flush=True)
        job = read_job(folder / name / "trial.json")
        if job is not None:
            jobs[name] = job
    print("\n".join(phases_table(jobs)), flush=True)
    return 0 if len(jobs) == len(NAMES) else 1


def run_job(config, stack: str, folder: Path, name: str, tokenizer) -> str:
    """Run one job in a process of its own, as a run does; return in words how it ended."""
    from harness.experiment.commands import RunJob
    from harness.experiment.process import Worker, WorkerError
    from harness.records.spec import TrialSpec

    spec = TrialSpec(
        contender=stack,
        seed=0,
        config=config,
        directory=str(folder / name),
        cache_directory=str(folder / "cache" / "speedproof"),
        compile_cache_directory=str(folder / "cache" / "inductor"),
        tokenizer=tokenizer,
    )
    try:
        with Worker(spec, lambda phase, done, total: None) as worker:
            worker.ask(RunJob(directory=spec.directory))
    except WorkerError as error:
        return f"failed: {error}"
    return "done"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
