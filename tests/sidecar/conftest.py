"""Runs the sidecar's command line on small loads and reads what it wrote."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evenground.records.samples import Header
from evenground.sidecar.cgroup import make_leaf, own_cgroup
from stand_in_driver import cuda_here, nvml_here, stand_in, stand_in_libraries

__all__ = ["cuda_here", "nvml_here", "stand_in", "stand_in_libraries"]

ROOT = Path(__file__).resolve().parents[2]
NOTE = "sidecar: note: "
# A user of whom nothing else runs: limits on processes count all of a user's.
NOBODY = 54321
BURN = """
import os, sys, time
def burn(cpu_s):
    end = time.process_time() + cpu_s
    while time.process_time() < end: pass
"""


BECOMES_ROOT = """
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
  if (setgid(0) || setuid(0)) return 1;
  usleep(argc > 1 ? atoi(argv[1]) * 1000 : 0);
  return 3;
}
"""


class Measured(NamedTuple):
    """What one sidecar left behind; `rows` maps column names to the cells as text."""

    status: int
    stdout: str
    stderr: str
    rows: list[dict[str, str]]
    header: dict[str, Any]
    notes: list[str]
    """What this user may not do, said once on standard error; not in `stderr`, so that tests hold for all."""

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
        self,
        folder: Path,
        command: list[str],
        options: list[str],
        env: dict[str, str],
        **popen: Any,
    ):
        self.folder = folder
        words = [sys.executable, "-m", "evenground.sidecar", "run", *options]
        words += [
            "--samples",
            str(folder / "samples.csv"),
            "--header",
            str(folder / "samples.json"),
        ]
        streams = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        self.process = subprocess.Popen(
            [*words, "--", *command],
            env=os.environ
            | {"PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
            | env,
            text=True,
            **(streams | popen),
        )

    def done(self) -> Measured:
        """Wait for the end and read both files."""
        out, err = self.process.communicate(timeout=30)
        return read_measured(self.process.returncode, out, err, self.folder / "samples.csv")


def read_measured(status: int, stdout: str, stderr: str, samples: Path) -> Measured:
    """What a sidecar left behind whose header lies beside its samples."""
    lines = stderr.splitlines(True)
    with samples.open(newline="") as file:
        rows = list(csv.DictReader(file))
    header = json.loads(samples.with_suffix(".json").read_text())
    if header["mode"] == "run" and header["summary"]:
        # Whatever a test measures: the model that runs are read with describes all of it.
        record = Header.parse(header, samples)
        described = record.model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert {"schema": header["schema"], **described} == header
    return Measured(
        status=status,
        stdout=stdout,
        stderr="".join(line for line in lines if not line.startswith(NOTE)),
        rows=rows,
        header=header,
        notes=[line for line in lines if line.startswith(NOTE)],
    )


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
def nvml_library(stand_in_libraries: Path) -> Path:
    """Folder that holds the stand-in libnvidia-ml.so.1, for LD_LIBRARY_PATH."""
    return stand_in_libraries


class Nobody:
    """Runs sidecars as a user without rights, in a folder of this user's with a copy of the sidecar."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "src" / "evenground" / "sidecar", folder / "evenground" / "sidecar")
        os.chown(folder, NOBODY, NOBODY)
        folder.chmod(0o755)
        self.python = next(filter(self._may_run, (sys.executable, "/usr/bin/python3")), None)
        if self.python is None:
            pytest.skip("no Python 3.11 that a user without rights may execute")

    def __call__(
        self, command: list[str], *options: str, mount: str = "", limit: str = ""
    ) -> Measured:
        """Measure a command, with something mounted first and below a limit of prlimit(1)."""
        words = self.sidecar("run", "--samples", "s.csv", *options, "--", *command)
        done = self.run(words, mount, limit)
        return read_measured(done.returncode, done.stdout, done.stderr, self.folder / "s.csv")

    def sidecar(self, *words: str) -> list[str]:
        """The words of a call of the sidecar's."""
        return [str(self.python), "-B", "-m", "evenground.sidecar", *words]

    def run(
        self, words: list[str], mount: str = "", limit: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Any command as this user."""
        became = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        # The shell has no rights left when it looks for the program; setpriv itself still has.
        command = [
            *became,
            "sh",
            "-c",
            'exec "$@"',
            "sh",
            *(["prlimit", limit] if limit else []),
            *words,
        ]
        if mount:
            command = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *command]
        env = {"PYTHONPATH": str(self.folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=60
        )

    def _may_run(self, python: str) -> bool:
        done = self.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"])
        return done.returncode == 0


@pytest.fixture
def as_nobody() -> Iterator[Nobody]:
    """Sidecars of a user without rights; skips where this user may not become another."""
    if os.getuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("becoming another user needs root and setpriv")
    with tempfile.TemporaryDirectory() as folder:
        yield Nobody(Path(folder))


@pytest.fixture
def as_root(as_nobody: Nobody) -> str:
    """A program that becomes root, sleeps for so many milliseconds, and ends with 3."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no C compiler on this machine")
    folder = as_nobody.folder
    source, program = folder / "as_root.c", folder / "as_root"
    source.write_text(BECOMES_ROOT)
    subprocess.run([compiler, "-o", str(program), str(source)], check=True)
    program.chmod(0o4755)
    if as_nobody.run([str(program)]).returncode != 3:
        pytest.skip("this file system lets no program become another user")
    return str(program)


@pytest.fixture(scope="session")
def may_mount() -> None:
    """Skips where no mount namespace may be made."""
    if not shutil.which("unshare"):
        pytest.skip("mounting needs unshare")
    tried = subprocess.run(
        ["unshare", "-m", "mount", "-t", "proc", "proc", "/proc"], capture_output=True
    )
    if tried.returncode:
        pytest.skip(f"no mount namespace here: {tried.stderr.decode(errors='replace').strip()}")


@pytest.fixture
def parent() -> Path:
    """The folder in which sidecars make their leaves; skips where they may not."""
    leaf = make_leaf()
    if isinstance(leaf, str):
        pytest.skip(f"no cgroup v2 leaf here: {leaf}")
    leaf.remove()
    here = own_cgroup(Path("/proc/self"))
    assert here is not None
    return here
