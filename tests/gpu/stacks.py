"""What the GPU kit times and what the checks hold against the baseline: the one place that names stacks."""

from __future__ import annotations

STACKS = {
    "cuda": "unpadded+bf16_weights+cuda_graphs+device_resident_data+fast_evaluation+fast_startup+lean_model",
    "cpu": "unpadded+fused_adamw+fast_evaluation+fast_startup+lean_model",
}
"""The best stack that is known; on processors one that applies to all of them, so that a rehearsal runs it."""

OTHERS = {
    "cuda": "unpadded+amp_bf16+cuda_graphs+device_resident_data+fast_evaluation+fast_startup+lean_model",
    "cpu": "unpadded+fast_evaluation+lean_model",
}
"""The same with autocast in place of weights in bfloat16."""

PEER = "hf_trainer_best"
"""Another program's best: second, so that it isn't what is cut off."""

CHECKED = ("unpadded+amp_bf16", "unpadded+bf16_weights", STACKS["cuda"], OTHERS["cuda"])
"""Held against the baseline beside the single strategies: packed attention takes the flash kernel only for halves."""
