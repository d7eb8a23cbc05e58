from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measurement import nvml
from harness.measurement.metrics import METRICS
from harness.measurement.sampler import OF_A_SLICE, Sampler, Source, next_tick, open_source
from harness.measurement.samples import Sample

MAKE = """
import json, sys
from harness.measurement.sampler import Sampler, open_source
device_type, gpu_uuid = json.loads(sys.argv[1])
with Sampler(lambda: open_source(device_type=device_type, gpu_uuid=gpu_uuid), interval_s=0.01) as sampler:
    pass
print(json.dumps({
    "source": sampler.source.kind, "reason": sampler.source.reason, "ticks": sampler.ticks, "errors": sampler.errors,
    "metrics": list(sampler.samples[0].values),
    "power_source": sampler.source.gpu.power_source if sampler.source.gpu else None,
}))
"""


def sampler_of(read: Callable[[], Sample], **options: Any) -> Sampler:
    return Sampler(lambda: Source(read=read), **options)


def names_of(source: str) -> list[str]:
    return [metric.name for metric in METRICS[source]]


class CountingRead:
    """A reading that can fail at some calls, and announces the call that was waited for."""

    def __init__(self, *, wait_for: int, failing: tuple[int, ...] = ()) -> None:
        self.calls = 0
        self.reached = threading.Event()
        self._wait_for = wait_for
        self._failing = failing

    def __call__(self) -> Sample:
        self.calls += 1
        if self.calls >= self._wait_for:
            self.reached.set()
        if self.calls in self._failing:
            raise OSError("the sensor is away")
        return Sample(timestamp_s=float(self.calls), values={})


def test_a_first_and_a_last_sample_are_taken_even_when_nothing_happens_between() -> None:
    with sampler_of(CountingRead(wait_for=1), interval_s=3600.0) as sampler:
        pass
    assert [sample.timestamp_s for sample in sampler.samples] == [1.0, 2.0]
    assert sampler.ticks == 2


def test_dear_readings_come_less_often_than_the_interval() -> None:
    def read() -> Sample:
        end_s = time.thread_time() + 0.01
        while time.thread_time() < end_s:
            pass
        return Sample(timestamp_s=1.0, values={})

    with sampler_of(read, interval_s=0.001) as sampler:
        time.sleep(0.3)
    assert sampler.ticks == 2, "the next one would come after a hundred times its 10 ms"


def test_samples_go_on_at_the_interval() -> None:
    read = CountingRead(wait_for=4)
    with sampler_of(read, interval_s=0.001) as sampler:
        assert read.reached.wait(30)
    assert len(sampler.samples) == sampler.ticks >= 4


def test_an_exception_in_a_reading_is_counted_and_the_thread_goes_on() -> None:
    read = CountingRead(wait_for=4, failing=(1, 2))
    with sampler_of(read, interval_s=0.001) as sampler:
        assert read.reached.wait(30)
    assert sampler.errors == 2
    assert sampler.error_texts == ["OSError: the sensor is away"]
    assert [sample.timestamp_s for sample in sampler.samples][:2] == [3.0, 4.0]
    assert sampler.ticks == len(sampler.samples) + 2


def test_the_samplers_own_cost_is_measured() -> None:
    with sampler_of(lambda: Sample(timestamp_s=float(sum(range(1000))), values={}), interval_s=0.001) as sampler:
        pass
    assert sampler.busy_s > 0
    assert sampler.overhead_share == sampler.busy_s / sampler.elapsed_s


def test_an_unused_sampler_has_no_overhead() -> None:
    assert sampler_of(CountingRead(wait_for=1)).overhead_share == 0.0


def test_a_reading_that_hangs_does_not_hold_up_the_end() -> None:
    release = threading.Event()

    def hang() -> Sample:
        release.wait(30)
        return Sample(timestamp_s=0.0, values={})

    with sampler_of(hang, stop_timeout_s=0.01) as sampler:
        pass
    assert sampler.errors == 1
    assert "did not return" in sampler.error_texts[0]
    release.set()


def test_an_exception_of_the_work_passes_through_and_samples_stay() -> None:
    sampler = sampler_of(CountingRead(wait_for=1), interval_s=3600.0)
    with pytest.raises(ZeroDivisionError), sampler:
        raise ZeroDivisionError
    assert len(sampler.samples) == 2


def test_a_sampler_is_good_for_one_use() -> None:
    sampler = sampler_of(CountingRead(wait_for=1))
    with sampler:
        pass
    with pytest.raises(RuntimeError), sampler:
        pass


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="interval_s"):
        sampler_of(CountingRead(wait_for=1), interval_s=0.0)


def test_missed_ticks_are_left_out_and_the_schedule_does_not_drift() -> None:
    assert next_tick(0, 0.02, 0.1) == 1
    assert next_tick(1, 0.13, 0.1) == 2
    assert next_tick(2, 0.77, 0.1) == 8


@given(st.integers(0, 10**6), st.floats(0, 1e5), st.floats(1e-3, 10))
def test_the_next_tick_is_later_than_the_last_and_at_most_one_interval_away(
    tick: int, elapsed_s: float, interval_s: float
) -> None:
    following = next_tick(tick, elapsed_s, interval_s)
    assert following > tick
    assert following == tick + 1 or (following - 1) * interval_s <= elapsed_s * (1 + 1e-9)


def test_a_processor_is_watched_through_psutil_and_the_reason_is_given() -> None:
    with Sampler(lambda: open_source(device_type="cpu", gpu_uuid=None), interval_s=0.01) as sampler:
        pass
    assert (sampler.source.kind, sampler.source.reason) == ("psutil", "the device is cpu")
    assert all(list(sample.values) == names_of("psutil") for sample in sampler.samples)


def test_a_gpu_is_watched_through_nvml(run_with_fake_nvml: Callable[..., Any]) -> None:
    seen = run_with_fake_nvml(MAKE, '["cuda", "bbbbbbbb-0000-0000-0000-000000000002"]')
    assert (seen["source"], seen["reason"], seen["metrics"]) == ("nvml", None, names_of("nvml"))
    assert (seen["power_source"], seen["errors"]) == ("instant", 0)
    assert seen["ticks"] >= 2


def test_a_gpu_taken_by_its_index_is_said_to_be(run_with_fake_nvml: Callable[..., Any]) -> None:
    seen = run_with_fake_nvml(MAKE, '["cuda", null]')
    assert seen["source"] == "nvml"
    assert "no UUID" in seen["reason"]


def test_without_a_driver_psutil_is_used_and_the_reason_is_given(run_without_driver: Callable[..., Any]) -> None:
    seen = run_without_driver(MAKE, '["cuda", "bbbbbbbb-0000-0000-0000-000000000002"]')
    assert (seen["source"], seen["metrics"]) == ("psutil", names_of("psutil"))
    assert "NVML can't be used: NVML Shared Library Not Found" in seen["reason"]


def test_a_gpu_that_nvml_does_not_know_is_not_replaced_by_another(run_with_fake_nvml: Callable[..., Any]) -> None:
    seen = run_with_fake_nvml(MAKE, '["cuda", "cccccccc-0000"]')
    assert seen["source"] == "psutil"
    assert "cccccccc-0000" in seen["reason"]


def test_what_is_watched_does_not_wait_for_the_source() -> None:
    opened = threading.Event()

    def open_late() -> Source:
        opened.wait(30)
        return Source(read=CountingRead(wait_for=1), kind="nvml", reason="late")

    with Sampler(open_late, interval_s=3600.0) as sampler:
        assert (sampler.source.kind, sampler.samples) == ("psutil", [])
        opened.set()
    assert (sampler.source.kind, sampler.source.reason, len(sampler.samples)) == ("nvml", "late", 2)


def test_a_source_that_breaks_is_replaced_by_the_host_and_counted() -> None:
    def break_down() -> Source:
        raise ImportError("no such module")

    with Sampler(break_down, interval_s=3600.0) as sampler:
        pass
    assert (sampler.source.kind, sampler.errors) == ("psutil", 1)
    assert "ImportError: no such module" in str(sampler.source.reason)
    assert all(list(sample.values) == names_of("psutil") for sample in sampler.samples)


def test_a_source_that_never_opens_does_not_hold_up_the_end() -> None:
    release = threading.Event()

    def hang() -> Source:
        release.wait(30)
        return Source(read=CountingRead(wait_for=1))

    with Sampler(hang, stop_timeout_s=0.01) as sampler:
        pass
    assert (sampler.errors, sampler.samples) == (1, [])
    assert "opened" in str(sampler.source.reason)
    release.set()


LATE_DRIVER = """
import json, sys, time
import harness.measurement.sampler as sampling
start_s = time.monotonic()
uuid = "bbbbbbbb-0000-0000-0000-000000000002"
sampler = sampling.Sampler(lambda: sampling.open_source(device_type="cuda", gpu_uuid=uuid), interval_s=0.01)
imported = "pynvml" in sys.modules
with sampler:
    entered_s = time.monotonic() - start_s
print(json.dumps({"imported": imported, "entered_s": entered_s, "source": sampler.source.kind, "ticks": sampler.ticks}))
"""


def test_a_driver_that_starts_slowly_does_not_delay_the_job(run_with_fake_nvml: Callable[..., Any]) -> None:
    seen = run_with_fake_nvml(LATE_DRIVER, FAKE_NVML_INIT_MS="2000")
    assert not seen["imported"]
    assert seen["entered_s"] < 1.0
    assert (seen["source"], seen["ticks"] >= 2) == ("nvml", True)


def test_of_a_slice_it_is_said_what_the_driver_does_not_report(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = SimpleNamespace(info=SimpleNamespace(is_slice=True), read=None)
    monkeypatch.setattr(nvml, "open_gpu", lambda uuid, root_pid: gpu)
    source = open_source(device_type="cuda", gpu_uuid="MIG-1")
    assert (source.kind, source.reason) == ("nvml", OF_A_SLICE)
