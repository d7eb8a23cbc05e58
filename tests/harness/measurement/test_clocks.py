"""Clocks, with a clock that the test turns."""

from __future__ import annotations

import time

import pytest
import torch

from harness.measurement.clocks import PhaseClock, StepClock, make_step_clock


@pytest.fixture
def now(monkeypatch):
    state = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: state[0])
    return state


def test_phases_add_up_by_name(now):
    clock = PhaseClock()
    for phase, seconds in (("training", 2.0), ("evaluation", 1.0), ("training", 3.0)):
        with clock.measure(phase):
            now[0] += seconds
    assert clock.phases_s == {"training": 5.0, "evaluation": 1.0}


def test_a_phase_is_counted_even_if_it_fails(now):
    clock = PhaseClock()

    def fail():
        with clock.measure("training"):
            now[0] += 2.0
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert clock.phases_s == {"training": 2.0}


def test_phases_can_not_overlap():
    clock = PhaseClock()
    with clock.measure("a"), pytest.raises(RuntimeError, match="b starts inside phase a"), clock.measure("b"):
        pass


def test_steps_are_the_times_between_marks(now):
    clock = StepClock()
    clock.start()
    for seconds in (1.0, 0.5):
        now[0] += seconds
        clock.mark()
    assert clock.read() == [1.0, 0.5]
    clock.start()
    assert clock.read() == []


def test_processors_use_the_host_clock():
    assert type(make_step_clock(torch.device("cpu"))) is StepClock


def test_pauses_are_no_part_of_a_step(now):
    clock = StepClock()
    clock.start()
    with clock.pause():
        now[0] += 4.0
    now[0] += 1.0
    clock.mark()
    for _ in range(2):
        with clock.pause():
            now[0] += 8.0
    now[0] += 0.5
    clock.mark()
    with clock.pause():
        now[0] += 16.0
    assert clock.read() == [1.0, 0.5]
    assert clock.read_paused_s() == 36.0
