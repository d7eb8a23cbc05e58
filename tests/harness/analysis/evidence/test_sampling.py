"""What samples say together: summaries by the table of metrics, and whether an energy can be trusted."""

from __future__ import annotations

import pytest

from harness.analysis.evidence.sampling import summarise_metrics, trusted_energy
from harness.measurement.energy import integrate_w
from harness.measurement.metrics import METRICS, NOT_THROTTLING
from harness.measurement.samples import Sample


def sample(timestamp_s: float, **values: float | None) -> Sample:
    return Sample(timestamp_s=timestamp_s, values=dict(values))


def known_summaries(source: str, samples: list[Sample]) -> dict[str, float]:
    values = summarise_metrics(METRICS[source], [samples])
    return {name: value for name, value in values.items() if value is not None}


def make_energy_samples(*, counter_w: float, power_w: float, seconds: int) -> list[Sample]:
    return [sample(100.0 + t, power_w=power_w, energy_j=5000.0 + counter_w * t) for t in range(seconds + 1)]


def test_energies_that_agree_need_no_note_and_the_counter_counts() -> None:
    assert trusted_energy([make_energy_samples(counter_w=100.0, power_w=110.0, seconds=4)], 4.2) == (400.0, None)


def test_energies_that_disagree_are_said_to() -> None:
    assert trusted_energy([make_energy_samples(counter_w=187.0, power_w=327.0, seconds=4)], 4.2) == (
        None,
        "the energy counter (748 J) and integrated power (1308 J) disagree by 43% of the larger",
    )


def test_a_window_too_short_for_the_energy_counter_is_said_to_be() -> None:
    energy_j, note = trusted_energy([make_energy_samples(counter_w=187.0, power_w=327.0, seconds=1)], 1.2)
    assert energy_j is None
    assert note is not None
    assert note.startswith("too short: 1 s")


def test_power_is_integrated_by_trapezoids_over_uneven_and_missing_readings() -> None:
    readings = [(0.0, 100.0), (1.0, 200.0), (2.0, None), (4.0, 100.0)]
    assert integrate_w(readings) == 150.0 + 450.0
    assert trusted_energy([[sample(t, power_w=power_w) for t, power_w in readings]], 4.0) == (600.0, None)


def test_an_energy_counter_that_was_set_back_gives_no_energy() -> None:
    assert trusted_energy([[sample(0.0, energy_j=900.0), sample(5.0, energy_j=10.0)]], 5.0) == (None, None)


def test_energy_between_audits_is_scaled_to_the_time_trained_and_what_audits_took_is_not_in_it() -> None:
    def stretch(begin_s: float, end_s: float, counter_j: float) -> list[Sample]:
        end_j = counter_j + 100.0 * (end_s - begin_s)
        return [sample(begin_s, power_w=100.0, energy_j=counter_j), sample(end_s, power_w=100.0, energy_j=end_j)]

    audited = [stretch(0.1, 4.0, 0.0), stretch(9.0, 13.0, 3000.0), [sample(20.0, power_w=100.0, energy_j=9000.0)]]
    energy_j, note = trusted_energy(audited, 8.5)
    assert (energy_j, note) == (pytest.approx(850.0), None)
    hardly_seen = trusted_energy(audited, 20.0)
    assert hardly_seen == (None, "of 20 s of training the sampler saw 7.9 s between audits")


def test_idle_and_chosen_clocks_are_not_throttling() -> None:
    samples = [sample(float(t), throttle_reasons=bits) for t, bits in enumerate([0, 1, 2, 3])]
    assert summarise_metrics(METRICS["nvml"], [samples])["throttled_share"] == 0.0
    assert {"gpu_idle", "applications_clocks_setting"} == NOT_THROTTLING


def test_the_throttled_share_is_one_of_the_samples_that_know() -> None:
    samples = [sample(float(t), throttle_reasons=bits) for t, bits in enumerate([0x4, 0x4 | 0x20, 0x1, 0x0, None])]
    assert summarise_metrics(METRICS["nvml"], [samples])["throttled_share"] == 0.5


def test_gpu_summary_ignores_what_was_not_measured() -> None:
    samples = [
        sample(0.0, gpu_utilisation_percent=50.0, sm_clock_mhz=1000.0, temperature_c=60.0),
        sample(1.0),
        sample(2.0, gpu_utilisation_percent=100.0, sm_clock_mhz=900.0, other_processes=2, power_w=9.0),
    ]
    assert known_summaries("nvml", samples) == {
        "mean_gpu_utilisation_percent": 75.0,
        "max_gpu_utilisation_percent": 100.0,
        "min_sm_clock_mhz": 900.0,
        "max_sm_clock_mhz": 1000.0,
        "max_temperature_c": 60.0,
        "max_other_processes": 2.0,
        "mean_power_w": 9.0,
    }


@pytest.mark.parametrize("source", METRICS)
@pytest.mark.parametrize("samples", [[], [Sample(timestamp_s=1.0, values={})]], ids=["no samples", "nothing measured"])
def test_a_summary_of_nothing_is_none_and_never_zero(source: str, samples: list[Sample]) -> None:
    values = summarise_metrics(METRICS[source], [samples])
    assert len(values) > 5
    assert set(values.values()) == {None}
    assert trusted_energy([samples], 1.0) == (None, None)


def test_host_summary_ignores_what_was_not_measured() -> None:
    samples = [
        sample(0.0, rss_gib=1.0, swap_used_gib=0.5),
        sample(2.0, process_cpu_percent=150.0, system_cpu_percent=90.0, rss_gib=2.0),
        sample(4.0, process_cpu_percent=50.0, system_cpu_percent=70.0, load_average_1min=3.0, swap_used_gib=0.75),
    ]
    assert known_summaries("psutil", samples) == {
        "mean_process_cpu_percent": 100.0,
        "max_process_cpu_percent": 150.0,
        "mean_system_cpu_percent": 80.0,
        "max_system_cpu_percent": 90.0,
        "max_rss_gib": 2.0,
        "max_load_average_1min": 3.0,
        "max_swap_used_gib": 0.75,
        "max_swap_growth_gib": 0.25,
    }


def test_over_jobs_means_are_averaged_and_extremes_stay_extremes() -> None:
    jobs = [[sample(0.0, sm_clock_mhz=1000.0, power_w=100.0)], [sample(0.0, sm_clock_mhz=900.0, power_w=200.0)], []]
    values = summarise_metrics(METRICS["nvml"], jobs)
    assert (values["mean_power_w"], values["min_sm_clock_mhz"], values["max_sm_clock_mhz"]) == (150.0, 900.0, 1000.0)
