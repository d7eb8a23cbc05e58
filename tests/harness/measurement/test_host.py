from __future__ import annotations

from collections import namedtuple

import psutil
import pytest

from harness.measurement import host
from harness.measurement.host import HostReader, split_cpu_times

Times = namedtuple("Times", ["user", "system", "idle", "iowait", "guest", "guest_nice"])


def test_first_reading_has_no_loads_since_they_need_two() -> None:
    sample = HostReader().read()
    assert (sample["process_cpu_percent"], sample["system_cpu_percent"]) == (None, None)
    assert sample["rss_gib"] is not None
    assert sample["rss_gib"] > 0


def test_loads_are_those_since_the_reading_before(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"wall": 10.0, "process": 1.0}
    cpu_times = Times(user=10.0, system=0.0, idle=10.0, iowait=0.0, guest=0.0, guest_nice=0.0)
    monkeypatch.setattr(host.time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(host.time, "process_time", lambda: clock["process"])
    monkeypatch.setattr(psutil, "cpu_times", lambda: cpu_times)
    reader = HostReader()
    reader.read()
    clock.update(wall=10.2, process=1.3)
    cpu_times = Times(user=10.3, system=0.0, idle=10.1, iowait=0.0, guest=0.0, guest_nice=0.0)
    sample = reader.read()
    assert sample["process_cpu_percent"] == pytest.approx(150.0)
    assert sample["system_cpu_percent"] == pytest.approx(75.0)


def test_window_too_short_for_the_kernels_ticks_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    wall_s = 10.0
    monkeypatch.setattr(host.time, "perf_counter", lambda: wall_s)
    reader = HostReader()
    reader.read()
    wall_s = 10.01
    assert reader.read()["process_cpu_percent"] is None
    wall_s = 10.1
    assert reader.read()["process_cpu_percent"] is not None


def test_waiting_for_a_disk_and_a_guests_time_are_not_counted_as_busy_twice() -> None:
    busy, total = split_cpu_times(Times(user=6.0, system=1.0, idle=2.0, iowait=1.0, guest=3.0, guest_nice=0.0))
    assert (busy, total) == (7.0, 10.0)


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [((1.0, 2.0), (1.0, 2.0), None), (None, (1.0, 2.0), None), ((1.0, 2.0), None, None), ((1.0, 2.0), (3.0, 3.0), 100)],
    ids=["no time was counted", "first reading refused", "second reading refused", "idle stepped back"],
)
def test_busy_share_is_unknown_or_stays_within_its_bounds(
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[float, float] | None,
    after: tuple[float, float] | None,
    percent: float | None,
) -> None:
    monkeypatch.setattr(host, "SHORTEST_WINDOW_S", 0.0)
    reader = HostReader()
    for reading in (before, after):

        def read(reading: tuple[float, float] | None = reading) -> Times:
            if reading is None:
                raise OSError("no /proc/stat here")
            busy, total = reading
            return Times(user=busy, system=0.0, idle=total - busy, iowait=0.0, guest=0.0, guest_nice=0.0)

        monkeypatch.setattr(psutil, "cpu_times", read)
        sample = reader.read()
    assert sample["system_cpu_percent"] == percent


def test_one_refused_metric_keeps_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError("no /proc/swaps here")

    monkeypatch.setattr(psutil, "swap_memory", refuse)
    sample = HostReader().read()
    assert sample["swap_used_gib"] is None
    assert sample["rss_gib"] is not None
    assert sample["load_average_1min"] is not None
