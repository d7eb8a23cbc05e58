"""Presets: configurations to begin with, of which each value can be overridden."""

from __future__ import annotations

from harness.config import (
    BUNDLED_DISTILBERT,
    BUNDLED_DISTILBERT_LEARNING_RATE,
    BUNDLED_MODEL,
    SQUAD_VALIDATION,
    AuditConfig,
    DataConfig,
    ModelConfig,
    ProfileConfig,
    RunConfig,
    SpeedConfig,
    TrainingConfig,
)
from harness.errors import ConfigError

PRESETS: dict[str, RunConfig] = {
    "seed": RunConfig(preset="seed", data=DataConfig(quality_size=SQUAD_VALIDATION)),
    "seed-offline": RunConfig(
        preset="seed-offline",
        # Where there is no hub there often is no GPU: two cores answer about three windows a second.
        data=DataConfig(quality_size=1_000),
        model=ModelConfig(source=BUNDLED_DISTILBERT),
        training=TrainingConfig(learning_rate=BUNDLED_DISTILBERT_LEARNING_RATE, lr_warmup_ratio=0.1),
    ),
    "quick": RunConfig(
        preset="quick",
        model=ModelConfig(source=BUNDLED_MODEL),
        # Short passages: a baseline learns from them in a quarter of a minute on two cores (F1 17 → about 37).
        data=DataConfig(
            source="generator",
            train_size=78,
            validation_size=64,
            quality_size=256,
            generator_mean_tokens=40,
            max_length=64,
            doc_stride=16,
        ),
        training=TrainingConfig(epochs=2, batch_size=8, eval_batch_size=16, learning_rate=3e-4, lr_warmup_ratio=0.1),
        profile=ProfileConfig(wait_steps=0, active_steps=2),
        speed=SpeedConfig(segment_s=0.05, least_blocks=4, budget_s=75.0),
        audits=AuditConfig(in_segments=1),
        # Not sdpa: with passages as short it is too near to 1 on a processor for minutes to tell.
        contenders=("amp_bf16", "fused_adamw", "best", "channels_last", "compile", "larger_batches"),
    ),
    "smoke": RunConfig(
        preset="smoke",
        model=ModelConfig(weights="random", overrides={"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2}),
        data=DataConfig(
            source="generator",
            train_size=24,
            validation_size=8,
            quality_size=16,
            generator_mean_tokens=48,
            max_length=64,
            doc_stride=16,
        ),
        training=TrainingConfig(epochs=2, batch_size=4, learning_rate=1e-3),
        profile=ProfileConfig(wait_steps=1, warmup_steps=1, active_steps=2),
        speed=SpeedConfig(segment_s=0.05, budget_s=6.0, restarts=2),
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
