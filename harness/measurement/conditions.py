"""What else happens on the machine while a block of segments or a job is measured, and whether that spoils it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from statistics import fmean, median
from typing import TYPE_CHECKING

import psutil

from harness.measurement.host import split_cpu_times, usable_cpus
from harness.measurement.metrics import GIB, decode_throttle_reasons
from harness.measurement.readings import read_during
from harness.measurement.usual_speed import describe_unusual, speed_share, unusual_speed
from harness.records.checks import Conditions
from harness.records.machine import SpeedometerReading

if TYPE_CHECKING:
    from harness.measurement.nvml import NvmlGpu
    from harness.measurement.speedometer import Speedometer

FOREIGN_SHARE = 0.05
"""Processor time of others, as a share of the usable cores' time, above which a block is spoilt, if the machine has no
core to spare. On one core 0.1 s of foreign work in a block made one segment 17 % longer, so more is too much."""

FOREIGN_SHARE_OF_JOB = 0.1
"""The same of a job. It is not one of a pair, but most of what counts of it are ratios of segments."""

SPARE_CORES = 1.0
"""Usable cores that must be idle for foreign work not to matter. A share of them would not do: a worker that waits
half of the time leaves its only core idle, and is still woken late when somebody else has it."""

STEAL_SHARE = 0.03
"""Share of processor time given to other machines above which a block is spoilt. Threads wait for each other, so what
is taken from one of two delays both."""

SWAPPED_GIB = 0.01
"""Memory swapped above which a block is spoilt."""

CLOCK_DIFFERENCE = 0.03
"""Difference of the mean SM clocks of both workers' segments above which a block is spoilt."""

FIRST_READING_S = 0.01
"""From the command to a worker to the first reading of the GPU's clock: by then its first kernels run. Segments are
several times as long, so each has one."""

READINGS_EVERY_S = 0.02
"""Two questions to the driver, some 50 µs, in a process that only waits meanwhile."""

POWER_CAP = "sw_power_cap"
"""The GPU holds its clock down to stay within its power limit: the usual state of one that is fully used. The clock
then follows each worker's own draw, as a part of its speed: neither the cap nor that difference spoils a block."""


class ConditionsWatch:
    """Watches one block or one job: made at its start, beside each segment on a GPU, asked at its end.

    `pids` are the processes that belong to it, with their children. None: all that this process starts, those that have
    ended included; what else is idle then is no matter.
    """

    def __init__(
        self,
        pids: Sequence[int] | None = None,
        gpu: NvmlGpu | None = None,
        speedometer: Speedometer | None = None,
        *,
        foreign_share: float = FOREIGN_SHARE,
    ) -> None:
        self._usual = {} if speedometer is None else speedometer.usual
        """Before this block: what is read now has no say in it."""
        self._reading = None if speedometer is None else speedometer.read()
        self._pids = pids
        self._foreign_share = foreign_share
        self._gpu = gpu
        self._clocks_mhz: dict[str, list[float]] = {}
        """Median SM clock of each segment, by whose it was."""
        self._reasons = 0
        self._others = 0
        self._start = self._count()

    @contextmanager
    def during(self, who: str) -> Iterator[None]:
        """Watch the GPU's clock while a segment of `who` runs: right after it an idle GPU would be read."""
        gpu = self._gpu
        if gpu is None:
            yield
            return
        with read_during(
            lambda: (gpu.sm_clock_mhz(), gpu.throttle_reasons()), first_s=FIRST_READING_S, every_s=READINGS_EVERY_S
        ) as readings:
            yield
        clocks_mhz = [clock_mhz for clock_mhz, _ in readings if clock_mhz is not None]
        if clocks_mhz:
            self._clocks_mhz.setdefault(who, []).append(median(clocks_mhz))
        for _, reasons in readings:
            self._reasons |= reasons or 0
        self.note_others()

    @property
    def reading(self) -> SpeedometerReading | None:
        """How fast the machine was: read before the block, or on a GPU its clock in it."""
        clocks_mhz = [clock_mhz for each in self._clocks_mhz.values() for clock_mhz in each]
        if self._gpu is None or not clocks_mhz or POWER_CAP in _names_of(self._reasons):
            return self._reading
        return SpeedometerReading(when_s=time.time(), sm_clock_mhz=median(clocks_mhz))

    def note_others(self) -> None:
        """Count the other processes on the GPU."""
        if self._gpu is not None:
            self._others = max(self._others, self._gpu.count_others() or 0)

    def finish(self, *, allocator_retries: int | None) -> tuple[Conditions, tuple[str, ...]]:
        """Return the block's conditions, and in words why it does not count."""
        passed = {name: end - self._start[name] for name, end in self._count().items()}
        wall_s, total_s = max(passed["wall_s"], 1e-9), max(passed["total_s"], 1e-9)
        clocks_mhz = {who: fmean(each) for who, each in self._clocks_mhz.items()}
        both = {"baseline", "contender"} <= clocks_mhz.keys()
        conditions = Conditions(
            foreign_cpu_cores=round(max(0.0, passed["busy_s"] - passed["own_s"]) / wall_s, 4),
            steal_share=round(max(0.0, passed["steal_s"]) / total_s, 4),
            swapped_gib=round(passed["swapped_gib"], 4),
            load_average_1min=psutil.getloadavg()[0],
            allocator_retries=allocator_retries,
            throttle_reasons=_names_of(self._reasons),
            sm_clock_ratio=clocks_mhz["contender"] / clocks_mhz["baseline"] if both else None,
            other_gpu_processes=None if self._gpu is None else self._others,
            machine_speed=None if self._reading is None else speed_share([self._reading], self._usual),
        )
        idle_cores = max(0.0, total_s - passed["busy_s"]) / wall_s
        found = find_contamination(
            conditions, cores=total_s / wall_s, idle_cores=idle_cores, foreign_share=self._foreign_share
        )
        unusual = None if self._reading is None else unusual_speed([self._reading], self._usual, in_all=True)
        return conditions, found if unusual is None else (*found, describe_unusual(unusual))

    def _count(self) -> dict[str, float]:
        """Return running totals. Processors that this process may not run on don't matter: nor does work there."""
        every, swap = psutil.cpu_times(percpu=True), psutil.swap_memory()
        usable = [every[number] for number in usable_cpus() if number < len(every)]
        split = [split_cpu_times(times) for times in usable]
        steal_s = sum(float(getattr(times, "steal", 0.0)) for times in usable)
        return {
            "wall_s": time.monotonic(),
            "busy_s": sum(busy_s for busy_s, _ in split) - steal_s,
            "total_s": sum(total_s for _, total_s in split),
            "steal_s": steal_s,
            "own_s": self._count_own_s(),
            "swapped_gib": (swap.sin + swap.sout) / GIB,
        }

    def _count_own_s(self) -> float:
        """Return the processor time of this process and of what belongs to what is watched."""
        own = psutil.Process()
        # User, system, and with all children those of ended ones too.
        if self._pids is None:
            members, fields = [own, *own.children(recursive=True)], 4
        else:
            members, fields = [own], 2
            for pid in self._pids:
                with suppress(psutil.Error):
                    process = psutil.Process(pid)
                    members += [process, *process.children(recursive=True)]
        own_s = 0.0
        for member in members:
            with suppress(psutil.Error):
                own_s += sum(member.cpu_times()[:fields])
        return own_s


def _names_of(reasons: int) -> tuple[str, ...]:
    """Return the names of those bits that count as throttling."""
    return tuple(name for name, throttles in decode_throttle_reasons(reasons).items() if throttles)


def find_contamination(
    conditions: Conditions, *, cores: float, idle_cores: float, foreign_share: float = FOREIGN_SHARE
) -> tuple[str, ...]:
    """Return in words what spoils it; `idle_cores` of the `cores` usable ones had nothing to do, on average."""
    found = []
    foreign = conditions.foreign_cpu_cores
    if foreign is not None and foreign > foreign_share * cores and idle_cores < SPARE_CORES:
        found.append(f"other processes used {foreign:.2f} of {cores:.0f} processor cores")
    if conditions.steal_share is not None and conditions.steal_share > STEAL_SHARE:
        found.append(f"the hypervisor took {conditions.steal_share:.0%} of the processor time")
    if conditions.swapped_gib is not None and conditions.swapped_gib > SWAPPED_GIB:
        found.append(f"{conditions.swapped_gib:.2f} GiB were swapped")
    if conditions.allocator_retries:
        found.append(f"the device's allocator ran out and retried {conditions.allocator_retries} times")
    throttled = [name for name in conditions.throttle_reasons if name != POWER_CAP]
    if throttled:
        found.append(f"the GPU was throttled ({', '.join(throttled)})")
    ratio = conditions.sm_clock_ratio
    at_power_cap = POWER_CAP in conditions.throttle_reasons
    if ratio is not None and abs(ratio - 1.0) > CLOCK_DIFFERENCE and not at_power_cap:
        found.append(f"the GPU's clock in the contender's segments was {ratio:.2f} times that in the baseline's")
    if conditions.other_gpu_processes:
        found.append(f"{conditions.other_gpu_processes} other processes were on the GPU")
    return tuple(found)
