"""What the steps of a GPU check share: interpreters, variables, commands with a time limit."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenground import sidecar
from evenground.sidecar.nvml import Driver
from gpu_steps.report import Failed, Report, Skip

ROOT = Path(__file__).resolve().parents[2]
LOADS = Path(__file__).with_name("loads.py")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DRIVER = ("libcuda.so.1", "libnvidia-ml.so.1")
MIB = 2**20
READY_S = 40.0
MAX_MEASURED_S = 120.0


@dataclass(frozen=True)
class Bench:
    """What one step works with."""

    folder: Path
    """The step's own, empty at first."""
    report: Report
    card: Mapping[str, Any]
    """The chosen card, as the step `facts` describes it; empty if there is none."""
    pythons: Mapping[str, str]
    """Framework -> an interpreter that has it."""
    gpu: str
    """The value of `--gpu`; empty if it was not given."""

    @property
    def uuid(self) -> str:
        """UUID of the chosen card: steps that read it are skipped if there is none."""
        return str(self.card["uuid"])

    def env(self, **variables: str) -> dict[str, str]:
        """Variables like a training's: of the caller's only the card's and the driver's.

        Those of the tests' stand-in driver, FAKE_..., are kept too.
        """
        env = {name: value for name, value in os.environ.items() if name.startswith("FAKE_")}
        if folders := driver_folders():
            env["LD_LIBRARY_PATH"] = folders
        env |= {
            "PATH": SYSTEM_PATH,
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "CUDA_VISIBLE_DEVICES": str(self.card.get("uuid", "")),
        }
        return env | variables

    def run(self, args: Sequence[str | Path], limit_s: float = 60.0, **variables: str) -> str:
        """Run a command and return what it prints; raises Failed if it fails or takes too long."""
        command = [str(arg) for arg in args]
        try:
            done = subprocess.run(
                command,
                env=self.env(**variables),
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=limit_s,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            # The message of a timeout has the whole command line.
            raise Failed(str(error).replace(str(command), command[0])) from None
        if done.returncode:
            raise Failed(f"exit code {done.returncode}: {last_line(done.stderr + done.stdout)}")
        return done.stdout

    def smi(self, *options: str) -> str:
        """Output of `nvidia-smi`: of all cards, or with options of the chosen one.

        Raises Skip if it fails.
        """
        # The variables of `env` have another PATH.
        command = [shutil.which("nvidia-smi") or "nvidia-smi"]
        if options:
            command += options
            command += ["-i", self.uuid]
        try:
            return self.run(command, 20.0)
        except Failed as error:
            raise Skip(f"nvidia-smi: {error}") from None

    @contextmanager
    def load(self, kind: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
        """Run a load of `loads.py` beside the body of a `with`, and end it afterwards.

        The body begins once the load computes; raises Failed if it does not.
        """
        with subprocess.Popen(
            [self.pythons.get(kind, sys.executable), str(LOADS), kind, str(seconds)],
            env=self.env(),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            # A load that hangs before it is ready is ended, and has then said nothing.
            late = threading.Timer(READY_S, process.kill)
            late.start()
            try:
                assert process.stdout
                first = process.stdout.readline()
                late.cancel()
                if not first.startswith("ready"):
                    process.kill()
                    output, errors = process.communicate()
                    said = last_line(first + output + errors)
                    raise Failed(f"the load does not start: {said}")
                yield process
            finally:
                late.cancel()
                # At SIGTERM it gives the card back.
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(READY_S)
                process.kill()

    def beside(
        self,
        args: Sequence[str | Path],
        name: str,
        rate_hz: float = 10.0,
        env: Mapping[str, str] | None = None,
    ) -> Measured:
        """Run a command measured by a sidecar, with files called `name` in the step's folder.

        They are samples, header, list of mapped files and what the command prints. The command is
        ended after MAX_MEASURED_S; whether it failed is for the caller to see.
        """
        samples = self.folder / f"{name}.csv"
        printed = self.folder / f"{name}.log"
        with printed.open("w") as log:
            summary = sidecar.run(
                [str(arg) for arg in args],
                samples=samples,
                header=samples.with_suffix(".json"),
                mapped=samples.with_suffix(".map"),
                rate_hz=rate_hz,
                time_limit_s=MAX_MEASURED_S,
                card=self.card.get("uuid"),
                env=env or self.env(),
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        return Measured(
            samples=samples,
            printed=printed.read_text(errors="replace"),
            status=summary.exit_code,
        )


@dataclass(frozen=True)
class Measured:
    """A sidecar's rows, what the command printed, and its exit code; None if a signal ended it."""

    samples: Path
    printed: str
    status: int | None

    @property
    def header(self) -> dict[str, Any]:
        """The header of the rows."""
        header: dict[str, Any] = json.loads(self.samples.with_suffix(".json").read_text())
        return header

    def values(self, column: str, since_ns: int = 0, until_ns: int = 2**63) -> list[float]:
        """A column's values between two monotonic moments; raises Failed if there is none."""
        return [value for _, value in self.series(column, since_ns, until_ns)]

    def series(
        self, column: str, since_ns: int = 0, until_ns: int = 2**63
    ) -> list[tuple[int, float]]:
        """Monotonic moment and value of the rows between two moments that have one.

        Raises Failed if there is none.
        """
        series = []
        with self.samples.open(newline="") as file:
            for row in csv.DictReader(file):
                at_ns = int(row["t_mono_ns"])
                if row[column] and since_ns <= at_ns <= until_ns:
                    series.append((at_ns, float(row[column])))
        if not series:
            why = self.header["missing"].get(column, "no row of that time has it")
            raise Failed(f"{column}: {why}")
        return series

    def peak_memory(self) -> tuple[float, str]:
        """The command's largest GPU memory in bytes, and what of: the end of a message.

        Raises Failed if neither its own nor the card's memory was measured.
        """
        try:
            return max(self.values("vram_tree_bytes")), "of its processes"
        except Failed:
            # In a container the driver may not tell what each process holds.
            before = (self.header.get("gpu_baseline") or {}).get("vram_used_bytes") or 0
            return max(self.values("vram_used_bytes")) - before, "more on the card than before"

    def mapped(self, *names: str) -> list[str]:
        """The files mapped as code whose name begins with one of these."""
        content = json.loads(self.samples.with_suffix(".map").read_text())
        return sorted(path for path in content["files"] if Path(path).name.startswith(names))


def open_driver() -> Driver:
    """Return the driver, initialised.

    Raises Skip if the module pynvml is not installed, and Failed if the driver refuses.
    """
    try:
        import pynvml
    except ImportError:
        raise Skip("the Python package nvidia-ml-py is not installed for this Python") from None
    driver = Driver(pynvml)
    try:
        driver.call("nvmlInit")
    except pynvml.NVMLError as error:
        raise Failed(f"nvmlInit: {error}") from None
    return driver


def driver_folders() -> str:
    """The folders of the caller's LD_LIBRARY_PATH that hold NVIDIA's driver."""
    holding = []
    for folder in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep):
        if any(Path(folder, name).is_file() for name in DRIVER):
            holding.append(folder)
    return os.pathsep.join(holding)


def last_line(text: str) -> str:
    """The last line that begins with `error: `, else the last one that is not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["nothing was printed"])[-1]


def mib(size_bytes: float) -> str:
    """Bytes as a text in MiB."""
    return f"{size_bytes / MIB:,.0f} MiB"
