"""The dashboard in headless Chromium: every tab, with the keyboard, in both themes, and not a request to elsewhere."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from torch.profiler import ProfilerActivity, profile

from harness.records.store import ANALYSIS_FILE
from reports.dashboard import perfetto
from reports.dashboard.serve import start_tensorboard

TABS = ["verdicts", "time", "kernels", "epochs", "samples", "trace"]
INJECTION = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="Chromium is not here (apt-get install chromium chromium-driver)",
)


@pytest.fixture(scope="module")
def shown_run(explained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything, a small real trace too, and a name that would be markup if it were taken for some."""
    run = Path(shutil.copytree(explained_run, tmp_path_factory.mktemp("browser") / "shown"))
    path = run / ANALYSIS_FILE
    analysis = json.loads(path.read_text(encoding="utf-8"))
    analysis["contenders"][-1]["reasons"] = [{"rule": "x", "text": INJECTION, "numbers": {}}]
    path.write_text(json.dumps(analysis), encoding="utf-8")
    trace = run / "trials/baseline/profile/trace/baseline.pt.trace.json.gz"
    trace.parent.mkdir(parents=True, exist_ok=True)
    with profile(activities=[ProfilerActivity.CPU]) as session:
        torch.ones(8, 8) @ torch.ones(8, 8)
    plain = trace.with_suffix("")
    session.export_chrome_trace(str(plain))
    trace.write_bytes(gzip.compress(plain.read_bytes()))
    return run


class Dashboard:
    """The page, and what a user does there."""

    def __init__(self, browser: Any, address: str) -> None:
        self.browser = browser
        self._address = address

    def open(self) -> None:
        """Load TensorBoard at the dashboard's tab and step into its frame."""
        self.browser.get("about:blank")
        self.browser.get(f"{self._address}#speedproof")
        frame = self.wait(lambda: self.browser.find_elements(By.CSS_SELECTOR, "iframe[src*='name=speedproof']"))[0]
        self.browser.switch_to.frame(frame)
        self.wait(lambda: self.all("[role=tab]"))

    def wait(self, condition: Callable[[], Any], timeout_s: float = 90) -> Any:
        return WebDriverWait(self.browser, timeout_s).until(lambda _: condition())

    def all(self, selector: str) -> list[Any]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def show(self, tab: str) -> Any:
        """Open a tab and return its panel once it is filled."""
        self.browser.find_element(By.ID, f"tab-{tab}").click()
        panel = self.browser.find_element(By.ID, f"panel-{tab}")
        self.wait(lambda: panel.get_attribute("aria-busy") is None and panel.text)
        return panel

    def errors(self) -> list[str]:
        """Return the console's errors since the last call."""
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]

    def theme(self) -> str:
        return self.run("return document.documentElement.dataset.theme")

    def run(self, script: str) -> Any:
        return self.browser.execute_script(script)


@pytest.fixture(scope="module")
def address(shown_run: Path) -> str:
    """TensorBoard on the run."""
    return start_tensorboard(shown_run / "tensorboard", 0)


@pytest.fixture(scope="module")
def browser(chromium: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser for all tests that don't need one of their own."""
    started = chromium.start_chromium(tmp_path_factory.mktemp("profile"))
    yield started
    started.quit()


@pytest.fixture
def page(browser: Any, address: str) -> Dashboard:
    dashboard = Dashboard(browser, address)
    dashboard.open()
    return dashboard


def test_every_tab_renders_without_error_and_without_a_request_to_elsewhere(
    chromium: ModuleType, address: str, tmp_path: Path
) -> None:
    browser = chromium.start_chromium(tmp_path)
    try:
        page = Dashboard(browser, address)
        page.open()
        check_tabs(page)
        assert page.errors() == []
        if perfetto.find_perfetto() is not None:
            check_trace(page)
            assert [error for error in page.errors() if not is_refusal(error)] == []
    finally:
        browser.quit()
    asked = chromium.requests_of_pages(tmp_path)
    assert f"{address}data/plugin/speedproof/static/index.js" in asked
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def check_tabs(page: Dashboard) -> None:
    """Open each tab but the trace and look for what it is there for."""
    verdicts = page.show("verdicts")
    assert "amp_bf16" in page.browser.find_element(By.CSS_SELECTOR, ".result").text
    assert len(verdicts.find_elements(By.CSS_SELECTOR, "tbody > tr:not(.more)")) == 5
    charts = {"time": 3, "epochs": 3, "samples": 3}
    for tab in TABS[:-1]:
        panel = page.show(tab)
        page.wait(lambda tab=tab: len(page.all(f"#panel-{tab} figure svg[role=img]")) == charts.get(tab, 0))
        assert "undefined" not in panel.text
        assert "NaN" not in panel.text
    assert page.all(".problem") == []


def check_trace(page: Dashboard) -> None:
    """Open the trace and wait until Perfetto shows its tracks."""
    page.show("trace")
    page.browser.switch_to.frame(page.browser.find_element(By.CSS_SELECTOR, "iframe.perfetto"))
    page.wait(lambda: page.all(".pf-track__title"))


def is_refusal(error: str) -> bool:
    """Perfetto tries two addresses elsewhere; TensorBoard's policy stops them, and Chromium calls that an error."""
    return "Content Security Policy" in error or "Content-Security-Policy" in error


def test_tabs_are_walked_with_the_arrow_keys(page: Dashboard) -> None:
    tabs = page.all("[role=tab]")
    assert [tab.get_attribute("tabindex") for tab in tabs] == ["0", *["-1"] * 5]
    tabs[0].send_keys(Keys.ARROW_RIGHT)
    assert page.run("return document.activeElement.id") == "tab-time"
    assert page.browser.find_element(By.ID, "panel-time").is_displayed()
    assert not page.browser.find_element(By.ID, "panel-verdicts").is_displayed()
    tabs[1].send_keys(Keys.HOME)
    tabs[0].send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert [tab.get_attribute("aria-selected") for tab in tabs] == ["false"] * 4 + ["true", "false"]


def test_reasons_open_with_the_keyboard_and_are_text(page: Dashboard) -> None:
    button = page.show("verdicts").find_elements(By.CSS_SELECTOR, ".expand")[-1]
    button.send_keys(Keys.ENTER)
    row = page.browser.find_element(By.ID, button.get_attribute("aria-controls"))
    assert button.get_attribute("aria-expanded") == "true"
    assert INJECTION in row.text
    assert page.all("img") == []


def test_kernels_are_sorted_searched_and_compared(page: Dashboard) -> None:
    panel = page.show("kernels")
    names = lambda: [cell.text for cell in panel.find_elements(By.CSS_SELECTOR, "tbody th")]  # noqa: E731
    assert names()[0] == "aten::matmul_0"
    page.browser.find_element(By.CSS_SELECTOR, "[data-sort=difference]").click()
    page.browser.find_element(By.CSS_SELECTOR, "[data-sort=difference]").click()
    assert panel.find_element(By.CSS_SELECTOR, "[aria-sort=ascending]").text.startswith("Difference")
    assert panel.find_element(By.CSS_SELECTOR, "tbody tr").text.endswith("−57.0 ms")
    panel.find_element(By.CSS_SELECTOR, "input").send_keys("optimizer")
    assert set(names()) == {"aten::optimizer_0", "aten::optimizer_1", "aten::optimizer_2"}
    assert panel.find_element(By.CSS_SELECTOR, "[role=status]").text.startswith("3 operators")
    Select(panel.find_elements(By.CSS_SELECTOR, "select")[1]).select_by_value("fused_adamw+sdpa")
    assert "fused_adamw+sdpa" in panel.find_element(By.CSS_SELECTOR, "thead").text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_follows_the_theme_and_fits_narrow_windows(page: Dashboard, theme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    page.open()
    assert page.theme() == theme
    for width in (1280, 800):
        page.browser.set_window_size(width, 900)
        for tab in TABS[:-1]:
            page.show(tab)
            assert page.run("return document.documentElement.scrollWidth - innerWidth") <= 0, (tab, width)
            too_wide = "return [...document.querySelectorAll('.scroll')].some((e) => e.scrollWidth > e.clientWidth + 1)"
            assert not page.run(too_wide), (tab, width)


def test_follows_tensorboards_own_switch(page: Dashboard) -> None:
    before = page.theme()
    page.run("parent.document.body.classList.toggle('dark-mode')")
    page.wait(lambda: page.theme() != before, timeout_s=10)
    page.run("parent.document.body.classList.toggle('dark-mode')")
    page.wait(lambda: page.theme() == before, timeout_s=10)


def test_charts_and_tables_can_be_read_aloud(page: Dashboard) -> None:
    for tab in TABS[:-1]:
        page.show(tab)
    assert page.run("return document.documentElement.lang") == "en"
    assert page.run("return [...document.querySelectorAll('svg')].every((e) => e.ariaHidden || e.ariaLabel)")
    assert page.run("return [...document.querySelectorAll('table')].every((e) => e.caption.textContent)")
    assert page.run("return [...document.querySelectorAll('th')].every((e) => e.scope)")
    assert page.run("return [...document.querySelectorAll('select, input')].every((e) => e.labels.length)")
