"""The baseline: every knob pinned and printed, never a library's default."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.profiler import record_function

from harness.config import RunConfig, TrainingConfig
from harness.data.batching import Batch, load_in_process, make_padding_collate, plan_shuffled_batches
from harness.data.windows import Windows
from harness.records.trial import Settings
from harness.strategy import StepFunction, StepOutcome, StepRecorder, TrainSetup
from harness.tasks import get_task
from harness.training.evaluation import evaluate_in_batches


def build_baseline(config: RunConfig, *, model: nn.Module, pad_id: int, seed: int, device: torch.device) -> TrainSetup:
    """Return the baseline's setup for a loaded model."""
    task = get_task(config.task)
    # BERT was trained with segment numbers; DistilBERT and RoBERTa were not.
    token_types = int(getattr(model.config, "type_vocab_size", 0) or 0) > 1
    return TrainSetup(
        task=task,
        model=model,
        device=device,
        training=config.training,
        max_length=config.data.max_length,
        seed=seed,
        collate=make_padding_collate(length=config.data.max_length, pad_id=pad_id, token_types=token_types),
        plan_batches=plan_shuffled_batches,
        load_batches=load_in_process,
        forward_loss=task.make_loss(config),
        make_optimizer=lambda model, training: AdamW(
            model.parameters(),
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            foreach=False,
            fused=False,
        ),
        make_scheduler=make_linear_schedule,
        clip_gradients=partial(nn.utils.clip_grad_norm_, foreach=False),
        make_step=make_eager_step,
        run_epoch=run_steps,
        evaluate=evaluate_in_batches,
        knobs={"padding": f"to max_length {config.data.max_length}", "clipping": "foreach=False"},
    )


def make_linear_schedule(optimizer: Optimizer, training: TrainingConfig, total_steps: int) -> LRScheduler:
    """Return a schedule that rises linearly over the LR warm-up, then falls linearly to 0 after `total_steps`."""
    return LambdaLR(optimizer, lambda step: rate_share(training, total_steps, step))


def rate_share(training: TrainingConfig, total_steps: int, updates: int) -> float:
    """Return the share of the peak learning rate that the step after so many updates is planned to have.

    The first step's rate is above 0 even with LR warm-up: an update that changes nothing would be lost work.
    """
    warmup = round(training.lr_warmup_ratio * total_steps)
    if updates < warmup:
        return (updates + 1) / (warmup + 1)
    return max(0.0, (total_steps - updates) / max(1, total_steps - warmup))


def make_eager_step(setup: TrainSetup, optimizer: Optimizer, scheduler: LRScheduler) -> StepFunction:
    """Return the step of the baseline. Itself it waits for the device in a gradient scaler only, which must."""
    scaler = torch.amp.GradScaler(setup.device.type, enabled=setup.gradient_scaling)
    parameters = [parameter for parameter in setup.model.parameters() if parameter.requires_grad]

    def step(batch: Batch) -> StepOutcome:
        optimizer.zero_grad(set_to_none=True)
        with record_function("forward"), setup.autocast():
            loss = setup.forward_loss(setup.model, batch)
        with record_function("backward"):
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        with record_function("optimizer"):
            scaler.unscale_(optimizer)
            norm = setup.clip_gradients(parameters, setup.training.max_grad_norm)
            scaler.step(optimizer)
            scaler.update()
            scheduler.step()
        return StepOutcome(loss=loss.detach(), gradient_norm=norm.detach())

    return step


def run_steps(
    setup: TrainSetup, step: StepFunction, windows: Windows, plan: list[np.ndarray], recorder: StepRecorder
) -> None:
    """Load batch after batch and take a step on each: the harness's own loop."""
    batches = iter(setup.load_batches(setup, windows, plan))
    while True:
        with record_function("data"):
            batch = next(batches, None)
            if batch is None:
                return
            recorder.begin(batch)
            batch = batch.to(setup.device)
        recorder.end(step(batch))


def describe(setup: TrainSetup, optimizer: Optimizer) -> dict[str, str]:
    """Return every setting that bears on speed or quality, for the report."""
    training = setup.training
    config: Any = getattr(setup.model, "config", None)
    dtype = str(setup.compute_dtype).removeprefix("torch.")
    plain = setup.compute_dtype == torch.float32
    defaults = optimizer.defaults
    cudnn_attention = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    return {
        "forward dtype": dtype if plain else f"{dtype} autocast",
        "weights dtype": str(next(setup.model.parameters()).dtype).removeprefix("torch."),
        "gradient scaling": "on" if setup.gradient_scaling else "off",
        "TF32": "on" if setup.fp32_matmul == "tf32" else "off",
        "attention": str(getattr(config, "_attn_implementation", "unknown")),
        "cuDNN attention": "on" if cudnn_attention else "off",
        "optimizer": f"{type(optimizer).__name__}, foreach={defaults.get('foreach')}, fused={defaults.get('fused')}",
        "batch size": str(training.batch_size),
        "evaluation batch size": str(training.eval_batch_size),
        "learning rate": f"{training.learning_rate:g}",
        "LR schedule": f"linear, LR warm-up {training.lr_warmup_ratio:.0%} of steps",
        "weight decay": f"{training.weight_decay:g}",
        "loss": setup.task.describe_loss(training),
        "gradient clipping": f"{training.max_grad_norm:g}",
        "epochs": str(training.epochs),
        "loader": "DataLoader, no workers, not pinned" if setup.load_batches is load_in_process else "other",
        "compile": "off",
        **setup.knobs,
    }


def forward_dtype(setup: TrainSetup) -> str:
    """Return the precision of the forward pass: "float32", "tf32", "bfloat16" or "float16"."""
    weights = next(setup.model.parameters()).dtype
    name = str(setup.compute_dtype if weights == torch.float32 else weights).removeprefix("torch.")
    return "tf32" if name == "float32" and setup.fp32_matmul == "tf32" and setup.device.type == "cuda" else name


def settings_of(setup: TrainSetup, optimizer: Optimizer) -> Settings:
    """Return what the analysis needs to know."""
    config: Any = getattr(setup.model, "config", None)
    return Settings(
        forward_dtype=forward_dtype(setup),
        attention=getattr(config, "_attn_implementation", None),
        fused_optimizer=optimizer.defaults.get("fused") is True,
        compiles=setup.compiles,
    )
