"""Audits within one process: the worker's side keeps and tells, the referee's replays, the analysis judges."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.optim import AdamW

from harness.analysis.evidence.audits import detection, judge_audits
from harness.experiment.auditor import Auditor
from harness.experiment.audits import AuditDesk, draw_blocks, draw_steps, is_audited
from harness.experiment.commands import Replay, RunJob
from harness.experiment.process import WorkerError
from harness.experiment.referee import replay_step
from harness.experiment.replay import DRAWS
from harness.presets import preset
from harness.records.checks import AuditsRecord
from harness.records.serialise import override
from harness.records.trial import TrialRecord
from harness.strategy import StepOutcome
from harness.training.loop import make_trainer, train_epoch

STEP = 5


def wrap_step(setup, change):
    """Return the setup with `change(step, number, optimizer, scheduler, batch)` in place of each step, from 1."""
    make_whole = setup.make_step

    def make_step(setup, optimizer, scheduler):
        whole, calls = make_whole(setup, optimizer, scheduler), 0

        def step(batch):
            nonlocal calls
            calls += 1
            return change(whole, calls, optimizer, scheduler, batch)

        return step

    return replace(setup, make_step=make_step)


@pytest.fixture
def audit(make_setup, windows, tmp_path):
    """Return a function that trains an epoch of a changed setup, audits step `STEP`, and gives trial and messages."""

    def run(change=lambda setup: setup, *, dropout=True, effect_lowers=False, **training):
        recipe = {"batch_size": 4, "epochs": 2, **training}
        path = tmp_path / "step.safetensors"
        messages = []

        def ask(message):
            messages.append(message)
            return str(path) if message == {"event": "step_over"} and len(messages) == STEP else None

        trainer = make_trainer(change(make_setup(dropout=dropout, **recipe)), windows)
        auditor = Auditor(trainer, ask)
        train_epoch(trainer, epoch=1, first_step=1, audit=auditor)
        problem = next((message["problem"] for message in messages if message["event"] == "step_kept"), None)
        found = ()
        if problem is None:
            asked = Replay(
                path=str(path), where="job", seed=0, step=STEP, block=(), repetitions=1, lowers_precision=effect_lowers
            )
            found = (replay_step(asked, make_setup(dropout=dropout, **recipe), windows),)
        record = AuditsRecord(audits=found, drawn=(STEP,), cost=auditor.cost(), problem=problem)
        return TrialRecord(contender="c", kind="job", seed=0, status="done", audits=record), messages

    return run


def judge(trial, *, lowers_precision=False):
    return judge_audits([trial], lowers_precision=lowers_precision)


@pytest.mark.parametrize("dropout", [True, False])
def test_an_honest_step_is_the_references(audit, dropout):
    trial, _ = audit(dropout=dropout)
    found = judge(trial)
    assert found.agree
    assert (found.in_jobs, found.job_steps, found.same_random_numbers) == (1, 6, 1)
    replay = trial.audits.audits[0].replay
    assert max(error.gradient for error in replay.worst) < 1e-5
    assert max(error.update for error in replay.worst) < 1e-5


def test_fused_adamw_is_the_references(audit):
    def fuse(setup):
        return replace(setup, make_optimizer=lambda model, training: AdamW(model.parameters(), lr=1e-3, fused=True))

    plain = audit(lambda setup: setup, learning_rate=1e-3, weight_decay=0.01)[0]
    assert judge(audit(fuse, learning_rate=1e-3, weight_decay=0.01)[0]).agree
    assert judge(plain).agree


def half_batch(whole, number, optimizer, scheduler, batch):
    return whole(batch if number < STEP else batch.map(lambda tensor: tensor[: len(tensor) // 2]))


def repeated_gradient(whole, number, optimizer, scheduler, batch):
    if number < STEP:
        return whole(batch)
    optimizer.step()
    scheduler.step()
    return StepOutcome(loss=torch.tensor(3.0), gradient_norm=torch.tensor(1.0))


def zeroes_nothing(whole, number, optimizer, scheduler, batch):
    if number == STEP - 1:
        optimizer.zero_grad = lambda set_to_none=True: None
    return whole(batch)


def late_rate(whole, number, optimizer, scheduler, batch):
    for group in optimizer.param_groups:
        group["lr"] *= 12 / 11 if number >= STEP else 1.0
    return whole(batch)


def other_betas(whole, number, optimizer, scheduler, batch):
    optimizer.param_groups[0]["betas"] = (0.8, 0.999)
    return whole(batch)


def no_decay(whole, number, optimizer, scheduler, batch):
    optimizer.param_groups[0]["weight_decay"] = 0.0
    return whole(batch)


def no_number(whole, number, optimizer, scheduler, batch):
    outcome = whole(batch)
    if number == STEP:
        next(iter(optimizer.state.values()))["exp_avg"][0] = math.nan
    return outcome


def spoils_a_weight(whole, number, optimizer, scheduler, batch):
    outcome = whole(batch)
    if number == STEP:
        with torch.no_grad():
            next(iter(optimizer.state))[0] = math.nan
    return outcome


def scales_moments(whole, number, optimizer, scheduler, batch):
    outcome = whole(batch)
    if number == STEP:
        for state in optimizer.state.values():
            state["exp_avg"] *= 1.01
    return outcome


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (half_batch, "the gradient of"),
        (repeated_gradient, "the gradient of"),
        (zeroes_nothing, "the gradient of"),
        (late_rate, "its update fits a learning rate of"),
        (other_betas, "the update of|the gradient of|its update fits"),
        (no_decay, "the update of|its update fits"),
        (no_number, "differs from .* by nan|a learning rate of nan"),
        (spoils_a_weight, "differs from .* by nan|a learning rate of nan"),
        (scales_moments, "its update fits"),
    ],
)
def test_a_step_that_is_wrong_is_told_with_its_number(audit, fault, words):
    # Without dropout nothing excuses a difference.
    trial, _ = audit(lambda setup: wrap_step(setup, fault), dropout=False, learning_rate=1e-3, weight_decay=0.1)
    found = judge(trial)
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"the audit of step {STEP} (epoch 1): ")
    assert re.search(words, found.problems[0]), found.problems[0]


def draws_first(whole, number, optimizer, scheduler, batch):
    torch.rand(1)
    return whole(batch)


def test_other_dropout_is_no_fault_and_no_dropout_is_one(audit):
    trial, _ = audit(lambda setup: wrap_step(setup, draws_first))
    assert trial.audits.audits[0].replay.draws > 0
    assert judge(trial).problems == ()
    assert judge(trial).same_random_numbers == 0

    def drops_none(whole, number, optimizer, scheduler, batch):
        return whole(batch)

    def switch_off(setup):
        for module in setup.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        setup.model.config.attention_dropout = 0.0
        return wrap_step(setup, drops_none)

    assert "other dropout does not explain it" in judge(audit(switch_off)[0]).problems[0]


def scales_one_gradient(whole, number, optimizer, scheduler, batch):
    if number == STEP:
        matrix = next(p for p in optimizer.param_groups[0]["params"] if p.dim() > 1)
        hook = matrix.register_hook(lambda gradient: 1.02 * gradient)
        outcome = whole(batch)
        hook.remove()
        return outcome
    return whole(batch)


def attends_to_padding(setup):
    def step(whole, number, optimizer, scheduler, batch):
        mask = batch.inputs["attention_mask"]
        if number == STEP:
            batch = replace(batch, inputs=batch.inputs | {"attention_mask": torch.maximum(mask, mask.roll(4, dims=1))})
        return whole(batch)

    return wrap_step(setup, step)


def in_bfloat16(setup):
    forward = setup.forward_loss

    def rounded(model, batch):
        with torch.autocast("cpu", torch.bfloat16):
            return forward(model, batch)

    return replace(setup, forward_loss=rounded)


@pytest.mark.parametrize(
    "fault", [attends_to_padding, in_bfloat16, lambda setup: wrap_step(setup, scales_one_gradient)]
)
def test_a_step_with_the_references_dropout_is_its_gradient_or_a_fault(audit, fault):
    found = judge(audit(fault)[0])
    assert len(found.problems) == 1
    assert "it drew the reference's dropout" in found.problems[0]


def test_one_gradient_that_is_wrong_behind_the_references_loss_leaves_quality_open(audit):
    found = judge(audit(lambda setup: wrap_step(setup, zeroes_nothing))[0])
    assert found.problems == ()
    assert not found.agree
    assert f"step {STEP} (epoch 1) has the reference's loss" in found.unmade


def test_a_claimed_lower_precision_may_round_but_not_ignore_the_padding(audit):
    def both(setup):
        return attends_to_padding(in_bfloat16(setup))

    assert judge(audit(in_bfloat16, effect_lowers=True)[0], lowers_precision=True).agree
    assert (
        "it drew the reference's dropout"
        in judge(audit(both, effect_lowers=True)[0], lowers_precision=True).problems[0]
    )


@pytest.mark.parametrize("times_as_far", [0.24, 0.26])
def test_what_is_nearer_to_the_reference_than_other_dropout_gets_is_a_fault(audit, times_as_far):
    trial = audit(lambda setup: wrap_step(setup, draws_first))[0]
    found = trial.audits.audits[0]
    near = replace(found, replay=replace(found.replay, nearness=(times_as_far * 0.1, *(0.05, 0.15) * 3)))
    trial = replace(trial, audits=replace(trial.audits, audits=(near,)))
    assert len(judge(trial).problems) == (times_as_far < 0.25)


def test_draws_share_the_first_dropout_with_the_replay_and_nothing_else(audit):
    def draw_as_the_first_draw(setup):
        first = next(module for module in setup.model.modules() if isinstance(module, torch.nn.Dropout))
        first.register_forward_hook(lambda *_: torch.manual_seed(DRAWS) and None)
        return setup

    trial, _ = audit(draw_as_the_first_draw)
    given, *drawn = trial.audits.audits[0].replay.nearness
    assert given == pytest.approx(drawn[0], rel=1e-3)
    assert min(abs(distance / given - 1) for distance in drawn[1:]) > 0.01
    assert judge(trial).problems == ()


def freezes_a_table(whole, number, optimizer, scheduler, batch):
    if number == STEP:
        next(iter(optimizer.param_groups[0]["params"])).requires_grad_(False)
    return whole(batch)


def leaves_a_gradient_out(whole, number, optimizer, scheduler, batch):
    make_step, frozen = optimizer.step, next(iter(optimizer.param_groups[0]["params"]))
    if number == STEP:

        def step(*args, **kwargs):
            frozen.grad = None
            return make_step(*args, **kwargs)

        optimizer.step = step
    return whole(batch)


@pytest.mark.parametrize("fault", [freezes_a_table, leaves_a_gradient_out])
def test_a_frozen_tensor_is_told_though_the_optimizer_still_counts_its_old_updates(audit, fault):
    found = judge(audit(lambda setup: wrap_step(setup, fault))[0])
    assert "word_embeddings.weight was not trained" in found.problems[0]


def mixed(audit, lengths):
    """One step with the reference's dropout, and the same one with other dropout, of windows of other lengths."""
    same, other = audit()[0].audits, audit(lambda setup: wrap_step(setup, draws_first))[0].audits
    exact, drawn = same.audits[0], other.audits[0]
    audits = (
        exact,
        replace(drawn, lengths=tuple(length + more for length, more in zip(exact.lengths, lengths, strict=True))),
    )
    return judge(replace_audits(audits))


def replace_audits(audits):
    record = AuditsRecord(audits=tuple(audits), drawn=(STEP,) * len(audits))
    return TrialRecord(contender="c", kind="job", seed=0, status="done", audits=record)


def test_batches_that_have_the_references_shape_now_and_then_are_no_fault(audit):
    found = mixed(audit, (5, 5, 5, -1))
    assert (found.same_random_numbers, found.agree) == (1, True)


def test_other_dropout_where_shorter_windows_drew_the_references_is_a_fault(audit):
    found = mixed(audit, (0, 0, 3, 0))
    assert len(found.problems) == 1
    assert "of windows no longer, is the reference's" in found.problems[0]


def test_few_steps_of_other_dropout_leave_quality_open(audit):
    one = audit(lambda setup: wrap_step(setup, draws_first))[0].audits.audits[0]
    assert "so few can't tell" in judge(replace_audits([one] * 4)).unmade
    assert judge(replace_audits([one] * 5)).unmade is None


def test_windows_of_the_plan_are_replayed_and_not_those_that_the_loader_gave(audit):
    def shift_labels(setup):
        load = setup.load_batches

        def shifted(setup, windows, plan):
            return load(setup, windows, [np.roll(numbers, 1) for numbers in plan[1:] + plan[:1]])

        return replace(setup, load_batches=shifted)

    assert "the gradient of" in judge(audit(shift_labels, dropout=False)[0]).problems[0]


def test_updates_that_nobody_was_told_of_are_seen_in_the_count(audit):
    def twice(whole, number, optimizer, scheduler, batch):
        whole(batch)
        return whole(batch)

    assert "had made 8 updates before, planned were 4" in judge(audit(lambda s: wrap_step(s, twice))[0]).problems[0]


def test_an_optimizer_without_moments_is_not_auditable_and_says_so(audit):
    def plain_descent(setup):
        return replace(setup, make_optimizer=lambda model, _: torch.optim.SGD(model.parameters(), lr=0.1))

    found = judge(audit(plain_descent)[0])
    assert not found.agree
    assert found.problems == ()
    assert "keeps no moments" in found.unmade


def test_the_process_knows_before_no_step_whether_it_is_audited(audit, tmp_path):
    _, messages = audit()
    # Each step is asked about in the same words, after it; what the job was told holds no draw.
    assert [message for message in messages if message["event"] == "step_over"] == [{"event": "step_over"}] * 6
    assert messages.index({"event": "step_kept", "problem": None}) == STEP
    assert vars(RunJob(directory="d")) == {"directory": "d"}
    first, second = (draw_steps(np.random.default_rng(), steps_per_epoch=500, total=1000, per_epoch=3) for _ in "ab")
    assert first != second


def test_every_epoch_gets_its_draws():
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = draw_steps(rng, steps_per_epoch=10, total=25, per_epoch=3)
        assert [sum(low < step <= low + 10 for step in drawn) for low in (0, 10, 20)] == [3, 3, 3]
        assert len(set(drawn)) == 9
    assert draw_steps(rng, steps_per_epoch=2, total=3, per_epoch=3) == (1, 2, 3)


def test_every_step_is_drawn_equally_often():
    rng = np.random.default_rng(0)
    counts = np.bincount(
        [s for _ in range(2000) for s in draw_steps(rng, steps_per_epoch=8, total=8, per_epoch=3)], minlength=9
    )
    assert counts[1:] == pytest.approx(750, abs=5 * math.sqrt(750))


def test_segments_are_audited_early_and_again_whenever_their_number_has_doubled():
    for seed in range(20):
        drawn = draw_blocks(np.random.default_rng(seed), 2, 40)
        ranges = [(0, 3), (3, 6), (6, 12), (12, 24), (24, 40)]
        assert [sum(low < block <= high for block in drawn) for low, high in ranges] == [2, 1, 1, 1, 1]
    assert draw_blocks(np.random.default_rng(0), 0, 40) == ()


@pytest.mark.parametrize(
    ("contender", "audited"),
    [
        ("baseline", True),
        ("fused_adamw+sdpa", True),
        ("amp_bf16", True),
        ("larger_batches", False),
        ("frozen_embeddings", False),
    ],
)
def test_only_those_who_claim_the_references_steps_are_audited(contender, audited):
    assert is_audited(preset("quick"), contender) is audited
    assert is_audited(override(preset("quick"), {"audits.enabled": False}), contender) is False


class BrokenReferee:
    """A referee whose process ends."""

    def ask(self, command):
        raise WorkerError("the process ended with signal SIGKILL")


def test_a_referee_that_fails_leaves_no_file_and_speaks_against_nobody(tmp_path):
    path = tmp_path / "step.safetensors"
    asked = Replay(path=str(path), where="job", seed=0, step=0, block=(), repetitions=1, lowers_precision=False)
    desk = AuditDesk(BrokenReferee(), asked, (2,))
    assert [desk.step_over(), desk.step_over()] == [None, str(path)]
    path.write_text("tensors")
    desk.step_kept(None)
    assert not path.exists()
    trial = TrialRecord(contender="c", kind="job", seed=0, status="done", audits=desk.record(None))
    found = judge(trial)
    assert (found.problems, found.agree) == ((), False)
    assert "step 2: the referee failed" in found.unmade


@pytest.mark.parametrize(("warm_up_s", "drawn"), [(9.0, (2,)), (11.0, ())])
def test_a_job_that_warms_up_longer_than_the_baselines_takes_is_not_audited_and_says_so(tmp_path, warm_up_s, drawn):
    asked = Replay(
        path=str(tmp_path / "s"), where="job", seed=0, step=0, block=(), repetitions=1, lowers_precision=False
    )
    desk = AuditDesk(BrokenReferee(), asked, (2,), most_warm_up_s=10.0)
    desk.warmed_up(warm_up_s)
    assert [desk.step_over() is not None for _ in range(3)] == [False, bool(drawn), False]
    trial = TrialRecord(contender="c", kind="job", seed=0, status="done", audits=desk.record(None))
    assert (trial.audits.drawn, judge(trial).agree) == (drawn, False)
    assert ("longer than the baseline's whole job" in judge(trial).unmade) == (drawn == ())


def test_rare_faults_are_found_rarely():
    assert detection(0.5, 3) == pytest.approx(0.875)
    assert detection(0.02, 21) == pytest.approx(0.346, abs=0.001)


def test_what_was_audited_in_a_job_counts_although_its_times_were_measured_again(audit):
    trial, _ = audit(dropout=True)
    again = replace(trial, audits=None, superseded=trial)
    assert judge(again).in_jobs == judge(trial).in_jobs == 1
    assert judge(replace(trial, superseded=trial)).in_jobs == 2
