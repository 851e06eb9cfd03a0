"""What the steps of a GPU check share: folders, interpreters, environments, commands with a time limit."""

from __future__ import annotations

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenground import sidecar
from gpu_steps.report import Failed, Report, Skip

ROOT = Path(__file__).resolve().parents[2]
LOADS = Path(__file__).with_name("loads.py")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DRIVER = ("libcuda.so.1", "libnvidia-ml.so.1")
MIB = 2**20
READY_S = 40.0
MEASURED_AT_MOST_S = 120.0


@dataclass(frozen=True)
class Bench:
    """What one step is given."""

    folder: Path
    """Its own, empty."""
    report: Report
    card: Mapping[str, Any]
    """What the step `facts` found of the chosen card: uuid, name, total_bytes, capability."""
    pythons: Mapping[str, str]
    """Framework -> the interpreter that has it."""
    gpu: str = ""
    """The card that was asked for, where one was."""

    @property
    def uuid(self) -> str:
        """Of the chosen card; Skip where there is none."""
        if not self.card:
            raise Skip("no card is known: see the step 'facts'")
        return str(self.card["uuid"])

    def env(self, **more: str) -> dict[str, str]:
        """An environment like that of a training: the chosen card, the driver, nothing else of a caller's."""
        kept = {name: value for name, value in os.environ.items() if name.startswith("FAKE_")}
        folders = driver_folders()
        libraries = {"LD_LIBRARY_PATH": folders} if folders else {}
        fixed = {
            "PATH": SYSTEM_PATH,
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
        }
        quiet = {
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        visible = {"CUDA_VISIBLE_DEVICES": str(self.card.get("uuid", ""))}
        return {**kept, **libraries, **fixed, **quiet, **visible, **more}

    def run(self, words: Sequence[str | Path], limit_s: float = 60.0, **more: str) -> str:
        """What a command prints, with `more` in its environment; Failed where it fails or takes too long."""
        command = [str(word) for word in words]
        try:
            done = subprocess.run(
                command,
                env=self.env(**more),
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=limit_s,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed(str(error).replace(str(command), command[0])) from None
        if done.returncode:
            raise Failed(f"exit code {done.returncode}: {last_line(done.stderr + done.stdout)}")
        return done.stdout

    def smi(self, *words: str) -> str:
        """What `nvidia-smi` prints of the chosen card, or of all without words; Skip where it fails."""
        try:
            return self.run(
                [
                    shutil.which("nvidia-smi") or "nvidia-smi",
                    *words,
                    *(["-i", self.uuid] if words else []),
                ],
                20.0,
            )
        except Failed as error:
            raise Skip(f"nvidia-smi: {error}") from None

    @contextmanager
    def load(self, kind: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
        """A load of `loads.py` beside what is done meanwhile, once it computes; it is ended afterwards."""
        command = [self.pythons.get(kind, sys.executable), str(LOADS), kind, str(seconds)]
        pipe, env = subprocess.PIPE, self.env()
        with subprocess.Popen(
            command, env=env, cwd=ROOT, stdout=pipe, stderr=pipe, text=True
        ) as process:
            try:
                said = process.stdout.readline() if process.stdout else ""
                if not said.startswith("ready"):
                    rest, complaint = process.communicate(timeout=READY_S)
                    raise Failed(f"the load does not start: {last_line(said + rest + complaint)}")
                yield process
            finally:
                process.terminate()

    def beside(
        self,
        command: Sequence[str | Path],
        name: str,
        rate_hz: float = 10.0,
        variables: Mapping[str, str] | None = None,
    ) -> Measured:
        """What the sidecar measures beside a command, and what the command printed."""
        samples, printed = self.folder / f"{name}.csv", self.folder / f"{name}.log"
        with printed.open("w") as log:
            summary = sidecar.run(
                [str(word) for word in command],
                samples=samples,
                header=samples.with_suffix(".json"),
                mapped=samples.with_suffix(".map"),
                rate_hz=rate_hz,
                time_limit_s=MEASURED_AT_MOST_S,
                card=self.card.get("uuid"),
                env=self.env(**(variables or {})),
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        return Measured(samples, printed.read_text(errors="replace"), summary.exit_code)


@dataclass(frozen=True)
class Measured:
    """Rows of a sidecar, what the command printed, and its exit code, None where a signal ended it."""

    samples: Path
    printed: str
    status: int | None

    @property
    def header(self) -> dict[str, Any]:
        """What stands beside the rows."""
        found: dict[str, Any] = json.loads(self.samples.with_suffix(".json").read_text())
        return found

    def values(self, column: str, since_ns: int = 0, until_ns: int = 2**63) -> list[float]:
        """A column's values between two monotonic moments; Failed with the reason where there is none."""
        found = [value for at_ns, value in self.series(column) if since_ns <= at_ns <= until_ns]
        if not found:
            why = self.header["missing"].get(column, "no row of that time has it")
            raise Failed(f"{column}: {why}")
        return found

    def series(self, column: str) -> list[tuple[int, float]]:
        """Monotonic moment and value of every row that has one."""
        with self.samples.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return [(int(row["t_mono_ns"]), float(row[column])) for row in rows if row.get(column)]

    def peak_memory(self) -> tuple[float, str]:
        """Most GPU memory of the command in bytes, and whose figure it is.

        In a container the driver may not say what each process has; then it is what the card has more than
        before the start.
        """
        try:
            return max(self.values("vram_tree_bytes")), "of its processes"
        except Failed:
            before = (self.header.get("gpu_baseline") or {}).get("vram_used_bytes") or 0
            return max(self.values("vram_used_bytes")) - before, "more on the card than before"

    def mapped(self, *names: str) -> list[str]:
        """The files mapped as code whose name begins with one of these."""
        content = json.loads(self.samples.with_suffix(".map").read_text())
        return sorted(path for path in content["files"] if Path(path).name.startswith(names))


def driver_folders() -> str:
    """Of the caller's LD_LIBRARY_PATH the folders that hold NVIDIA's driver."""
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    holding = [folder for folder in folders if any(Path(folder, name).is_file() for name in DRIVER)]
    return os.pathsep.join(holding)


def last_line(text: str) -> str:
    """The last line that says something, or that one which begins with `error: `."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["nothing was printed"])[-1]


def median(values: Sequence[float]) -> float:
    """The middle of some values, of which there is at least one."""
    return statistics.median(values)


def mib(size_bytes: float) -> str:
    """Bytes in words."""
    return f"{size_bytes / MIB:,.0f} MiB"
