"""Energy of baseline and contender in turn, long enough for the counter."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import pytest

from harness.experiment.commands import Answer, Command, LoadBlock, RunSegment, SegmentWork, decode
from harness.experiment.energy import EnergyPlan, add_up, measure_energy, plan_energy
from harness.experiment.process import WorkerError
from harness.experiment.session import Session
from harness.experiment.trial import TrialClock
from harness.measurement.nvml import EnergyReading
from harness.presets import preset
from harness.records.checks import BlockRecord, EnergyUse
from harness.records.spec import TrialSpec


def block(baseline_s: float, contender_s: float, windows: int = 32) -> BlockRecord:
    return BlockRecord(
        kind="training",
        number=1,
        attempt=1,
        first="baseline",
        windows=windows,
        baseline_s=(baseline_s, baseline_s),
        contender_s=(contender_s, contender_s),
    )


def test_the_slower_one_goes_through_its_samples_about_once_and_the_faster_one_as_long() -> None:
    plan = plan_energy([block(0.64, 0.08)], range(1000), unit=16, epoch_windows=1000, energy_s=3.0)
    assert len(plan.numbers) == 176, "3.25 s at 20 ms a window are 163, in whole batches"
    assert plan.repetitions == {"baseline": 1, "contender": 8}
    assert plan.repetitions["contender"] * 176 * 0.0025 >= 3.25


def test_a_small_training_set_is_repeated() -> None:
    plan = plan_energy([block(0.64, 0.08)], range(24), unit=16, epoch_windows=24, energy_s=3.0)
    assert len(plan.numbers) == 24
    assert plan.repetitions == {"baseline": 7, "contender": 55}


class MeteredGpu:
    """A counter that moves every 100 ms by what was drawn since, the power being the running worker's."""

    power_source = "instant"

    def __init__(self) -> None:
        self.power_w = 100.0
        self.has_counter = True
        self.others = 0
        self._since_s = time.monotonic()
        self._drawn_j = 0.0

    def switch(self, power_w: float) -> None:
        now_s = time.monotonic()
        self._drawn_j += self.power_w * (now_s - self._since_s)
        self.power_w, self._since_s = power_w, now_s

    def read_energy(self) -> EnergyReading:
        now_s = time.monotonic()
        drawn_j = self._drawn_j + self.power_w * (now_s - self._since_s - now_s % 0.1)
        return EnergyReading(now_s, drawn_j if self.has_counter else None, self.power_w)

    def count_others(self) -> int:
        return self.others


class MeteredWorker:
    """Draws its power for as long as a segment takes, and the idle power between."""

    pid = 1

    def __init__(self, gpu: MeteredGpu, power_w: float, pass_s: float, log: list[str], name: str) -> None:
        self.gpu, self.power_w, self.pass_s, self.log, self.name = gpu, power_w, pass_s, log, name

    def ask(self, command: Command[Answer]) -> Answer:
        self.log.append(f"{self.name} {type(command).__name__}")
        if isinstance(command, LoadBlock):
            self.numbers = command.numbers
            return None
        self.gpu.switch(self.power_w)
        time.sleep(self.pass_s * command.repetitions)
        self.gpu.switch(100.0)
        tokens = 200 * len(self.numbers) * command.repetitions
        return SegmentWork(work={"useful_tokens": tokens}, allocator_retries=None)


PLAN = EnergyPlan(numbers=tuple(range(10)), repetitions={"baseline": 1, "contender": 3}, epoch_windows=100)


def measure(gpu: MeteredGpu, log: list[str] | None = None):
    log = [] if log is None else log
    workers = {
        "baseline": MeteredWorker(gpu, 600.0, 0.6, log, "A"),
        "contender": MeteredWorker(gpu, 400.0, 0.2, log, "B"),
    }
    return measure_energy(workers, PLAN, gpu, lambda *_: None)


def test_each_is_given_its_own_energy_and_the_baseline_stands_on_both_sides() -> None:
    log: list[str] = []
    record = measure(MeteredGpu(), log)
    assert log == ["A LoadBlock", "B LoadBlock", "A RunSegment", "B RunSegment", "A RunSegment"]
    baseline, contender = record.baseline, record.contender
    assert (baseline.windows, contender.windows) == (20, 30)
    assert (baseline.useful_tokens, contender.useful_tokens) == (4000, 6000)
    assert baseline.integrated_j / baseline.window_s == pytest.approx(600.0, rel=0.02)
    assert contender.integrated_j / contender.window_s == pytest.approx(400.0, rel=0.02)
    assert contender.segment_s == pytest.approx(0.6, abs=0.1)
    assert contender.window_s < contender.segment_s
    assert baseline.energy_j > contender.energy_j
    assert (record.epoch_windows, record.power_source) == (100, "instant")


class SessionWorker:
    """A worker's session in this process, asked as the parent asks: commands must have what it looks for."""

    pid = 1

    def __init__(self, session: Session) -> None:
        self._session = session
        self.tokens: list[int] = []

    def ask(self, command: Command[Answer]) -> Answer:
        answer = self._session.handle(decode(command.encode()))
        if isinstance(command, RunSegment):
            self.tokens.append(answer.work["useful_tokens"])
        return command.read_answer(json.loads(json.dumps(answer and asdict(answer))))


def test_a_real_session_understands_what_it_is_asked(tmp_path, needs_bundled) -> None:
    spec = TrialSpec(
        contender="baseline",
        seed=0,
        config=preset("smoke"),
        directory=str(tmp_path),
        cache_directory=str(tmp_path / "cache"),
        compile_cache_directory=str(tmp_path / "compile"),
    )
    worker = SessionWorker(Session(spec, TrialClock(0.0), lambda *_: None))
    plan = EnergyPlan(numbers=tuple(range(4)), repetitions={"baseline": 1, "contender": 2}, epoch_windows=24)
    measure_energy({"baseline": worker, "contender": worker}, plan, MeteredGpu(), lambda *_: None)
    # Milliseconds of a tiny model are too short for the counter, so it may end after the first segment.
    assert worker.tokens[0] > 0


def test_without_a_counter_integrated_power_is_all_there_is() -> None:
    gpu = MeteredGpu()
    gpu.has_counter = False
    record = measure(gpu)
    assert record.baseline.energy_j is None
    assert record.baseline.integrated_j == pytest.approx(600.0 * record.baseline.window_s, rel=0.02)


def test_another_process_on_the_gpu_is_said() -> None:
    gpu = MeteredGpu()
    gpu.others = 1
    assert "1 other processes were on the GPU" in measure(gpu).contamination


def test_a_gpu_that_reports_nothing_gives_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = MeteredGpu()
    monkeypatch.setattr(gpu, "read_energy", lambda: EnergyReading(time.monotonic(), None, None))
    assert measure(gpu) is None


def test_a_worker_that_dies_is_passed_on() -> None:
    class DeadWorker(MeteredWorker):
        def ask(self, command: Command[Answer]) -> Answer:
            raise WorkerError("it broke")

    gpu = MeteredGpu()
    workers = {who: DeadWorker(gpu, 1.0, 0.1, [], who) for who in ("baseline", "contender")}
    with pytest.raises(WorkerError, match="it broke"):
        measure_energy(workers, PLAN, gpu, lambda *_: None)


def test_what_one_segment_lacks_is_not_known_of_all() -> None:
    known = EnergyUse(
        energy_j=10.0, integrated_j=11.0, window_s=1.0, error_s=0.01, segment_s=1.2, windows=5, useful_tokens=100
    )
    lacking = EnergyUse(
        energy_j=None, integrated_j=9.0, window_s=1.0, error_s=0.0, segment_s=1.1, windows=5, useful_tokens=100
    )
    total = add_up([known, lacking])
    assert (total.energy_j, total.integrated_j, total.windows) == (None, 20.0, 10)
