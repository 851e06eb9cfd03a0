"""Runs the sidecar's command line on small loads and reads what it wrote."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
BURN = """
import os, sys, time
def burn(cpu_s):
    end = time.process_time() + cpu_s
    while time.process_time() < end: pass
"""


class Measured(NamedTuple):
    """What one sidecar left behind; `rows` maps column names to the cells as text."""

    status: int
    stdout: str
    stderr: str
    rows: list[dict[str, str]]
    header: dict[str, Any]

    @property
    def summary(self) -> dict[str, Any]:
        """The summary of the header file."""
        summary: dict[str, Any] = self.header["summary"]
        return summary

    def column(self, name: str) -> list[float]:
        """The cells of one column that hold a value."""
        return [float(row[name]) for row in self.rows if row[name]]


class Running:
    """A sidecar that was started; `done` waits for it."""

    def __init__(
        self, folder: Path, command: list[str], options: list[str], env: dict[str, str], **popen: Any
    ):
        self.folder = folder
        words = [sys.executable, "-m", "evenground.sidecar", "run", *options]
        words += ["--samples", str(folder / "samples.csv"), "--header", str(folder / "samples.json")]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(
            [*words, "--", *command],
            env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"} | env,
            text=True,
            **(streams | popen),
        )

    def done(self) -> Measured:
        """Wait for the end and read both files."""
        out, err = self.process.communicate(timeout=30)
        with (self.folder / "samples.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        header = json.loads((self.folder / "samples.json").read_text())
        # What this user may not do is said once; the tests below hold for every user.
        err = "".join(line for line in err.splitlines(True) if not line.startswith("sidecar: note: "))
        return Measured(self.process.returncode, out, err, rows, header)


Start = Callable[..., Running]
Measure = Callable[..., Measured]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a sidecar: start(command, *options, env={}, **popen)."""
    started: list[Running] = []

    def starter(
        command: list[str], *options: str, env: dict[str, str] | None = None, **popen: Any
    ) -> Running:
        started.append(Running(tmp_path, command, list(options), env or {}, **popen))
        return started[-1]

    yield starter
    for running in started:
        if running.process.poll() is None:
            running.process.terminate()
        with running.process:  # closes its pipes and waits
            pass


@pytest.fixture
def measure(start: Start) -> Measure:
    """Runs a sidecar to its end."""
    return lambda command, *options, **keywords: start(command, *options, **keywords).done()


@pytest.fixture
def python() -> Callable[..., list[str]]:
    """The command that runs a Python text with `burn(cpu_s)` at hand; further words are its arguments."""
    return lambda text, *words: [sys.executable, "-S", "-c", BURN + text, *map(str, words)]


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """Waits until a condition holds, fails after some seconds."""

    def waiter(condition: Callable[[], object], patience_s: float = 10.0) -> None:
        until = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < until, "it did not happen in time"
            time.sleep(0.01)

    return waiter


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Whether a process exists and is no zombie."""

    def is_alive(pid: int) -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        return state not in "ZX"

    return is_alive


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that holds the fake libnvidia-ml.so.1, for LD_LIBRARY_PATH."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    if importlib.util.find_spec("pynvml") is None:
        pytest.skip("nvidia-ml-py is not installed")
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("fake_nvml.c")
    strict = ["-Wall", "-Wextra", "-Werror"]
    words = [compiler, *strict, "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(source)]
    subprocess.run(words, check=True)
    return folder
