"""The stack `best`: what is fastest so far for this project's own job, by kind of device.

It is a place to start, not an answer: the run says what it is worth here, and each part can be run alone. Parts that
can't be applied, such as bfloat16 on a processor without its products, are left out before the run begins, so the run's
record names what was really run.
"""

from harness.registry import NamedStack, register_stack

register_stack(
    NamedStack(
        name="best",
        summary="the fastest stack so far for this kind of device, of those of its parts that apply here",
        parts={
            "cpu": ("unpadded", "fused_blocks", "amp_bf16", "fused_adamw", "allocator", "fast_evaluation"),
            "cuda": (
                "unpadded",
                "bf16_weights",
                "cuda_graphs",
                "device_resident_data",
                "fast_evaluation",
                "fast_startup",
                "lean_model",
            ),
        },
    )
)
