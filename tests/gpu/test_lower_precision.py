"""Lower precisions on a CUDA device held against the fp32 reference: there packed attention is the flash kernel."""

from __future__ import annotations

import pytest

from harness import registry
from harness.analysis.evidence.sameness import judge_equivalence
from harness.experiment.deviation import compare_updates
from harness.experiment.equivalence import make_updates
from harness.experiment.trial import apply_strategies
from harness.training.loop import set_process_flags

registry.load_all()
MODELS = ("distilbert-base-uncased", "bert-base-uncased")
STACKS = (
    "tf32",
    "amp_bf16",
    "bf16_weights",
    "amp_fp16",
    "unpadded+amp_bf16",
    "unpadded+bf16_weights",
    "unpadded+amp_fp16",
    "unpadded+amp_bf16+cuda_graphs+device_resident_data+fused_adamw",
)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("source", MODELS)
def test_updates_are_within_the_precisions_tolerance(source, stack, make_cuda_setup, windows):
    reference_setup, setup = (make_cuda_setup(source, dropout=False, batch_size=8) for _ in range(2))
    set_process_flags(reference_setup)
    reference = make_updates(reference_setup, windows)
    setup, refusal = apply_strategies(setup, registry.resolve(stack))
    if refusal is not None:
        pytest.skip(refusal)
    set_process_flags(setup)
    record = compare_updates(reference, make_updates(setup, windows), lowers_precision=True)
    check = judge_equivalence(record, lowers_precision=True)
    assert check.holds, (check.problem, check.unmade)
    assert check.worst.gradient > 0, "nothing was computed in a lower precision"
