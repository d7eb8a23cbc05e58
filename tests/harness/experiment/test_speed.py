"""Blocks of segments: their order, their size, when they are measured again, and when measuring stops."""

from __future__ import annotations

import time

import pytest

from harness.experiment import speed
from harness.experiment.commands import LoadBlock, Prepare, Readiness, RunSegment, SegmentWork
from harness.experiment.process import WorkerError
from harness.experiment.speed import LEAST_SEGMENT_S, Duel, Goal, size_segments, whole_batches
from harness.presets import preset
from harness.records.checks import Conditions
from harness.records.serialise import override

COLD_FALL = speed.COLD_FALL


class ScriptedWorker:
    """Answers like a worker; segments take no time, but are written down."""

    def __init__(self, name, log, batch_size=4, fails=False):
        self.name, self.log, self.batch_size, self.fails = name, log, batch_size, fails
        self.pid = 1
        self.blocks = []
        self.announced = []
        self.repeated = []

    def ask(self, command):
        if isinstance(command, Prepare):
            return Readiness(
                refusal=None,
                batch_size=self.batch_size,
                eval_batch_size=8,
                train_windows=32,
                validation_windows=8,
                device="cpu",
                gpu_uuid=None,
            )
        if isinstance(command, LoadBlock):
            self.blocks.append((command.kind, command.numbers))
            self.announced.append(command.repetitions)
            return None
        if self.fails:
            raise WorkerError("it broke")
        self.log.append(self.name)
        self.repeated.append((self.announced[-1], command.repetitions))
        return SegmentWork(work={"useful_tokens": 10}, allocator_retries=None)


def make_goal(config, **changes):
    blocks = {"least_blocks": config.least_blocks, "most_blocks": config.most_blocks}
    return Goal(**{"budget_s": 1e9, **blocks, **changes})


def duel(log, *, contender_batch=4, fails=False, goal=None, **changes):
    """Without a goal: so many blocks as the configuration allows at most."""
    dotted = {f"speed.{name}": value for name, value in {"segment_s": 1e-9, **changes}.items()}
    config = override(preset("smoke"), dotted)
    workers = ScriptedWorker("A", log), ScriptedWorker("B", log, contender_batch, fails)
    return Duel(*workers, config, goal or make_goal(config.speed)), workers


def evidence(record, kind="training"):
    return [block for block in record.blocks if block.kind == kind and not block.cold]


def quiet(*_, **__):
    return None


@pytest.fixture(autouse=True)
def _quiet_machine_without_waiting(monkeypatch):
    monkeypatch.setattr(speed, "SETTLE_S", 0.0)
    # Segments of microseconds differ by as much by chance.
    monkeypatch.setattr(speed, "COLD_FALL", 1.0)
    monkeypatch.setattr(speed.ConditionsWatch, "finish", lambda self, allocator_retries: (Conditions(), ()))


def test_orders_alternate_between_abba_and_baab(monkeypatch):
    log = []
    running, _ = duel(log, least_blocks=3, most_blocks=3, precision=1e-6)
    running.measure(quiet)
    training = "".join(log[2:18])
    assert training == "ABBA" + "BAAB" + "ABBA" + "BAAB"


def test_both_workers_go_through_the_same_samples_and_blocks_through_others():
    running, (baseline, contender) = duel([], least_blocks=3, most_blocks=3, precision=1e-6)
    running.measure(quiet)
    assert baseline.blocks == contender.blocks
    assert len(set(baseline.blocks[1:5])) == 4


def test_a_worker_knows_while_it_loads_a_block_how_often_a_segment_will_go_through_it(monkeypatch):
    seconds = iter(range(10_000))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: float(next(seconds)))
    running, workers = duel([], least_blocks=3, most_blocks=3, precision=1e-6, segment_s=20.0)
    running.measure(quiet)
    for worker in workers:
        assert all(announced == repeated for announced, repeated in worker.repeated)
        assert max(worker.announced) > 1


def test_segments_hold_whole_batches_of_both():
    assert whole_batches([4, 16]) == 16
    assert whole_batches([4, 6]) == 12
    assert whole_batches([16, 17]) == 17
    running, (baseline, _) = duel([], contender_batch=16, least_blocks=3, most_blocks=3, precision=1e-6)
    record = running.measure(quiet)
    assert {block.windows % 16 for block in record.blocks if block.kind == "training"} == {0}
    assert len(baseline.blocks[0][1]) == 16


def sized(pass_s, *, unit=16, available=1000, segment_s=0.25, most_segment_s=0.5):
    plan = size_segments(
        "training", pass_s, unit=unit, available=available, segment_s=segment_s, most_segment_s=most_segment_s
    )
    return plan.windows, plan.repetitions


def test_segments_of_equally_fast_workers_are_as_long_as_asked_for():
    assert sized([0.0625, 0.0625]) == (4 * 16, 1)
    assert sized([0.0625, 0.0625], available=32) == (2 * 16, 2)
    assert sized([5.0, 4.0]) == (16, 1)


def test_the_slower_workers_segment_is_capped():
    # Sized by the faster one alone it would be 40 batches: 2.5 s of the slower one.
    assert sized([0.0625, 0.00625]) == (8 * 16, 1)
    assert sized([0.00625, 0.0625]) == (8 * 16, 1)
    # Both take whole batches of both, also where one batch of the slower one is already more.
    assert sized([0.9, 0.05]) == (16, 1)


def test_going_through_few_windows_again_and_again_does_not_exceed_the_cap():
    # Eight batches, of which five are different: once, since twice would be ten.
    assert sized([0.0625, 0.00625], available=5 * 16) == (5 * 16, 1)
    assert sized([0.0625, 0.00625], available=4 * 16) == (4 * 16, 2)


def test_the_faster_workers_segment_stays_as_long_as_the_clock_needs():
    windows, repetitions = sized([0.2, 0.002])
    assert windows / 16 * repetitions * 0.002 >= LEAST_SEGMENT_S
    assert sized([0.2, 0.002], segment_s=0.5) == sized([0.2, 0.002])


def test_a_segment_that_was_asked_to_be_longer_than_the_cap_is():
    assert sized([0.125, 0.125], segment_s=1.0, most_segment_s=0.5) == (8 * 16, 1)


def test_in_a_run_the_slow_baselines_segments_are_short(monkeypatch):
    running, _ = duel([], least_blocks=3, most_blocks=3, precision=1e-6, segment_s=0.1, most_segment_s=0.1)
    times_s = {"baseline": 0.025, "contender": 0.0125}
    monkeypatch.setattr(running, "_segment", lambda who, repetitions, *_: repetitions * times_s[who])
    assert {block.windows for block in evidence(running.measure(quiet))} == {4 * 4}


@pytest.mark.parametrize(("segment_s", "passes"), [(1e-9, 1), (1.0, 2)])
def test_a_first_pass_is_repeated_unless_it_is_surely_long(segment_s, passes):
    log = []
    running, _ = duel(log, least_blocks=3, most_blocks=3, precision=1e-6, segment_s=segment_s)
    running.measure(quiet)
    assert "".join(log[: 2 * passes + 4]) == "AB" * passes + "ABBA"
    assert len(log) == 2 * (2 * passes + (1 + 3) * 4)


def test_a_contaminated_block_is_measured_again_and_both_are_kept(monkeypatch):
    answers = iter([(), ("somebody was busy",), (), (), (), *[()] * 20])
    monkeypatch.setattr(speed.ConditionsWatch, "finish", lambda self, allocator_retries: (Conditions(), next(answers)))
    running, _ = duel([], least_blocks=3, most_blocks=3, precision=1e-6, repeats=2)
    blocks = evidence(running.measure(quiet))
    assert [(block.number, block.attempt, bool(block.contamination)) for block in blocks] == [
        (2, 1, True),
        (2, 2, False),
        (3, 1, False),
        (4, 1, False),
    ]


def test_repeats_come_to_an_end(monkeypatch):
    monkeypatch.setattr(speed.ConditionsWatch, "finish", lambda self, allocator_retries: (Conditions(), ("busy",)))
    running, _ = duel([], least_blocks=3, most_blocks=3, precision=1e-6, repeats=1)
    record = running.measure(quiet)
    assert [block.attempt for block in evidence(record)] == [1, 2] * 3
    assert "the most blocks" in record.stopped


@pytest.mark.parametrize(("spoilt", "blocks"), [((), 3), ((0,), 4), ((1, 2), 5), (range(20), 9)])
def test_a_spent_budget_ends_it_after_three_good_blocks_or_when_the_machine_stays_busy(monkeypatch, spoilt, blocks):
    # After the cold block, nothing is measured again: there is no time left.
    answers = iter([(), *(("busy",) if number in spoilt else () for number in range(20)), *[()] * 20])
    monkeypatch.setattr(speed.ConditionsWatch, "finish", lambda self, allocator_retries: (Conditions(), next(answers)))
    goal = Goal(budget_s=1e-9, least_blocks=4, most_blocks=40, times_evaluation=False)
    running, _ = duel([], precision=1e-9, goal=goal)
    record = running.measure(quiet)
    assert len(evidence(record)) == blocks
    assert "budget" in record.stopped


def script_times(monkeypatch, running, times_s):
    """Have the contender's segments take these seconds, the last one for all further ones; the baseline's take 1 s."""
    left = list(times_s)

    def segment(who, *_):
        return 1.0 if who == "baseline" else left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(running, "_segment", segment)


@pytest.mark.parametrize(
    ("times_s", "cold"),
    [
        ([1.0, 1.0, 1.0], 1),
        # A first pass, then two blocks of two segments: the first of them still fell by more than 5 %.
        ([2.0, 1.2, 1.1, 1.0], 2),
        ([2.0, 1.9, 1.7, 1.5, 1.3, 1.1, 0.9, 0.7, 0.5], 3),
        # Slower the second time is no sign of a cold start.
        ([1.0, 1.0, 2.0, 1.0], 1),
    ],
)
def test_blocks_are_no_evidence_until_both_are_steady(monkeypatch, times_s, cold):
    running, (baseline, _) = duel([], least_blocks=3, most_blocks=3, precision=1e-6, goal=None)
    script_times(monkeypatch, running, times_s)
    monkeypatch.setattr(speed, "COLD_FALL", COLD_FALL)
    blocks = [block for block in running.measure(quiet).blocks if block.kind == "training"]
    assert [block.cold for block in blocks] == [True] * cold + [False] * 3
    # All cold ones take the same samples, so that a difference is no difference of the samples.
    assert len(set(baseline.blocks[1 : 1 + cold])) == 1


def test_what_is_clear_of_the_steps_ends_their_blocks_after_the_least_ones():
    seen = []

    def decide(blocks):
        seen.append(len(blocks))
        assert not any(block.cold for block in blocks)
        return "faster" if len(blocks) >= 5 else None

    running, _ = duel(
        [], least_blocks=4, precision=1e-9, goal=Goal(budget_s=1e9, least_blocks=4, most_blocks=40, decide=decide)
    )
    record = running.measure(quiet)
    assert (len(evidence(record)), seen) == (5, [4, 5])
    assert record.stopped == "what its steps make of the job is clear: faster"
    assert len(evidence(record, "evaluation")) == 40, "evaluation has its own precision"


@pytest.mark.parametrize(("share", "needs_more"), [(0.02, False), (0.5, True)])
def test_evaluation_gets_more_blocks_only_where_its_error_matters(monkeypatch, share, needs_more):
    goal = Goal(budget_s=1e9, least_blocks=3, most_blocks=40, evaluation_share=share)
    running, _ = duel([], least_blocks=3, precision=0.01, goal=goal)
    seconds = iter([1.0, 1.02, 1.04] * 1000)
    monkeypatch.setattr(running, "_segment", lambda *_: next(seconds))
    assert (len(evidence(running.measure(quiet), "evaluation")) > 3) is needs_more


def test_evaluation_is_left_out_where_another_process_times_it():
    running, _ = duel([], goal=Goal(budget_s=1e9, least_blocks=3, most_blocks=5, times_evaluation=False))
    assert {block.kind for block in running.measure(quiet).blocks} == {"training"}


def test_a_contender_that_breaks_in_a_segment_says_so():
    running, _ = duel([], fails=True)
    with pytest.raises(WorkerError, match="it broke"):
        running.measure(quiet)


class GpuOfAWorker:
    """Busy only while a worker goes through a segment."""

    def __init__(self):
        self.running = False

    def sm_clock_mhz(self):
        return 1980.0 if self.running else 345.0

    def throttle_reasons(self):
        return 0

    def count_others(self):
        return 0


class BusyWorker(ScriptedWorker):
    """Keeps the GPU busy for a while in each segment."""

    gpu = None

    def ask(self, command):
        if not isinstance(command, RunSegment):
            return super().ask(command)
        self.gpu.running = True
        time.sleep(0.05)
        self.gpu.running = False
        return super().ask(command)


def test_the_gpus_clock_is_read_while_segments_run_and_not_between(monkeypatch):
    seen = []
    monkeypatch.setattr(
        speed.ConditionsWatch,
        "finish",
        lambda self, allocator_retries: (seen.append(self._clocks_mhz), (Conditions(), ()))[1],
    )
    gpu = GpuOfAWorker()
    workers = BusyWorker("A", []), BusyWorker("B", [])
    for worker in workers:
        worker.gpu = gpu
    changes = {"segment_s": 1e-9, "least_blocks": 3, "most_blocks": 3, "energy": False}
    config = override(preset("smoke"), {f"speed.{name}": value for name, value in changes.items()})
    Duel(*workers, config, make_goal(config.speed), gpu).measure(quiet)
    assert seen == [{"baseline": [1980.0] * 2, "contender": [1980.0] * 2}] * 2 * (1 + 3)


@pytest.mark.parametrize("energy", [True, False])
def test_without_nvml_there_is_no_energy_and_no_segment_for_it(energy):
    log = []
    running, _ = duel(log, least_blocks=3, most_blocks=3, precision=1e-6, energy=energy)
    assert running.measure(quiet).energy is None
    assert len(log) == 2 * (2 + (1 + 3) * 4)


def test_energy_is_measured_last_over_samples_of_both(monkeypatch):
    seen = {}

    def note(workers, plan, gpu, on_progress):
        seen.update(plan=plan, gpu=gpu, segments=len(log))
        return "energy"

    monkeypatch.setattr(speed, "measure_energy", note)
    log = []
    running, _ = duel(log, least_blocks=3, most_blocks=3, precision=1e-6)
    running._gpu = GpuOfAWorker()
    assert running.measure(quiet).energy == "energy"
    assert (seen["gpu"], seen["segments"]) == (running._gpu, len(log))
    assert sorted(seen["plan"].numbers) == list(range(32))


def test_a_meter_that_fails_costs_no_block(monkeypatch):
    def fail(*_):
        raise WorkerError("KeyError: 'repetitions'")

    monkeypatch.setattr(speed, "measure_energy", fail)
    running, _ = duel([], least_blocks=3, most_blocks=3, precision=1e-6)
    running._gpu = GpuOfAWorker()
    record = running.measure(quiet)
    assert len(record.blocks) == 2 * (1 + 3)
    assert (record.energy, record.energy_problem) == (None, "KeyError: 'repetitions'")
