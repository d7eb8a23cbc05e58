"""report.md: what it says, and that it stays a document when others' texts are nasty.

After a wanted change: `UPDATE_GOLDEN=1 pytest tests/reports/test_markdown.py`, then read the difference in
`golden/report.md`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import markdown
import pytest

from harness.storage import TRIAL_FILE
from reports.markdown import render_markdown

GOLDEN = Path(__file__).parent / "golden" / "report.md"
FIGURES = ("speedup", "phases", "epochs", "samples")


def test_golden_report(make_run: Any, analysed: Any) -> None:
    text = render_markdown(analysed(make_run()), FIGURES)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


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
def test_every_table_is_whole_and_renders(make_run: Any, analysed: Any, options: dict[str, Any]) -> None:
    text = render_markdown(analysed(make_run(**options)), FIGURES)
    for lines in tables(text):
        assert len({line.count(" | ") for line in lines[2:]} | {lines[0].count(" | ")}) == 1, lines
    rendered = markdown.markdown(text, extensions=["tables", "fenced_code"])
    assert rendered.count("<table>") == len(tables(text))
    body = rendered.split("<pre>")[0]
    assert "| " not in body
    assert "**" not in body
    assert "None" not in text
    assert "nan" not in text.lower().split()


def test_first_lines_answer_the_question(make_run: Any, analysed: Any) -> None:
    text = render_markdown(analysed(make_run(seeds=1)))
    sentence = text.splitlines()[2]
    assert sentence.startswith("**1 of 4 accepted. Best: `fused_adamw+sdpa`, job 1.1")
    assert "quality holds by equivalence" in sentence
    assert "INCONCLUSIVE: `amp_bf16`" in sentence
    assert "One seed says nothing of what another would give" in text


def test_energy_and_memory_say_what_they_are(make_run: Any, analysed: Any) -> None:
    cpu, gpu = (render_markdown(analysed(make_run(str(on_gpu), gpu=on_gpu))) for on_gpu in (False, True))
    assert "| 1.47 GiB | not measured |" in cpu
    assert "it needs NVML (no NVIDIA driver was found)" in cpu
    assert "resident memory" in cpu
    assert "| 3.21 GiB | 8000 J |" in gpu
    assert "tensors on the device" in gpu
    assert "Sampler: NVML." in gpu
    assert "GPU utilisation 90 %" in gpu


def test_failed_and_not_applicable_have_no_numbers(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    text = render_markdown(analysed(make_run()))
    for name, verdict in (("channels_last", "NOT_APPLICABLE"), ("compile", "FAILED")):
        assert f"| `{name}` | {verdict} | – | – | – | – | – | – |" in text.replace("\\_", "_")
    assert recorded.NOT_APPLICABLE_REASON in text
    rendered = markdown.markdown(text, extensions=["tables"])
    assert "bad `shape` [3, 4] | expected &lt;4, 3&gt; for __init__ *now*" in rendered.replace("&#124;", "|")


def test_long_errors_become_one_line(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    run = make_run()
    for seed in (0, 1):
        recorded.record_outcome(run, "compile", seed, "failed", "E: " + "x" * 5000 + "\n\n# not a heading")
    text = render_markdown(analysed(run))
    assert "# not a heading" not in text
    assert max(len(line) for line in text.splitlines()) < 1500
    assert "`log.txt` below `trials/compile/`" in text


def test_unequal_work_is_prominent_and_never_the_fastest(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    run = make_run()
    for seed in (0, 1):
        recorded.edit_trial(run, f"amp_bf16/{seed}", lambda data: data["work"].update(windows=192))
    text = render_markdown(analysed(run))
    assert text.splitlines()[2].startswith("**1 of 4 accepted. Best: `fused_adamw+sdpa`")
    assert "`amp_bf16` **REJECTED**: unequal work: trained on 192 windows, the baseline on 384." in text
    assert "| `amp_bf16` | REJECTED |" in text


def test_jobs_that_contradict_segments_leave_nothing_accepted(
    make_run: Any, analysed: Any, recorded: ModuleType
) -> None:
    run = make_run(seeds=1)
    for name in ("amp_bf16", "fused_adamw+sdpa"):
        recorded.edit_trial(run, f"{name}/0", lambda data: data.update(job_time_s=40.0))
    text = render_markdown(analysed(run))
    assert text.splitlines()[2].startswith("**Nothing is accepted. INCONCLUSIVE: `amp_bf16`, `fused_adamw+sdpa`;")
    assert "segments and jobs contradict each other" in text


def test_reports_of_broken_runs(make_run: Any, analysed: Any) -> None:
    run = make_run()
    (run / "trials/amp_bf16/1" / TRIAL_FILE).write_text("{", encoding="utf-8")
    shutil.rmtree(run / "trials/fused_adamw+sdpa")
    text = render_markdown(analysed(run))
    assert "- Left out: trials/amp\\_bf16/1/trial.json is damaged" in text.replace("amp_bf16", "amp\\_bf16")
    assert "| `fused_adamw+sdpa` | not run |" in text
    shutil.rmtree(run / "trials/baseline")
    text = render_markdown(analysed(run))
    assert text.splitlines()[2] == "**No speedups: there is no whole baseline job to compare with.**"
    assert "> **Careful:** There is no whole baseline job" in text
    assert "| `amp_bf16` | INCONCLUSIVE | not measured | not measured |" in text
    shutil.rmtree(run / "trials")
    text = render_markdown(analysed(run))
    assert "No whole fine-tuning ended" in text
    for lines in tables(text):
        assert len(lines) > 2


def test_comparability_is_always_stated(make_run: Any, analysed: Any) -> None:
    from harness.config import preset, to_dict
    from reports.reference import comparability

    assert "**Not comparable with this run**" in render_markdown(analysed(make_run()))
    assert "times only as an order of magnitude" in comparability(to_dict(preset("seed")))


def test_profiler_overhead_is_stated(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    run = make_run()
    assert "profiler overhead" in render_markdown(analysed(run))
    recorded.edit_trial(run, "baseline/profile", lambda data: data["profile"].update(active_time_s=0.3))
    assert "the difference is noise" in render_markdown(analysed(run))


def test_command_can_not_break_out_of_its_fence(make_run: Any, analysed: Any) -> None:
    from dataclasses import replace

    analysis = analysed(make_run())
    analysis = replace(analysis, run=replace(analysis.run, command="speedproof run '\n```\n# heading'"))
    rendered = markdown.markdown(render_markdown(analysis), extensions=["tables", "fenced_code"])
    assert "<h1>heading" not in rendered


def test_configuration_can_be_read_back() -> None:
    import sys

    from harness.config import from_dict, preset, to_dict
    from reports.toml import to_toml

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    for name in ("seed", "quick", "smoke"):
        config = preset(name)
        assert from_dict(tomllib.loads(to_toml(to_dict(config)))) == config
