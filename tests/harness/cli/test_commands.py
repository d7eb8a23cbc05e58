"""The program as a user runs it, in a subprocess."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CLOSED_HUB = {"HF_ENDPOINT": "http://127.0.0.1:9"}


def speedproof(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "harness", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "XDG_CACHE_HOME": str(cwd / "cache"),
            "COLUMNS": "200",
            **CLOSED_HUB,
            **environment,
        },
    )


def write_squad(path, contexts):
    paragraphs = [
        {
            "context": c,
            "qas": [
                {
                    "id": f"{path.stem}{i}",
                    "question": "Who came first?",
                    "answers": [{"text": c.split()[0], "answer_start": 0}],
                }
            ],
        }
        for i, c in enumerate(contexts)
    ]
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}))


def test_help_and_version_need_no_torch(tmp_path):
    code = "import sys; from harness import cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert "speedproof 0." in speedproof("--version", cwd=tmp_path).stdout
    assert "Baseline" in speedproof("run", "--help", cwd=tmp_path).stdout.replace("baseline", "Baseline")


@pytest.mark.usefixtures("needs_bundled")
def test_smoke_run_prints_the_table_and_leaves_a_report(tmp_path):
    done = speedproof(
        "run", "fused_adamw", "channels_last", "--preset", "smoke", "--epochs", "1", "--name", "first", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "fused_adamw" in done.stdout
    assert "runs/first/report.md" in done.stdout
    run = tmp_path / "runs/first"
    report = (run / "report.md").read_text()
    assert "fused_adamw" in report
    assert "no 4-D weights" in report
    analysis = json.loads((run / "analysis.json").read_text())
    assert [contender["name"] for contender in analysis["contenders"]] == ["baseline", "fused_adamw", "channels_last"]
    assert (run / "tensorboard").is_dir()
    (run / "report.md").unlink()
    again = speedproof("report", "first", cwd=tmp_path)
    assert (again.returncode, (run / "report.md").read_text()) == (0, report)


@pytest.mark.usefixtures("needs_bundled")
def test_a_run_without_reports_leaves_records_from_which_they_are_made_later(tmp_path):
    options = ("--preset", "smoke", "--epochs", "1", "--no-speed", "--no-profile", "--name", "bare", "--no-report")
    done = speedproof("run", "fused_adamw", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "run: runs/bare; its reports: speedproof report runs/bare"
    run = tmp_path / "runs/bare"
    assert {path.name for path in run.iterdir()} == {"run.json", "trials"}
    assert speedproof("report", "runs/bare", cwd=tmp_path).returncode == 0
    assert (run / "report.md").exists()


@pytest.mark.usefixtures("needs_bundled")
def test_a_run_is_extended_by_its_name_and_what_more_is_wanted(tmp_path):
    options = ("--preset", "smoke", "--epochs", "1", "--no-speed", "--no-profile", "--no-report")
    assert speedproof("run", "baseline", *options, "--name", "r", cwd=tmp_path).returncode == 0
    again = speedproof("run", "--name", "r", "--no-report", cwd=tmp_path)
    assert "nothing was measured: all that is asked for is in runs/r already" in again.stderr
    more = speedproof("run", "--name", "r", "--seeds", "2", "--no-report", cwd=tmp_path)
    assert (more.returncode, "nothing was measured" in more.stderr) == (0, False)
    assert (tmp_path / "runs/r/trials/baseline/1/trial.json").exists()
    run = json.loads((tmp_path / "runs/r/run.json").read_text())
    assert run["command"].endswith("run --name r --seeds 2 --no-report")
    assert [command.split()[:3] for command in run["earlier_commands"]] == [["speedproof", "run", "baseline"]]
    refused = speedproof("run", "--name", "r", "--worth", "0.1", cwd=tmp_path)
    assert (refused.returncode, "worth is 0.02 there, now 0.1" in refused.stderr) == (2, True)


def test_json_is_a_report(tmp_path):
    done = speedproof("run", "--preset", "smoke", "--json", "--no-report", cwd=tmp_path)
    assert done.returncode == 2
    assert "--json with --no-report" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("needs_bundled")
def test_own_files_and_json_output(tmp_path):
    write_squad(tmp_path / "train.json", [f"Person{i} came first and then others did." for i in range(24)])
    write_squad(tmp_path / "validation.json", [f"Human{i} came first and then others did." for i in range(4)])
    done = speedproof(
        "run",
        "baseline",
        "--preset",
        "smoke",
        "--train-file",
        "train.json",
        "--validation-file",
        "validation.json",
        "--no-profile",
        "--json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["contenders"][0]["epochs"][1]["epoch"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fused_adam"], "did you mean fused_adamw"),
        (["amp_bf16+amp_fp16"], "can't be combined"),
        (["--preset", "fast"], "unknown preset 'fast'"),
        (["--device", "cuda"], "finds no CUDA device"),
        (["--preset", "seed"], "hub can't be reached"),
        (["--preset", "seed"], "--preset seed-offline"),
        (["--preset", "seed-offline"], "--train-file and --validation-file"),
        (["--train-file", "none.json", "--validation-file", "none.json"], "none.json"),
        (["--train-size", "4", "--epochs", "1"], "schedule needs"),
        (["--epochs", "0"], "training.epochs is 0"),
        (["--config", "none.toml"], "none.toml can't be read"),
    ],
)
@pytest.mark.usefixtures("needs_bundled")
def test_mistakes_end_in_one_line_and_status_2(arguments, message, tmp_path):
    if "cuda" in arguments:
        import torch

        if torch.cuda.is_available():
            pytest.skip("this machine has CUDA")
    preset = [] if "--preset" in arguments else ["--preset", "smoke"]
    done = speedproof("run", *preset, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("needs_bundled")
def test_a_run_whose_baseline_fails_says_so_and_ends_with_status_1(tmp_path):
    done = speedproof("run", "baseline", "--preset", "smoke", "--timeout", "0.5", "--name", "r", cwd=tmp_path)
    assert done.returncode == 1
    assert "the baseline did not end" in done.stderr
    assert "ended after the time limit of 0.5 s" in (tmp_path / "runs/r/report.md").read_text()


@pytest.mark.usefixtures("needs_bundled")
def test_profile_prints_ledger_findings_and_the_traces_place(tmp_path):
    done = speedproof("profile", "fused_adamw", "--preset", "smoke", "--name", "p", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fused_adamw: a job of" in done.stdout
    assert "matrix products" in done.stdout
    assert "What holds it back" in done.stdout
    trace = done.stdout.rsplit("trace: ", 1)[1].strip()
    assert (tmp_path / trace).exists()
    again = speedproof("profile", "fused_adamw", "--preset", "smoke", "--name", "p", "--json", cwd=tmp_path)
    advice = json.loads(again.stdout)
    assert advice == json.loads((tmp_path / "runs/p/ledger.json").read_text())
    assert advice["ledger"]["unprofiled_step_ms"] > 0
    assert "start_up" in [finding["rule"] for finding in advice["findings"]]


@pytest.mark.usefixtures("needs_bundled")
@pytest.mark.timeout(600)
def test_the_widened_encoder_of_smallest_sizes_runs_to_its_report(tmp_path):
    data = ("--data", "generator", "--train-size", "4", "--validation-size", "2", "--max-length", "64")
    rest = (
        "--doc-stride",
        "16",
        "--batch-size",
        "4",
        "--epochs",
        "1",
        "--no-speed",
        "--no-profile",
        "--no-roof",
        "--quality-size",
        "2",
    )
    done = speedproof("run", "baseline", "--preset", "seed-offline", *data, *rest, "--name", "w", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    head = json.loads((tmp_path / "runs/w/run.json").read_text())
    assert head["model_sizes"]["parameters"] == 66_364_418
    assert head["data"]["model_weights"] == "as published"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fused_adam"], "did you mean fused_adamw"),
        (["channels_last"], "channels_last can't be profiled: DistilBertForQuestionAnswering has no 4-D weights"),
        (["--profile-steps", "400"], "schedule needs"),
    ],
)
@pytest.mark.usefixtures("needs_bundled")
def test_what_cannot_be_profiled_ends_in_one_line_and_status_2(arguments, message, tmp_path):
    done = speedproof("profile", "--preset", "smoke", "--quiet", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_malformed_json_names_file_and_place(tmp_path):
    (tmp_path / "train.json").write_text('{"data": [\n  {,}\n]}')
    (tmp_path / "validation.json").write_text("{}")
    done = speedproof(
        "run", "--preset", "smoke", "--train-file", "train.json", "--validation-file", "validation.json", cwd=tmp_path
    )
    assert done.returncode == 2
    assert "train.json" in done.stderr
    assert "line 2" in done.stderr


@pytest.mark.usefixtures("needs_bundled")
def test_list_says_what_applies_and_why_not(tmp_path):
    rows = {row["name"]: row for row in json.loads(speedproof("list", "--json", cwd=tmp_path).stdout)}
    assert rows["fused_adamw"]["reason"] is None
    assert "no 4-D weights" in rows["channels_last"]["reason"]
    assert "fused_adamw" in speedproof("list", cwd=tmp_path).stdout


def test_doctor_names_what_is_here(tmp_path):
    table = speedproof("doctor", cwd=tmp_path).stdout
    assert all(what in table for what in ("device", "NVML", "C++ compiler", "bundled model", "packages"))
    assert "GFLOP/s" not in table


def test_doctor_does_not_ask_a_hub_that_is_said_to_be_off(tmp_path):
    done = speedproof("doctor", "--json", cwd=tmp_path, HF_HUB_OFFLINE="1")
    hub = next(row for row in json.loads(done.stdout) if row["what"] == "hub")
    assert hub["found"] == "not asked: HF_HUB_OFFLINE is set"


@pytest.mark.usefixtures("needs_bundled")
def test_doctor_measures_the_roof_when_asked(tmp_path):
    done = speedproof("doctor", "--roof", "--json", cwd=tmp_path)
    findings = {row["what"]: row for row in json.loads(done.stdout)}
    assert findings["hub"]["ok"] is False
    assert findings["device"]["details"] == {}
    roof = findings["roof"]["details"]
    assert roof["matmul_tflops"]["float32"] > 0
    assert "×384×" in roof["shapes"]["float32"]
    assert roof["shapes"]["float32"] in findings["roof"]["found"]


def test_doctor_can_not_take_shapes_from_a_model_that_is_not_there(tmp_path):
    done = speedproof("doctor", "--roof", "--model", "nobody/none", cwd=tmp_path)
    assert (done.returncode, "nobody/none" in done.stderr) == (2, True)


def test_report_of_nothing_is_an_error(tmp_path):
    done = speedproof("report", "none", cwd=tmp_path)
    assert done.returncode == 2
    assert "none/run.json is missing" in done.stderr


def test_a_packed_run_is_unpacked_and_reported(tmp_path):
    packed = Path(__file__).parents[1] / "records" / "schema2"
    done = speedproof("report", str(packed), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "unpadded+fused_adamw" in (tmp_path / "runs/schema2/report.md").read_text()
    assert not (packed / "report.md").exists()
