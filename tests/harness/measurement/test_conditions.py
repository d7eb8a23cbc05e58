"""What spoils a block of segments."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from harness.measurement.conditions import FOREIGN_SHARE_OF_JOB, ConditionsWatch, find_contamination
from harness.measurement.usual_speed import find_usual_speed
from harness.records.checks import Conditions
from harness.records.machine import SpeedometerReading

BUSY_FOR_A_SECOND = "import time\nend = time.process_time() + 1\nwhile time.process_time() < end: pass"

QUIET = Conditions(foreign_cpu_cores=0.05, steal_share=0.0, swapped_gib=0.0, load_average_1min=1.0)


def test_a_quiet_machine_spoils_nothing():
    assert find_contamination(QUIET, cores=2.0, idle_cores=0.0) == ()


@pytest.mark.parametrize(
    ("conditions", "word"),
    [
        (Conditions(foreign_cpu_cores=0.5), "other processes used 0.50"),
        (Conditions(steal_share=0.2), "hypervisor took 20%"),
        (Conditions(swapped_gib=0.5), "swapped"),
        (Conditions(allocator_retries=2), "allocator"),
        (Conditions(throttle_reasons=("sw_power_cap", "hw_slowdown")), "throttled (hw_slowdown)"),
        (Conditions(sm_clock_ratio=0.9), "clock"),
        (Conditions(other_gpu_processes=1), "on the GPU"),
    ],
)
def test_each_condition_is_named(conditions, word):
    found = find_contamination(conditions, cores=2.0, idle_cores=0.0)
    assert len(found) == 1
    assert word in found[0]


def test_foreign_work_does_not_matter_while_cores_are_idle():
    assert find_contamination(Conditions(foreign_cpu_cores=4.0), cores=16.0, idle_cores=8.0) == ()


def test_foreign_work_on_the_only_core_spoils_also_a_worker_that_waits():
    assert find_contamination(Conditions(foreign_cpu_cores=0.3), cores=1.0, idle_cores=0.6) != ()


def test_a_gpu_at_its_power_limit_is_no_spoilt_one():
    capped = Conditions(throttle_reasons=("sw_power_cap",), sm_clock_ratio=0.9)
    assert find_contamination(capped, cores=2.0, idle_cores=0.0) == ()


def test_work_of_a_process_that_was_not_named_is_foreign_and_of_one_that_was_is_not():
    busy = "import time\nend = time.time() + 60\nwhile time.time() < end: pass"
    process = subprocess.Popen([sys.executable, "-c", busy])
    try:
        foreign, own = ConditionsWatch([]), ConditionsWatch([process.pid])
        start_s = time.monotonic()
        # Until it has had half a second of processor time, however busy the machine is.
        while sum(psutil.Process(process.pid).cpu_times()[:2]) < 0.5:
            time.sleep(0.05)
        elapsed_s = time.monotonic() - start_s
        foreign_cores = foreign.finish(allocator_retries=None)[0].foreign_cpu_cores
        own_cores = own.finish(allocator_retries=None)[0].foreign_cpu_cores
    finally:
        process.kill()
        process.wait()
    assert (foreign_cores - own_cores) * elapsed_s > 0.3


IDLE_MHZ, POWER_BRAKE, GPU_IDLE = 345.0, 0x80, 0x1


class SteppingGpu:
    """Its clock is up while a segment runs and falls at once when it ends, as the driver's reasons do."""

    def __init__(self):
        self.clock_mhz = IDLE_MHZ
        self.others = 0

    def sm_clock_mhz(self):
        return self.clock_mhz

    def throttle_reasons(self):
        return POWER_BRAKE | GPU_IDLE if self.clock_mhz == IDLE_MHZ else 0

    def count_others(self):
        return self.others


def run_segments(watch, gpu, clocks_mhz, *, seconds=0.06):
    for who, clock_mhz in clocks_mhz:
        with watch.during(who):
            gpu.clock_mhz = clock_mhz
            time.sleep(seconds)
            gpu.clock_mhz = IDLE_MHZ


def test_clocks_and_reasons_are_those_of_running_segments():
    gpu = SteppingGpu()
    watch = ConditionsWatch([], gpu)
    time.sleep(0.03)
    run_segments(watch, gpu, [("baseline", 1980.0), ("contender", 1782.0)])
    conditions, contamination = watch.finish(allocator_retries=None)
    assert conditions.sm_clock_ratio == pytest.approx(0.9)
    assert conditions.throttle_reasons == (), "an idle GPU's reasons are none of the segment's"
    assert "clock in the contender's segments was 0.90 times" in " ".join(contamination)


@pytest.mark.parametrize(
    ("bits", "names"), [(0x001, ()), (0x004 | 0x001, ("sw_power_cap",)), (0x10000, ("unknown_0x10000",))]
)
def test_throttle_bits_become_names_and_idle_is_none_of_them(bits, names):
    gpu = SimpleNamespace(sm_clock_mhz=lambda: 1980.0, throttle_reasons=lambda: bits, count_others=lambda: 0)
    watch = ConditionsWatch([], gpu)
    with watch.during("baseline"):
        time.sleep(0.06)
    assert watch.finish(allocator_retries=None)[0].throttle_reasons == names


def test_clock_ratio_needs_both_workers_and_is_one_of_means():
    gpu = SteppingGpu()
    alone, both = ConditionsWatch([], gpu), ConditionsWatch([], gpu)
    run_segments(alone, gpu, [("baseline", 1000.0)])
    assert alone.finish(allocator_retries=None)[0].sm_clock_ratio is None
    run_segments(both, gpu, [("baseline", 800.0), ("contender", 900.0), ("baseline", 1200.0)])
    assert both.finish(allocator_retries=None)[0].sm_clock_ratio == pytest.approx(0.9)


def test_a_clock_that_rises_at_the_beginning_does_not_lower_a_segments_clock():
    gpu = SteppingGpu()
    watch = ConditionsWatch([], gpu)
    with watch.during("baseline"):
        time.sleep(0.02)
        gpu.clock_mhz = 1980.0
        time.sleep(0.15)
    run_segments(watch, gpu, [("contender", 1980.0)])
    assert watch.finish(allocator_retries=None)[0].sm_clock_ratio == pytest.approx(1.0)


def test_a_process_on_the_gpu_at_a_segments_end_is_counted():
    gpu = SteppingGpu()
    watch = ConditionsWatch([], gpu)
    gpu.others = 2
    run_segments(watch, gpu, [("baseline", 1980.0)])
    assert watch.finish(allocator_retries=None)[0].other_gpu_processes == 2


def test_without_a_gpu_nothing_is_read():
    watch = ConditionsWatch([])
    with watch.during("baseline"):
        pass
    conditions, _ = watch.finish(allocator_retries=None)
    assert (conditions.sm_clock_ratio, conditions.other_gpu_processes) == (None, None)


SEGMENTS = """
import json, sys, time
from pathlib import Path
from harness.measurement.conditions import ConditionsWatch
from harness.measurement.nvml import open_gpu
busy = Path(sys.argv[1])
gpu = open_gpu("bbbbbbbb-0000-0000-0000-000000000002")
watch = ConditionsWatch([], gpu)
clocks = []
for who in ("baseline", "contender"):
    with watch.during(who):
        busy.touch()
        time.sleep(0.08)
        busy.unlink()
    clocks.append(gpu.read()["sm_clock_mhz"])
print(json.dumps({"after": clocks, "during": watch._clocks_mhz}))
"""


def test_the_drivers_clock_is_read_before_it_falls(run_with_fake_nvml, tmp_path):
    busy = str(tmp_path / "busy")
    seen = run_with_fake_nvml(SEGMENTS, busy, FAKE_NVML_BUSY_FILE=busy)
    assert seen == {"after": [345.0, 345.0], "during": {"baseline": [1800.0], "contender": [1800.0]}}


class SlowingMachine:
    """A speedometer whose machine is as usual until it is told to slow down."""

    def __init__(self):
        self.speed = self.memory_speed = 1.0
        self._read = [self._reading() for _ in range(6)]

    @property
    def usual(self):
        return find_usual_speed(self._read)

    def _reading(self):
        return SpeedometerReading(
            when_s=0.0, matmul_gflops=100.0 * self.speed, memory_gb_per_s=20.0 * self.memory_speed
        )

    def read(self):
        self._read.append(self._reading())
        return self._read[-1]


def test_a_block_on_a_machine_at_half_its_usual_speed_is_spoilt_in_words():
    machine = SlowingMachine()
    conditions, found = ConditionsWatch([], None, machine).finish(allocator_retries=None)
    assert conditions.machine_speed == pytest.approx(1.0)
    assert not [words for words in found if "usual speed" in words]
    machine.memory_speed = 0.6
    _, found = ConditionsWatch([], None, machine).finish(allocator_retries=None)
    assert not [words for words in found if "usual speed" in words], "others' traffic alone is no reason"
    machine.speed = 0.54
    watch = ConditionsWatch([], None, machine)
    conditions, found = watch.finish(allocator_retries=None)
    assert conditions.machine_speed == pytest.approx(0.54)
    assert "the machine ran at 54% of its usual speed" in found
    assert watch.reading.matmul_gflops == pytest.approx(54.0)


def test_without_a_speedometer_the_machines_speed_is_not_measured():
    watch = ConditionsWatch([])
    assert watch.finish(allocator_retries=None)[0].machine_speed is None
    assert watch.reading is None


def foreign_cpu_s(command):
    """Return how much more of a command's second of work is foreign to who named nothing than to who watches a job."""
    job, nothing = ConditionsWatch(foreign_share=FOREIGN_SHARE_OF_JOB), ConditionsWatch([])
    start_s = time.monotonic()
    subprocess.run([sys.executable, "-c", command], check=True, stdout=subprocess.PIPE)
    elapsed_s = time.monotonic() - start_s
    cores = [watch.finish(allocator_retries=None)[0].foreign_cpu_cores for watch in (nothing, job)]
    return (cores[0] - cores[1]) * elapsed_s


def test_all_that_this_process_starts_belongs_to_its_job_what_has_ended_too():
    assert foreign_cpu_s(BUSY_FOR_A_SECOND) > 0.6


def test_what_this_process_has_not_started_is_foreign_to_its_job():
    # Its parent ends at once, so that it is no child of this process; the pipe is open until it ends.
    orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BUSY_FOR_A_SECOND!r}])"
    assert foreign_cpu_s(orphan) < 0.6
