from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import RecordError
from harness.measurement.samples import (
    NOT_THROTTLING,
    REASON_NAMES,
    GpuSample,
    HostSample,
    Sample,
    decode_throttle_reasons,
    read_samples_csv,
    summarise_gpu,
    summarise_host,
    write_samples_csv,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
MAYBE = st.none() | FINITE
COUNTS = st.none() | st.integers(0, 2**63)
GPU_SAMPLES = st.lists(
    st.builds(
        GpuSample,
        timestamp_s=FINITE,
        gpu_utilisation_percent=MAYBE,
        memory_utilisation_percent=MAYBE,
        memory_used_gib=MAYBE,
        power_w=MAYBE,
        energy_j=MAYBE,
        sm_clock_mhz=MAYBE,
        memory_clock_mhz=MAYBE,
        temperature_c=MAYBE,
        throttle_reasons=COUNTS,
        other_processes=COUNTS,
    ),
    max_size=4,
)
HOST_SAMPLES = st.lists(
    st.builds(
        HostSample,
        timestamp_s=FINITE,
        process_cpu_percent=MAYBE,
        rss_gib=MAYBE,
        load_average_1min=MAYBE,
        system_cpu_percent=MAYBE,
        swap_used_gib=MAYBE,
    ),
    max_size=4,
)
HOST_HEADER = "timestamp_s,process_cpu_percent,rss_gib,load_average_1min,system_cpu_percent,swap_used_gib"


@given(samples=GPU_SAMPLES | HOST_SAMPLES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_samples_come_back_from_csv_as_they_were(tmp_path: Path, samples: list[Sample]) -> None:
    write_samples_csv(tmp_path / "samples.csv", samples)
    assert read_samples_csv(tmp_path / "samples.csv") == samples
    assert [path.name for path in tmp_path.iterdir()] == ["samples.csv"]


def test_what_was_not_measured_is_an_empty_cell_and_zero_is_not(tmp_path: Path) -> None:
    path = tmp_path / "host.csv"
    write_samples_csv(path, [HostSample(timestamp_s=1.5, rss_gib=0.0)])
    assert path.read_text() == f"{HOST_HEADER}\n1.5,,0.0,,,\n"
    assert read_samples_csv(path) == [HostSample(timestamp_s=1.5, rss_gib=0.0)]


def test_samples_of_two_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_samples_csv(tmp_path / "a.csv", [HostSample(timestamp_s=1.0), GpuSample(timestamp_s=1.0)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{HOST_HEADER}\n1,,,,,\n2,,,\n", "line 3: 4 cells instead of 6"),
        (f"{HOST_HEADER}\n1,,,,,\n2,,,x,,\n", "line 3: load_average_1min is 'x'"),
        (f"{HOST_HEADER}\n1,,nan,,,\n", "line 2: rss_gib is 'nan'"),
        (f"{HOST_HEADER}\n,,,,,\n", "line 2: timestamp_s is empty"),
        (f'{HOST_HEADER}\n1,,,,,\n"2,,,,,\n', "line 3"),
        ("timestamp_s,colour\n1,2\n", "line 1"),
        ("", "line 1"),
    ],
)
def test_a_damaged_row_is_named_by_file_and_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "host.csv"
    path.write_text(text)
    with pytest.raises(RecordError, match=r"host\.csv is damaged") as raised:
        read_samples_csv(path)
    assert expected in raised.value.message


def test_a_whole_number_column_refuses_a_fraction(tmp_path: Path) -> None:
    path = tmp_path / "gpu.csv"
    write_samples_csv(path, [GpuSample(timestamp_s=1.0, other_processes=3)])
    path.write_text(path.read_text().replace(",3\n", ",3.5\n"))
    with pytest.raises(RecordError, match=r"line 2: other_processes is '3\.5'"):
        read_samples_csv(path)


def test_a_missing_and_an_unreadable_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"gpu\.csv is missing"):
        read_samples_csv(tmp_path / "gpu.csv")
    (tmp_path / "gpu.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(RecordError, match=r"gpu\.csv is damaged"):
        read_samples_csv(tmp_path / "gpu.csv")


def make_energy_samples(*, counter_w: float, power_w: float, seconds: int) -> list[GpuSample]:
    return [
        GpuSample(timestamp_s=100.0 + t, power_w=power_w, energy_j=5000.0 + counter_w * t) for t in range(seconds + 1)
    ]


def test_energies_that_agree_need_no_note() -> None:
    summary = summarise_gpu(make_energy_samples(counter_w=100.0, power_w=110.0, seconds=4))
    assert (summary.energy_counter_j, summary.energy_integrated_j, summary.energy_note) == (400.0, 440.0, None)


def test_energies_that_disagree_are_said_to() -> None:
    summary = summarise_gpu(make_energy_samples(counter_w=187.0, power_w=327.0, seconds=4))
    assert summary.energy_note == (
        "the energy counter (748 J) and integrated power (1308 J) disagree by 43% of the larger"
    )


def test_a_window_too_short_for_the_energy_counter_is_said_to_be() -> None:
    summary = summarise_gpu(make_energy_samples(counter_w=187.0, power_w=327.0, seconds=1))
    assert summary.energy_note is not None
    assert summary.energy_note.startswith("too short: 1 s")


def test_power_is_integrated_by_trapezoids_over_uneven_and_missing_readings() -> None:
    readings = [(0.0, 100.0), (1.0, 200.0), (2.0, None), (4.0, 100.0)]
    summary = summarise_gpu([GpuSample(timestamp_s=t, power_w=power_w) for t, power_w in readings])
    assert summary.energy_integrated_j == 150.0 + 450.0
    assert (summary.energy_counter_j, summary.energy_note) == (None, None)


def test_an_energy_counter_that_was_set_back_gives_no_energy() -> None:
    samples = [GpuSample(timestamp_s=t, energy_j=energy_j) for t, energy_j in ((0.0, 900.0), (5.0, 10.0))]
    assert summarise_gpu(samples).energy_counter_j is None


def test_throttle_reasons_are_decoded_into_words() -> None:
    assert decode_throttle_reasons(0x1 | 0x4 | 0x40 | 0x8000) == {
        "gpu_idle": False,
        "sw_power_cap": True,
        "hw_thermal_slowdown": True,
        "unknown_0x8000": True,
    }


def test_reasons_have_nvmls_bits() -> None:
    pynvml = pytest.importorskip("pynvml")
    for bit, name in REASON_NAMES.items():
        camel = "".join(part.capitalize() for part in name.split("_"))
        assert getattr(pynvml, f"nvmlClocksThrottleReason{camel}") == bit


def test_idle_and_chosen_clocks_are_not_throttling() -> None:
    samples = [GpuSample(timestamp_s=float(t), throttle_reasons=bits) for t, bits in enumerate([0, 1, 2, 3])]
    summary = summarise_gpu(samples)
    assert (summary.throttled_share, summary.throttle_reasons) == (0.0, {})
    assert {"gpu_idle", "applications_clocks_setting"} == NOT_THROTTLING


def test_throttling_is_shown_as_a_share_of_the_samples_that_know() -> None:
    bits = [0x4, 0x4 | 0x20, 0x1, 0x0, None]
    samples = [GpuSample(timestamp_s=float(t), throttle_reasons=value) for t, value in enumerate(bits)]
    summary = summarise_gpu(samples)
    assert summary.throttled_share == 0.5
    assert summary.throttle_reasons == {"sw_power_cap": 0.5, "sw_thermal_slowdown": 0.25}


def test_gpu_summary_ignores_what_was_not_measured() -> None:
    summary = summarise_gpu(
        [
            GpuSample(timestamp_s=0.0, gpu_utilisation_percent=50.0, sm_clock_mhz=1000.0, temperature_c=60.0),
            GpuSample(timestamp_s=1.0),
            GpuSample(
                timestamp_s=2.0, gpu_utilisation_percent=100.0, sm_clock_mhz=900.0, other_processes=2, power_w=9.0
            ),
        ]
    )
    assert (summary.samples, summary.window_s) == (3, 2.0)
    assert (summary.mean_gpu_utilisation_percent, summary.max_gpu_utilisation_percent) == (75.0, 100.0)
    assert (summary.min_sm_clock_mhz, summary.max_sm_clock_mhz) == (900.0, 1000.0)
    assert (summary.max_temperature_c, summary.max_other_processes, summary.mean_power_w) == (60.0, 2, 9.0)


@pytest.mark.parametrize("samples", [[], [GpuSample(timestamp_s=1.0)]])
def test_gpu_summary_of_nothing_is_none_and_never_zero(samples: list[GpuSample]) -> None:
    summary = vars(summarise_gpu(samples))
    assert {name for name, value in summary.items() if value is not None} == {"samples"}


def test_host_summary_ignores_what_was_not_measured() -> None:
    summary = summarise_host(
        [
            HostSample(timestamp_s=0.0, rss_gib=1.0, swap_used_gib=0.0),
            HostSample(timestamp_s=2.0, process_cpu_percent=150.0, system_cpu_percent=90.0, rss_gib=2.0),
            HostSample(timestamp_s=4.0, process_cpu_percent=50.0, system_cpu_percent=70.0, load_average_1min=3.0),
        ]
    )
    assert (summary.mean_process_cpu_percent, summary.max_process_cpu_percent) == (100.0, 150.0)
    assert (summary.mean_system_cpu_percent, summary.max_system_cpu_percent) == (80.0, 90.0)
    assert (summary.max_rss_gib, summary.max_load_average_1min, summary.max_swap_used_gib) == (2.0, 3.0, 0.0)


def test_host_summary_of_nothing_is_none_and_never_zero() -> None:
    assert {name for name, value in vars(summarise_host([])).items() if value is not None} == {"samples"}
