"""What audited perturbation accepts, does it keep EM and F1? Fine-tunings of the bundled encoder over seeds.

    python tests/benchmarks/perturbation.py --seeds 10 --file perturbation.jsonl

Each seed's fine-tuning of each variant appends one line to the file, and what is in it isn't made again; then the table
is printed. A seed takes about three minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional

from harness.analysis.evidence.perturbation import Perturbation, judge_perturbation, loss_beyond_chance
from harness.config import AuditConfig, RunConfig
from harness.experiment.auditor import Auditor
from harness.experiment.audits import draw_steps
from harness.experiment.inputs import Inputs, load_inputs, load_tokenised
from harness.experiment.job import validate
from harness.experiment.perturbation import OTHER_BATCHES, StepBeside, measure_step, reference_gradient, summarise_steps
from harness.experiment.snapshot import load_snapshot
from harness.measurement.clocks import PhaseClock
from harness.presets import preset
from harness.records.files import default_cache_directory
from harness.records.perturbation import PerturbationRecord
from harness.records.serialise import build, override
from harness.statistics.noninferiority import NonInferiority, assess
from harness.strategy import StartUp, TrainSetup
from harness.training.baseline import build_baseline
from harness.training.loop import make_trainer, plan_training, train_epoch
from harness.training.model import load_model

CPU = torch.device("cpu")

METRICS = ("em", "f1")


def with_rows(setup: TrainSetup, rows: slice) -> TrainSetup:
    """Leave windows of each batch out."""

    def loss(model: Any, batch: Any) -> torch.Tensor:
        inputs = {name: value[rows] for name, value in batch.inputs.items()}
        labels = {name: value[rows] for name, value in batch.labels.items()}
        return setup.forward_loss(model, replace(batch, inputs=inputs, labels=labels))

    return replace(setup, forward_loss=loss)


def padding_attended_to(setup: TrainSetup) -> TrainSetup:
    """Ignore the padding mask in training."""

    def loss(model: Any, batch: Any) -> torch.Tensor:
        mask = torch.ones_like(batch.inputs["attention_mask"])
        return setup.forward_loss(model, replace(batch, inputs={**batch.inputs, "attention_mask": mask}))

    return replace(setup, forward_loss=loss)


def weights_in_fp8(setup: TrainSetup) -> TrainSetup:
    """Round weights to e4m3 in training."""

    def loss(model: Any, batch: Any) -> torch.Tensor:
        rounded = {
            name: p + (p.detach().to(torch.float8_e4m3fn).float() - p.detach()) for name, p in model.named_parameters()
        }
        return setup.forward_loss(lambda **inputs: torch.func.functional_call(model, rounded, (), inputs), batch)

    return replace(setup, forward_loss=loss)


class LargerGelu(torch.nn.Module):
    """GELU by tanh, 5 % too large; in training alone."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return 1.05 * functional.gelu(values, approximate="tanh") if self.training else functional.gelu(values)


def larger_gelu(setup: TrainSetup) -> TrainSetup:
    """Change the activation of every block."""
    for module in setup.model.modules():
        if hasattr(module, "intermediate_act_fn"):
            module.intermediate_act_fn = LargerGelu()
    return setup


def frozen_embedding(setup: TrainSetup) -> TrainSetup:
    """Don't train the word embedding."""
    setup.model.get_input_embeddings().weight.requires_grad_(False)  # type: ignore[operator]
    return setup


VARIANTS: dict[str, Callable[[TrainSetup], TrainSetup]] = {
    "fp32": lambda setup: setup,
    "bf16 autocast": lambda setup: replace(setup, compute_dtype=torch.bfloat16),
    "half of each batch": lambda setup: with_rows(setup, slice(0, 4)),
    "one window of eight left out": lambda setup: with_rows(setup, slice(1, None)),
    "padding attended to": padding_attended_to,
    "frozen word embedding": frozen_embedding,
    "tanh GELU × 1.05": larger_gelu,
    "weights in fp8 e4m3": weights_in_fp8,
}
"""The first is the reference, the second is to be accepted, no other is."""


def make_setup(config: RunConfig, inputs: Inputs, seed: int) -> TrainSetup:
    """Return the reference's setup."""
    model = load_model(config.model, head=inputs.head, seed=seed, device=CPU)
    return build_baseline(config, model=model, pad_id=inputs.tokenizer.pad_id, seed=seed, device=CPU)


class Desk:
    """Answers the auditor: which steps are drawn; measures what it has written."""

    def __init__(self, reference: TrainSetup, inputs: Inputs, path: Path, rng: np.random.Generator) -> None:
        self._reference, self._windows, self._path, self._rng = reference, inputs.train_windows, path, rng
        self._plan = plan_training(reference, self._windows)
        epochs = reference.training.epochs
        per_epoch = len(self._plan) // epochs
        self._drawn = draw_steps(rng, steps_per_epoch=per_epoch, total=len(self._plan), per_epoch=3)
        self._per_epoch, self._step = per_epoch, 0
        self.measured: list[StepBeside] = []

    def ask(self, message: dict[str, Any]) -> str | None:
        """Take the place of the parent."""
        if message["event"] == "step_over":
            self._step += 1
            return str(self._path) if self._step in self._drawn else None
        if message["problem"] is None:
            snapshot = load_snapshot(
                self._path,
                epoch=1 + (self._step - 1) // self._per_epoch,
                step=self._step,
                numbers=tuple(self._plan[self._step - 1].tolist()),
                learning_rate_after=lambda _: 0.0,
            )
            others = [self._plan[i] for i in self._rng.integers(len(self._plan), size=OTHER_BATCHES)]
            with torch.random.fork_rng():
                self.measured.append(
                    measure_step(
                        snapshot,
                        self._reference,
                        self._windows,
                        expected=reference_gradient(self._reference, self._windows, snapshot, snapshot.numbers),
                        others=others,
                    )
                )
        return None


def fine_tune(config: RunConfig, inputs: Inputs, variant: str, seed: int) -> dict[str, Any]:
    """Fine-tune with audits and return a line of the file."""
    setup = VARIANTS[variant](make_setup(config, inputs, seed))
    torch.manual_seed(seed)
    trainer = make_trainer(setup, inputs.train_windows)
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng([seed, list(VARIANTS).index(variant)])
        desk = Desk(make_setup(config, inputs, seed), inputs, Path(folder) / "step.safetensors", rng)
        auditor, done = Auditor(trainer, desk.ask), 0
        for epoch in range(1, setup.training.epochs + 1):
            done += len(train_epoch(trainer, epoch=epoch, first_step=done + 1, audit=auditor).steps)
    scored = validate(setup, inputs, config.data, PhaseClock(), StartUp(score_without_evaluate=True))
    return {
        "variant": variant,
        "seed": seed,
        "steps": done,
        "scores": {name: [row.scores[name] for row in scored.answers] for name in METRICS},
        "perturbation": dataclasses.asdict(summarise_steps(desk.measured)),
    }


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what was made before."""
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())


def compare(lines: list[dict[str, Any]], variant: str) -> tuple[dict[str, NonInferiority], list[Perturbation]]:
    """Return the scores against fp32 over the seeds that both have, and each seed's perturbation, judged."""
    of = {name: {line["seed"]: line for line in lines if line["variant"] == name} for name in ("fp32", variant)}
    seeds = sorted(set(of["fp32"]) & set(of[variant]))
    scores = {}
    for metric in METRICS:
        rows = [np.subtract(of[variant][seed]["scores"][metric], of["fp32"][seed]["scores"][metric]) for seed in seeds]
        scores[metric] = assess(100.0 * np.array(rows), margin=1.0, alpha=0.05)
    judged = []
    for line in (of[variant][seed] for seed in seeds):
        record = build(PerturbationRecord, line["perturbation"])
        judged.append(judge_perturbation([record], steps=line["steps"], share=AuditConfig().share))
    return scores, [item for item in judged if item is not None]


def print_table(lines: list[dict[str, Any]], console: Console) -> None:
    """Print each variant: scores beside fp32's, and what its audits say."""
    table = Table("Variant", "Seeds", "EM", "F1", "Loss", "Typical", "Worst", "Drift", "Holds", "Fault")
    for variant in VARIANTS:
        if not any(line["variant"] == variant for line in lines):
            continue
        scores, judged = compare(lines, variant)
        differences = [f"{value.difference:+.1f} ({value.low:+.1f} to {value.high:+.1f})" for value in scores.values()]
        known = [item.rounding for item in judged if item.rounding.worst is not None]
        worst = [rounding.worst for rounding in known if rounding.worst is not None]
        typical = [rounding.typical for rounding in known if rounding.typical is not None]
        drift = [rounding.drift for rounding in known if rounding.drift is not None]
        table.add_row(
            variant,
            str(len(judged)),
            *differences,
            loss_beyond_chance(scores) or "none",
            f"{np.median(typical):.1%}" if typical else "other draws",
            f"{max(worst):.1%}" if worst and math.isfinite(max(worst)) else "missing" if worst else "",
            f"{max(drift):.2f}" if drift else "",
            f"{sum(item.holds for item in judged)}",
            f"{sum(item.fault is not None for item in judged)}",
        )
    console.print(table)


def main() -> None:
    """Make what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--file", type=Path, required=True, help="lines that were made before, and new ones")
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), help="variants")
    parser.add_argument("--train-file", help="SQuAD v1.1 JSON; without it the generator's questions")
    parser.add_argument("--validation-file")
    parser.add_argument("--validation-size", type=int, default=250)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    changes: dict[str, Any] = {"device": "cpu", "data.validation_size": options.validation_size}
    if options.train_file:
        files = {"data.train_file": options.train_file, "data.validation_file": options.validation_file}
        # Real passages are longer: more questions, and windows of 128 tokens.
        changes |= {"data.source": "files", "data.train_size": 400, "data.max_length": 128, **files}
    config = override(preset("quick"), changes)
    train, validation = load_inputs(config)
    inputs = load_tokenised(config, train, validation, default_cache_directory())
    made = {(line["variant"], line["seed"]) for line in read_lines(options.file)}
    console = Console()
    for seed in range(options.seeds):
        for variant in options.only:
            if (variant, seed) not in made:
                line = fine_tune(config, inputs, variant, seed)
                with options.file.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                console.print(f"seed {seed}, {variant}: made", style="dim")
    print_table(list(read_lines(options.file)), console)


if __name__ == "__main__":
    main()
