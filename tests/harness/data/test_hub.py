"""The probe of the hub: right answers, within its time, whatever is at the other end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import datasets
import pytest

from harness.data import hub
from harness.data.hub import hub_reachable, load_split
from harness.errors import DataError
from harness.experiment.process import worker_environment
from harness.presets import preset
from harness.records.serialise import override
from harness.records.spec import TrialSpec


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch) -> None:
    monkeypatch.setattr(hub, "_cached_split", lambda *_: None)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    hub._probe_remembered.cache_clear()


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent_port() -> Iterator[str]:
    """Connects, because the kernel does, but nobody ever answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


class Server:
    """A loopback HTTP server that answers every request with `status` and keeps what was asked."""

    def __init__(self, status: int = 200) -> None:
        asked = self.asked = list[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                asked.append(self.path)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever)

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def offline_for_workers() -> str | None:
    """What a worker that needs the hub is told of it."""
    config = override(preset("smoke"), {"data.source": "hub"})
    spec = TrialSpec(
        contender="baseline", seed=0, config=config, directory="d", cache_directory="c", compile_cache_directory="k"
    )
    return worker_environment(spec).get("HF_HUB_OFFLINE")


@pytest.mark.parametrize(
    ("status", "reachable"),
    [(200, True), (403, True), (404, True), (429, True), (407, False), (502, False), (503, False)],
)
def test_any_answer_of_the_hub_counts_but_not_a_proxys_that_finds_no_way(monkeypatch, status, reachable):
    with Server(status) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert hub_reachable() is reachable
        assert offline_for_workers() == (None if reachable else "1")


def test_a_closed_port_is_not_reachable(monkeypatch, closed_port):
    monkeypatch.setenv("HF_ENDPOINT", closed_port)
    assert not hub_reachable()
    assert offline_for_workers() == "1"


def test_an_address_that_never_answers_is_not_reachable(monkeypatch, silent_port):
    monkeypatch.setenv("HF_ENDPOINT", silent_port)
    assert not hub_reachable(timeout_s=0.3)


def test_a_name_server_that_never_answers_is_given_up_too(monkeypatch):
    answered, left = threading.Event(), threading.Event()

    def never(*_: object, **__: object) -> None:
        answered.wait(60)
        left.set()
        raise socket.gaierror("given up")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    assert not hub_reachable(timeout_s=0.3)
    assert not left.is_set(), "the probe must not wait for the name server"
    answered.set()
    assert left.wait(60)


@pytest.mark.parametrize("endpoint", ["not a url", "http://", "ftp://127.0.0.1", "http://127.0.0.1:99999"])
def test_an_endpoint_that_is_no_address_is_not_reachable(monkeypatch, endpoint):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert not hub_reachable()


def test_something_that_does_not_speak_http_is_not_reachable(monkeypatch):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening.getsockname()[1]}")
        assert not hub_reachable()
        thread.join()


def test_the_probe_goes_through_a_proxy(monkeypatch):
    with Server() as proxy:
        monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid/")
        monkeypatch.setenv("http_proxy", proxy.url)
        assert hub_reachable()
    assert proxy.asked[0].startswith("http://hub.invalid")


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_offline_mode_means_no_without_asking(monkeypatch, name, value):
    with Server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv(name, value)
        assert not hub_reachable()
        assert server.asked == []
        with pytest.raises(DataError, match="HF_HUB_OFFLINE"):
            load_split("x/y", "train", ())


@pytest.mark.parametrize("value", ["0", "", "false"])
def test_offline_mode_can_be_switched_off(monkeypatch, value):
    with Server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", value)
        assert hub_reachable()


def test_an_answer_is_remembered_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(hub, "_REMEMBERED_S", 1e12)
    with Server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert all(hub_reachable() for _ in range(5))
        assert len(server.asked) == 1
        monkeypatch.setattr(hub, "_REMEMBERED_S", 1e-9)
        assert hub_reachable()
        assert len(server.asked) == 2
    assert not hub_reachable()


def test_requiring_the_hub_says_what_is_missing_and_what_to_do(monkeypatch, closed_port):
    monkeypatch.setenv("HF_ENDPOINT", closed_port)
    with pytest.raises(DataError) as caught:
        load_split("rajpurkar/squad", "train", ())
    assert "can't be reached for data set rajpurkar/squad (train)" in caught.value.message
    assert closed_port in caught.value.message
    for option in ("--train-file", "--validation-file", "--data generator"):
        assert option in caught.value.remedy


def test_a_reachable_hub_is_no_error(monkeypatch):
    split = datasets.Dataset.from_dict({"text": ["a"]})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: split)
    with Server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert load_split("x/y", "train", ()).column_names == ["text"]
