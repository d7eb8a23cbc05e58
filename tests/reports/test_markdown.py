"""report.md: what it says, and that it stays a document when others' texts are nasty."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, replace
from types import ModuleType
from typing import Any

import pytest
from markdown_it import MarkdownIt

from harness.records.store import RUN_FILE, TRIAL_FILE
from harness.records.trial import MetricRecord, ScoringRecord
from reports import reference

FIGURES = {"speedup", "phases", "epochs", "samples", "speedup-amp_bf16", "speedup-baseline"}


def to_html(text: str) -> str:
    """Return the Markdown as GitHub would show it: tables and strike-through, and raw HTML as it is."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


def tables(text: str) -> list[list[str]]:
    """Return the lines of each table."""
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [lines for lines in found if lines]


@pytest.mark.parametrize("options", [{}, {"seeds": 1}, {"gpu": True}, {"gpu": True, "seeds": 1}])
def test_every_table_is_whole_and_renders(make_run: Any, analysed: Any, render: Any, options: dict[str, Any]) -> None:
    text = render(analysed(make_run(**options)), FIGURES)
    for lines in tables(text):
        assert len({line.count(" | ") for line in lines}) == 1, lines
    rendered = to_html(text)
    assert rendered.count("<table>") == len(tables(text)) > 8
    body = rendered.split("<pre>")[0]
    assert "<p>|" not in body
    assert "**" not in body
    assert "None" not in text
    assert "nan" not in text.lower().split()


@pytest.mark.parametrize("gpu", [False, True])
def test_there_is_no_raw_html(make_run: Any, analysed: Any, render: Any, explained: ModuleType, gpu: bool) -> None:
    text = render(explained.explain(analysed(make_run(gpu=gpu))), FIGURES)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    everything = [inner for token in tokens for inner in (token, *(token.children or ()))]
    assert [token.content for token in everything if token.type in ("html_block", "html_inline")] == []
    assert any(token.type == "table_open" for token in everything)


def test_first_lines_answer_the_question(make_run: Any, analysed: Any, render: Any) -> None:
    text = render(analysed(make_run(seeds=1)))
    sentence = text.splitlines()[2]
    assert sentence.startswith("**Switch on `fused_adamw+sdpa`: job 1.10")
    assert ", same updates; in a job of 1,000 steps 1.24" in sentence
    assert "`amp_bf16` (job 1.20×, step 1.60×) is faster, quality open." in sentence
    assert text.index("| `amp_bf16` | FASTER |") < text.index("\n## ")
    assert "One seed says nothing of what another would give" in text


def test_a_stack_is_judged_by_its_name(make_run: Any, analysed: Any, render: Any) -> None:
    text = render(analysed(make_run()))
    assert text.splitlines()[2].startswith("**Switch on `amp_bf16`: job 1.20")
    assert "step 1.60×, F1 +0.8 (−0.4 to +2.0) points" in text
    assert "| `fused_adamw` + `sdpa` | **ACCEPTED** |" in text


def test_energy_and_memory_say_what_they_are(make_run: Any, analysed: Any, render: Any) -> None:
    cpu, gpu = (render(analysed(make_run(str(on_gpu), gpu=on_gpu))) for on_gpu in (False, True))
    assert "| 1.47 GiB |" in cpu
    assert " Energy |" not in cpu
    assert "it needs NVML (no NVIDIA driver was found)" in cpu
    assert "resident memory" in cpu
    assert "| 3.21 GiB | 8000 J |" in gpu
    assert "tensors on the device" in gpu
    assert "Sampler: NVML." in gpu
    assert "GPU utilisation 90 %" in gpu


def test_settings_of_the_gpu_and_its_energy_are_shown(
    make_run: Any, analysed: Any, recorded: ModuleType, render: Any
) -> None:
    run = make_run(gpu=True)
    head = json.loads((run / RUN_FILE).read_text(encoding="utf-8"))
    head["environment"]["gpu_settings"] = {
        "power_limit_w": 700.0, "max_sm_clock_mhz": 1980.0, "ecc": True, "mig": False, "is_slice": False,
        "compute_mode": None, "driver_version": "999.01",
    }  # fmt: skip
    (run / RUN_FILE).write_text(json.dumps(head), encoding="utf-8")
    use = {
        "energy_j": 1500.0, "integrated_j": 1530.0, "window_s": 3.0, "error_s": 0.01, "segment_s": 3.2,
        "windows": 640, "useful_tokens": 115_200,
    }  # fmt: skip
    energy = {"baseline": use | {"windows": 160, "useful_tokens": 28_800}, "contender": use,
              "epoch_windows": 1000, "power_source": "instant"}  # fmt: skip
    recorded.edit_trial(run, "amp_bf16/speed", lambda data: data["speed"].update(energy=energy))
    text = render(analysed(run))
    assert "power limit 700 W, SM clock up to 1980 MHz, ECC on, MIG off, driver 999.01" in text
    assert "scaled from these samples by the number of windows" in text
    assert "| `amp_bf16` | 2500 J ± 0.3 % | 10 kJ | 4.00× | 13.9 mJ | 55.6 mJ | 500 W (baseline 500 W) |" in text
    without = render(analysed(make_run("without", gpu=True)))
    assert "GPU settings" not in without
    assert "Energy of training" not in without


def test_failed_and_not_applicable_have_no_numbers(
    make_run: Any, analysed: Any, recorded: ModuleType, render: Any
) -> None:
    text = render(analysed(make_run()))
    for name, verdict in (("channels_last", "NOT_APPLICABLE"), ("compile", "FAILED")):
        assert f"| `{name}` | {verdict} | – | – | – | – | – | – |" in text
    assert recorded.NOT_APPLICABLE_REASON in text
    rendered = to_html(text)
    assert "bad `shape` [3, 4] | expected &lt;4, 3&gt; for __init__ *now*" in rendered


def test_long_errors_become_one_line(make_run: Any, analysed: Any, recorded: ModuleType, render: Any) -> None:
    run = make_run()
    for seed in (0, 1):
        recorded.record_outcome(run, "compile", seed, "failed", "E: " + "x" * 5000 + "\n\n# not a heading")
    text = render(analysed(run))
    assert "# not a heading" not in text
    assert max(len(line) for line in text.splitlines()) < 1500
    assert "`log.txt` below `trials/compile/`" in text


def test_unequal_work_is_prominent_and_never_the_fastest(
    make_run: Any, analysed: Any, recorded: ModuleType, render: Any
) -> None:
    run = make_run()
    for seed in (0, 1):
        recorded.edit_trial(run, f"amp_bf16/{seed}", lambda data: data["work"].update(windows=192))
    text = render(analysed(run))
    assert text.splitlines()[2].startswith("**Switch on `fused_adamw+sdpa`:")
    assert "`amp_bf16` **REJECTED**: unequal work: trained on 192 windows, the baseline on 384." in text
    assert "| `amp_bf16` | REJECTED |" in text


def test_jobs_that_contradict_segments_leave_nothing_accepted(
    make_run: Any, analysed: Any, recorded: ModuleType, render: Any
) -> None:
    run = make_run(seeds=1)
    for name in ("amp_bf16", "fused_adamw+sdpa"):
        recorded.edit_trial(run, f"{name}/0", lambda data: data.update(job_time_s=40.0))
    text = render(analysed(run))
    assert text.splitlines()[2].startswith(
        "**Switch on nothing yet. `amp_bf16` (job 1.18× to 1.23×) and `fused_adamw+sdpa` (job 1.07× to 1.12×) are "
        "unclear."
    )
    assert "segments and jobs contradict each other" in text


def test_reports_of_broken_runs(make_run: Any, analysed: Any, render: Any) -> None:
    run = make_run()
    (run / "trials/amp_bf16/1" / TRIAL_FILE).write_text("{", encoding="utf-8")
    shutil.rmtree(run / "trials/fused_adamw+sdpa")
    text = render(analysed(run))
    assert "> **Careful:** this run is not complete: 5 of 16 planned trials have no readable record." in text
    assert "- Left out: trials/amp\\_bf16/1/trial.json is damaged" in text.replace("amp_bf16", "amp\\_bf16")
    assert "| `fused_adamw` + `sdpa` | NOT_MEASURED | – |" in text
    shutil.rmtree(run / "trials/baseline")
    text = render(analysed(run))
    assert text.splitlines()[2] == "**No speedups: there is no whole baseline job to compare with.**"
    assert "> **Careful:** There is no whole baseline job" in text
    assert "| `amp_bf16` | NOT_MEASURED | not measured | open | not measured |" in text
    shutil.rmtree(run / "trials")
    text = render(analysed(run))
    assert "No whole fine-tuning ended" in text
    for lines in tables(text):
        assert len(lines) > 2


def test_comparability_is_always_stated(make_run: Any, analysed: Any, render: Any) -> None:
    from harness.presets import preset

    assert "**Not comparable with this run**" in render(analysed(make_run()))
    assert "are the same" in reference.comparability(asdict(preset("seed")))
    analysis = analysed(make_run("same"))
    same = replace(analysis, run=replace(analysis.run, config=asdict(preset("seed"))))
    assert "times only as an order of magnitude" in render(same)


def test_another_task_is_told_in_its_own_words(make_run: Any, analysed: Any, render: Any) -> None:
    analysis = analysed(make_run())
    metrics = (MetricRecord(name="accuracy", title="accuracy"), MetricRecord(name="f1", title="macro score"))
    phases = {name: 1.0 for name in analysis.baseline_contender.phases_s if name != "span_search"}
    other = replace(
        analysis,
        run=replace(analysis.run, config=analysis.run.config | {"task": "sequence_classification"}),
        scoring=ScoringRecord(metrics=metrics, headline="f1"),
        untrained=None,
        diagnosis=None,
        warnings=(),
        contenders=tuple(replace(c, reasons=(), phases_s=phases if c.evidence else {}) for c in analysis.contenders),
    )
    text = render(other, FIGURES)
    told, configuration = text.split("### The whole configuration")
    assert re.findall(r"question|passage|\bspan|stride|\bEM\b|\bF1\b|SQuAD|published", told) == []
    assert "stride" in configuration
    for words in ("validation examples", "accuracy and macro score", "Time to the baseline's macro score",
                  "\n| scoring |"):  # fmt: skip
        assert words in text
    assert "span search and scoring" in render(analysis)
    assert "*published*" in render(analysis)


def test_profiler_overhead_is_stated(make_run: Any, analysed: Any, recorded: ModuleType, render: Any) -> None:
    run = make_run()
    assert "profiler overhead" in render(analysed(run))
    recorded.edit_trial(run, "baseline/profile", lambda data: data["profile"].update(active_time_s=0.3))
    assert "the difference is noise" in render(analysed(run))


def test_command_can_not_break_out_of_its_fence(make_run: Any, analysed: Any, render: Any) -> None:
    analysis = analysed(make_run())
    analysis = replace(analysis, run=replace(analysis.run, command="speedproof run '\n```\n# heading'"))
    rendered = to_html(render(analysis))
    assert "<h1>heading" not in rendered


def test_configuration_can_be_read_back() -> None:
    import sys

    from harness.config import RunConfig
    from harness.presets import preset
    from harness.records.serialise import build
    from reports.toml import to_toml

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    for name in ("seed", "quick", "smoke"):
        config = preset(name)
        assert build(RunConfig, tomllib.loads(to_toml(asdict(config)))) == config


def test_it_says_in_which_form_the_bundled_weights_were(make_run: Any, analysed: Any, render: Any) -> None:
    analysis = analysed(make_run())
    assert "of the bundled encoder" not in render(analysis)
    data = analysis.run.data | {"model_weights": "rounded to bfloat16"}
    text = render(replace(analysis, run=replace(analysis.run, data=data)))
    assert "`bundled`, pretrained weights (of the bundled encoder, rounded to bfloat16)" in text
