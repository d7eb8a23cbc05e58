"""Audits in real runs: what turns dishonest after the equivalence check is rejected, and nothing is left behind."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.analysis.analyse import analyse
from harness.experiment import runner
from harness.experiment.listener import Listener
from harness.presets import preset
from harness.records.serialise import override
from harness.records.store import CHECKS, load_run
from reports.markdown import to_markdown
from reports.report import compose_report

FAULTS = str(Path(__file__).with_name("plugin_faults.py"))

pytestmark = pytest.mark.usefixtures("needs_bundled")


def execute(directory, listener=None, **changes):
    dotted = {"plugins": [FAULTS], "profile.enabled": False, "speed.budget_s": 0.5}
    config = override(preset("smoke"), dotted | {key.replace("__", "."): value for key, value in changes.items()})
    started_s = time.time()
    with pytest.MonkeyPatch.context() as patch:
        # Tests share their machine, and all audits of a job that is measured again count.
        patch.setattr(runner, "repeat_unusual_jobs", lambda *_: None)
        runner.execute_run(config, directory, cache_directory=None, command="c", listener=listener or Listener())
    loaded = load_run(directory)
    return loaded, analyse(loaded), time.time() - started_s


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A run in which every step of the jobs is audited."""
    contenders = ["honest", "repeats_gradients", "larger_batches"]
    return execute(tmp_path_factory.mktemp("runs") / "r", contenders=contenders, audits__per_epoch=7)


def contender(analysis, name):
    return next(one for one in analysis.contenders if one.name == name)


def test_a_strategy_that_repeats_gradients_from_the_ninth_step_on_is_rejected_by_that_step(audited):
    cheat = contender(audited[1], "repeats_gradients")
    assert cheat.verdict == "REJECTED"
    assert cheat.evidence.equivalence.problem is None
    first = next(reason.text for reason in cheat.reasons if reason.text.startswith("the audit of "))
    assert first.startswith("the audit of step 9 (epoch 2): the gradient of distilbert.")
    assert "differs from the reference by" in first
    assert any("step 9 is not what its strategies do on a fresh model" in reason.text for reason in cheat.reasons)


@pytest.mark.parametrize("name", ["baseline", "honest"])
def test_all_steps_of_an_honest_contender_are_the_references(audited, name):
    found = contender(audited[1], name).evidence.audits
    assert found.agree
    assert (found.in_jobs, found.job_steps) == (14, 14)
    # Of the baseline it is the starts that count: it is timed in few blocks.
    assert found.in_segments >= (0 if name == "baseline" else 3)
    assert found.same_random_numbers == found.audits
    assert contender(audited[1], name).verdict != "REJECTED"


def test_another_schedule_is_not_audited_and_the_report_says_so(audited):
    assert contender(audited[1], "larger_batches").evidence.audits is None
    row = next(line for line in report_of(audited[1]).splitlines() if line.startswith("| `larger_batches` | – |"))
    assert "not audited" in row


def report_of(analysis):
    text = to_markdown(compose_report(analysis))
    return text[text.index("### Audits in flight") :]


def test_the_report_says_how_surely_a_fault_is_found_and_what_it_cost(audited):
    text = report_of(audited[1])
    assert "if it touches 2.0 %" in text
    assert "GiB in each process" in text


def test_audits_are_no_part_of_the_jobs_time(audited):
    loaded, analysis, _ = audited
    for trial in loaded.trials:
        record = trial.record
        if record.kind != "job" or record.audits is None:
            continue
        # A twin is made when the job is over.
        waited_s = record.audits.cost.saving_s
        assert waited_s > 0.05
        assert record.excluded_s > waited_s
        assert sum(step.time_s for step in trial.steps) == pytest.approx(record.phases_s["training"], rel=0.5)
        assert sum(record.phases_s.values()) == pytest.approx(record.job_time_s, rel=1e-6)
        # By the parent's clock the process ran for both.
        assert abs(record.clock_error_s) < 1.0
    assert not any(reason.rule == "wrong_clock" for one in analysis.contenders for reason in one.reasons)


def test_no_step_is_left_on_the_disk(audited):
    directory = audited[0].directory
    assert not (directory / CHECKS).exists()
    assert [path for path in directory.rglob("*") if path.suffix in (".safetensors", ".unfinished")] == []


def test_without_audits_nothing_is_asked_and_the_report_says_so(tmp_path):
    loaded, analysis, _ = execute(
        tmp_path / "r", contenders=["repeats_gradients"], audits__enabled=False, speed__enabled=False
    )
    assert all(trial.record.audits is None for trial in loaded.trials)
    assert contender(analysis, "repeats_gradients").verdict != "REJECTED"
    assert "Nothing was audited (--no-audits)" in report_of(analysis)


def test_an_interrupted_run_leaves_no_step_behind(tmp_path):
    class Impatient(Listener):
        def trial_progress(self, phase, done, total):
            if phase == "training" and done == 9:
                assert (tmp_path / "r" / CHECKS / "referee").exists()
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(tmp_path / "r", Impatient(), contenders=["honest"], audits__per_epoch=7, speed__enabled=False)
    assert not (tmp_path / "r" / CHECKS).exists()
