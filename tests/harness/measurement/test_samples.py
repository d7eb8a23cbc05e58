"""The samples' CSV file: what it keeps, and that files of other versions are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import RecordError
from harness.measurement.metrics import METRICS
from harness.measurement.samples import (
    Sample,
    cut_samples,
    measured_metrics,
    read_samples_csv,
    stretches_between,
    throttle_reason_shares,
    write_samples_csv,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
CELLS = {float: st.none() | FINITE, int: st.none() | st.integers(0, 2**63)}
SAMPLES = st.sampled_from(list(METRICS.values())).flatmap(
    lambda metrics: st.lists(
        st.builds(
            Sample,
            timestamp_s=FINITE,
            values=st.fixed_dictionaries({metric.name: CELLS[metric.number] for metric in metrics}),
        ),
        max_size=4,
    )
)
GPU_HEADER = (
    "timestamp_s,gpu_utilisation_percent,memory_utilisation_percent,memory_used_gib,power_w,energy_j,sm_clock_mhz,"
    "memory_clock_mhz,temperature_c,throttle_reasons,other_processes"
)
HOST_HEADER = "timestamp_s,process_cpu_percent,rss_gib,load_average_1min,system_cpu_percent,swap_used_gib"


def host_values(**values: float) -> dict[str, float | None]:
    return {metric.name: None for metric in METRICS["psutil"]} | values


@given(samples=SAMPLES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_samples_come_back_from_csv_as_they_were(tmp_path: Path, samples: list[Sample]) -> None:
    write_samples_csv(tmp_path / "samples.csv", samples)
    assert read_samples_csv(tmp_path / "samples.csv") == samples
    assert [path.name for path in tmp_path.iterdir()] == ["samples.csv"]


def test_what_was_not_measured_is_an_empty_cell_and_zero_is_not(tmp_path: Path) -> None:
    path = tmp_path / "host.csv"
    samples = [Sample(timestamp_s=1.5, values=host_values(rss_gib=0.0))]
    write_samples_csv(path, samples)
    assert path.read_text() == f"{HOST_HEADER}\n1.5,,0.0,,,\n"
    assert read_samples_csv(path) == samples


def test_samples_that_hold_different_metrics_fit_into_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    samples = [Sample(timestamp_s=1.0, values={"rss_gib": 2.0}), Sample(timestamp_s=2.0, values={"power_w": 9.0})]
    write_samples_csv(path, samples)
    assert [(s["rss_gib"], s["power_w"]) for s in read_samples_csv(path)] == [(2.0, None), (None, 9.0)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{HOST_HEADER}\n1,,,,,\n2,,,\n", "line 3: 4 cells instead of 6"),
        (f"{HOST_HEADER}\n1,,,,,\n2,,,x,,\n", "line 3: load_average_1min is 'x'"),
        (f"{HOST_HEADER}\n1,,nan,,,\n", "line 2: rss_gib is 'nan'"),
        (f"{HOST_HEADER}\n,,,,,\n", "line 2: timestamp_s is empty"),
        (f"{HOST_HEADER}\nnoon,,,,,\n", "line 2: timestamp_s is 'noon'"),
        (f'{HOST_HEADER}\n1,,,,,\n"2,,,,,\n', "line 3"),
        ("colour,rss_gib\n1,2\n", "line 1"),
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
    write_samples_csv(path, [Sample(timestamp_s=1.0, values={"other_processes": 3})])
    path.write_text(path.read_text().replace(",3\n", ",3.5\n"))
    with pytest.raises(RecordError, match=r"line 2: other_processes is '3\.5'"):
        read_samples_csv(path)


def test_a_missing_and_an_unreadable_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"gpu\.csv is missing"):
        read_samples_csv(tmp_path / "gpu.csv")
    (tmp_path / "gpu.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(RecordError, match=r"gpu\.csv is damaged"):
        read_samples_csv(tmp_path / "gpu.csv")


@pytest.mark.parametrize(("source", "header"), [("nvml", GPU_HEADER), ("psutil", HOST_HEADER)])
def test_columns_are_those_of_the_first_versions_in_their_order(source: str, header: str) -> None:
    """Versions before the table of metrics read no other file; a new metric is a column behind these."""
    assert ",".join(["timestamp_s", *(metric.name for metric in METRICS[source])]).startswith(header)


def test_a_file_of_the_first_versions_is_read(tmp_path: Path) -> None:
    path = tmp_path / "gpu.csv"
    path.write_text(f"{GPU_HEADER}\n1.5,80.0,20.0,2.0,300.0,2.5,1800.0,,60.0,36,0\n")
    (sample,) = read_samples_csv(path)
    assert (sample.timestamp_s, sample["power_w"], sample["memory_clock_mhz"]) == (1.5, 300.0, None)
    assert (sample["throttle_reasons"], type(sample["throttle_reasons"])) == (36, int)


def test_a_column_that_a_file_lacks_was_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "host.csv"
    path.write_text("rss_gib,timestamp_s\n2.0,1.5\n")
    (sample,) = read_samples_csv(path)
    assert (sample.timestamp_s, sample["rss_gib"], sample["swap_used_gib"]) == (1.5, 2.0, None)
    assert [metric.name for metric in measured_metrics([sample])] == ["rss_gib"]


def test_a_column_of_another_version_is_kept_and_none_of_its_cells_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "host.csv"
    path.write_text(f"{HOST_HEADER},fans_rpm,mood\n1,,2.0,,,,900,fine\n2,,2.0,,,,nan,\n")
    samples = read_samples_csv(path)
    assert [(sample["fans_rpm"], sample["mood"]) for sample in samples] == [(900.0, None), (None, None)]
    measured = measured_metrics(samples)
    assert [(metric.name, metric.panel, metric.in_report) for metric in measured] == [
        ("rss_gib", "memory", True),
        ("fans_rpm", "fans_rpm", False),
    ]
    write_samples_csv(path, samples)
    assert read_samples_csv(path) == samples


def test_throttling_is_shown_as_a_share_of_the_samples_that_know() -> None:
    readings = [0x4, 0x4 | 0x20, 0x1, 0x0, None]
    samples = [Sample(timestamp_s=float(t), values={"throttle_reasons": bits}) for t, bits in enumerate(readings)]
    assert throttle_reason_shares(samples) == {"sw_power_cap": 0.5, "sw_thermal_slowdown": 0.25}
    assert throttle_reason_shares(samples[2:4]) == {}
    assert throttle_reason_shares(samples[4:]) is None


def test_samples_in_pauses_are_no_part_of_the_training() -> None:
    samples = [Sample(timestamp_s=float(t), values={}) for t in range(10)]
    stretches_s = stretches_between(1.0, 8.5, [(5.5, 5.8), (2.5, 4.5)])
    assert stretches_s == [(1.0, 2.5), (4.5, 5.5), (5.8, 8.5)]
    assert [[s.timestamp_s for s in part] for part in cut_samples(samples, stretches_s)] == [[1, 2], [5], [6, 7, 8]]
    assert stretches_between(1.0, 8.5, ()) == [(1.0, 8.5)]
    assert cut_samples(samples, [(0.2, 0.8)]) == []
