"""Rules about the job around its steps: evaluation, start-up, warm-up and compilers, padding, memory."""

from __future__ import annotations

from harness.analysis.advice.amdahl import WHOLE
from harness.analysis.advice.facts import Facts, of_passes, of_step
from harness.analysis.advice.rule import Observation, rule
from harness.analysis.evidence.parts import WARM_UP_PHASES
from harness.analysis.trace.model import Category

DOMINATING_SHARE = 0.2
"""Share of the job from which evaluation or start-up is called a bottleneck: without it the job is 1.25 times as fast,
as much as a good strategy gives."""

WARM_UP_SHARE = 0.1
"""The same for one-time costs of a configuration that compiles."""

PADDING_RATIO = 1.15
"""Computed ÷ useful tokens; grouping by length still pads 12 % (measured on SQuAD), so less is not worth a finding."""

SPARE_MEMORY_SHARE = 0.5
"""Half the memory free: a batch of twice the size fits."""

PER_STEP_SHARE = 0.05
"""Share of a step that costs the same whatever the batch, from which larger batches are advised."""

EVALUATION_PHASES = ("evaluation", "span_search", "scoring")
START_UP_PHASES = ("process_start", "imports", "cuda_start", "load_data", "tokenise", "load_model")

PROPORTIONAL = ("matmul", "elementwise", "loss", "copies", "other", WHOLE)
"""Categories whose time grows with the tokens of a batch; what is not known may, and a bound must allow for it."""


@rule
def evaluation(facts: Facts) -> Observation | None:
    """Evaluation dominates."""
    time_s = facts.phases(EVALUATION_PHASES)
    if facts.job_s <= 0 or time_s < DOMINATING_SHARE * facts.job_s:
        return None
    answers_s = facts.phases(EVALUATION_PHASES[1:])
    sentence = (
        f"evaluation takes {time_s:.1f} s of the {facts.job_s:.1f} s job ({time_s / facts.job_s:.0%}), training "
        f"{facts.phases(('training',)):.1f} s; of it {time_s - answers_s:.1f} s are forward passes and {answers_s:.1f} "
        "s span search and scoring"
    )
    return Observation(sentence=sentence, takes={cell: 1.0 for cell in facts.cells if cell[0] in EVALUATION_PHASES})


@rule
def start_up(facts: Facts) -> Observation | None:
    """Start-up dominates."""
    time_s = facts.phases(START_UP_PHASES)
    if facts.job_s <= 0 or time_s < DOMINATING_SHARE * facts.job_s:
        return None
    longest = max(START_UP_PHASES, key=lambda name: facts.phases_s.get(name, 0.0))
    sentence = (
        f"start-up takes {time_s:.1f} s of the {facts.job_s:.1f} s job ({time_s / facts.job_s:.0%}), most of it "
        f"{longest.replace('_', ' ')} with {facts.phases_s.get(longest, 0.0):.1f} s"
    )
    return Observation(sentence=sentence, takes={(name, WHOLE): 1.0 for name in START_UP_PHASES})


@rule
def warm_up(facts: Facts) -> Observation | None:
    """The configuration itself compiles, and that takes a large part of its job."""
    time_s = facts.phases(WARM_UP_PHASES)
    if not facts.settings.compiles or facts.job_s <= 0 or time_s < WARM_UP_SHARE * facts.job_s:
        return None
    sentence = (
        f"compile warm-up takes {time_s:.1f} s of the {facts.job_s:.1f} s job ({time_s / facts.job_s:.0%}): caches "
        "kept from an earlier job would spare most of it"
    )
    return Observation(sentence=sentence, takes={(name, WHOLE): 1.0 for name in WARM_UP_PHASES})


@rule
def compile_not_amortised(facts: Facts) -> Observation | None:
    """A contender's compiler costs more than the job gives it time to earn back."""
    unpaid = [
        cost
        for cost in facts.one_time_costs
        if cost.extra_s > 0 and (cost.break_even_steps is None or cost.break_even_steps > cost.steps)
    ]
    if not unpaid:
        return None
    worst = max(unpaid, key=lambda cost: cost.extra_s)
    saved = "" if worst.saved_per_step_s is None else f" and saves {worst.saved_per_step_s * 1000:.1f} ms per step"
    if worst.break_even_steps is None:
        outcome = "it is never paid back"
    else:
        outcome = f"it is paid back after {worst.break_even_steps:,.0f} steps, the job has {worst.steps:,.0f}"
    share = min(1.0, worst.extra_s / worst.contender_s)
    return Observation(
        sentence=f"{worst.contender} costs {worst.extra_s:.1f} s of compile warm-up{saved}: {outcome}",
        bottlenecks=("warm_up",),
        elsewhere=(share, worst.baseline_s / max(worst.contender_s - worst.extra_s, 1e-9)),
    )


@rule
def padding_waste(facts: Facts) -> Observation | None:
    """Much of what is computed is padding.

    With r computed per useful token, what grows with the tokens shrinks to 1/r without padding. Attention grows with
    the square of the length: it shrinks to no less than 1/r² (the mean square of the lengths is at least the square
    of their mean).
    """
    ratio = facts.computed_per_useful
    if ratio is None or ratio < PADDING_RATIO:
        return None
    takes = dict.fromkeys(PROPORTIONAL, 1.0 - 1.0 / ratio) | {"attention": 1.0 - 1.0 / ratio**2}
    sentence = (
        f"{1.0 - 1.0 / ratio:.0%} of the computed tokens are padding ({ratio:.2f} computed for each useful one): "
        f"without them, work that grows with the tokens would take {1.0 / ratio:.0%} of its time"
    )
    return Observation(sentence=sentence, takes=of_passes(takes))


@rule
def spare_memory(facts: Facts) -> Observation | None:
    """Memory is far from full, and a part of the step would be paid less often with larger batches."""
    held, capacity = facts.peak_memory_gib, facts.memory_gib
    per_step: tuple[Category, ...] = ("optimizer", "idle")
    fixed = [row for category in per_step if (row := facts.row(category)) is not None]
    share = sum(row.share for row in fixed)
    if held is None or not capacity or held > SPARE_MEMORY_SHARE * capacity or share < PER_STEP_SHARE:
        return None
    sentence = (
        f"the job holds {held:.1f} of {capacity:.1f} GiB ({held / capacity:.0%}): larger batches fit, and pay the "
        f"optimizer and the launch gaps less often, which are {share:.0%} of a step"
    )
    return Observation(sentence=sentence, takes=of_step({row.category: 1.0 for row in fixed}))


@rule
def allocator_retries(facts: Facts) -> Observation | None:
    """The device's memory is so short that its allocator empties the cache and tries again."""
    if not facts.allocator_retries:
        return None
    sentence = (
        f"the device's allocator ran out of memory {facts.allocator_retries} times, emptied its cache and tried again: "
        "each time the device stands still"
    )
    return Observation(sentence=sentence, takes=of_step({"idle": 1.0}))
