"""A headless Chromium for the tests of the dashboard, and what its pages asked other machines for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
"""Chromium asks its makers for updates all the same; the last flag lets it find nobody."""

NETWORK_LOG = "network.json"


def start_chromium(profile: Path) -> webdriver.Chrome:
    """Start Chromium with an empty profile; its network log lies in the profile, whole once it has quit."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument(f"--log-net-log={profile / NETWORK_LOG}")
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def requests_of_pages(profile: Path) -> list[str]:
    """Return the addresses that pages, their frames and their workers asked for, without Chromium's own requests."""
    log = json.loads((profile / NETWORK_LOG).read_text(encoding="utf-8"))
    start = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    started = [event.get("params", {}) for event in log["events"] if event["type"] == start]
    return [request["url"] for request in started if "url" in request and request["initiator"] != "not an origin"]
