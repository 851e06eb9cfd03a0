"""A working copy of the pipeline with fake engines and a tiny dataset, to call Snakemake in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from evenground.records.calibration import Calibration, Figure
from evenground.runs.keys import Code
from evenground.runs.machine import this_machine
from evenground.runs.plan import calibration_file

ROOT = Path(__file__).resolve().parents[1]
PARTS = (
    "Snakefile",
    "rules",
    "profiles",
    "params.yaml",
    "containers",
    "envs",
    "scripts",
    "src",
    "data/registry.yaml",
    "data/published",
    "claims.yaml",
)
TINY = {
    "title": "Tiny shapes",
    "network": "cnn",
    "classes": [f"class {k}" for k in range(10)],
    "licence": "CC0-1.0",
    "source": "generated",
    "version": "1",
    "format": "shapes",
    "height": 32,
    "width": 32,
    "channels": 3,
    "train_examples": 80,
    "test_examples": 20,
    "shapes": {"seed": 1, "radius_min_px": 4, "radius_max_px": 8, "noise_levels": 8},
}
FAKES = [{"name": name, "folder": "tests/fake_engine"} for name in ("fake_a", "fake_b")]
ABSENT = {"name": "axon", "folder": "tests/fake_absent"}
"""An engine that is not installed while the working copy has no file `fake_installed`."""


@dataclass
class WorkingCopy:
    """A copy of the repository whose experiment is `settings` over params.yaml."""

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)
    python: str = sys.executable
    variables: dict[str, str] = field(default_factory=dict)

    def call(
        self,
        *arguments: str,
        ok: bool = True,
        within: Sequence[str] = (),
        entered: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Call Snakemake; `ok` says whether it must succeed.

        `within`: a command that starts it; `entered`: the path by which the caller came here.
        """
        (self.root / "settings.yaml").write_text(yaml.safe_dump(self.settings))
        command = [
            *within,
            self.python,
            "-m",
            "snakemake",
            "--configfile",
            "settings.yaml",
            *arguments,
        ]
        folder, environ = entered or self.root, self.environ()
        if entered:
            environ["PWD"] = str(entered)
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done

    def train_once(self) -> None:
        """Want one training of the first engine on each dataset, without a warm-up."""
        self.settings["engines"] = self.settings["engines"][:1]
        self.settings["repetitions"] = 1
        self.settings["warm_up_examples"] = 0

    def calibrated(self, deployment: str = "native", machine: str = "") -> Path:
        """Let the sampler be calibrated on this machine already: measuring it would take most of a minute."""
        machine = machine or this_machine().name
        path = self.root / calibration_file(Code(self.root), machine, deployment)
        figure = Figure(what="made", unit="%", goal=1.0, at_least=False, measured=2.0, passed=False)
        Calibration(passed=False, figures={"made": figure}).write(path)
        return path

    def environ(self) -> dict[str, str]:
        own = {"EVENGROUND_CACHE": str(self.root / "cache"), "PYTHONPATH": "", **self.variables}
        return {**os.environ, **own}

    def asked(self) -> int:
        """How often an engine was asked whether it is installed, since the last time this was called."""
        path = self.root / "asked.log"
        count = len(path.read_text().splitlines()) if path.is_file() else 0
        path.unlink(missing_ok=True)
        return count

    def log(self) -> list[str]:
        """What the fake engine logged since the last time this was asked, in time order."""
        path = self.root / "order.log"
        lines = path.read_text().splitlines() if path.is_file() else []
        path.unlink(missing_ok=True)
        return [line.split(" ", 1)[1] for line in lines]

    def trainings(self) -> int:
        """Trainings begun since the last time the log was asked, warm-ups not counted."""
        return sum(line.startswith("begin") for line in self.log())


def copy_repository(to: Path) -> None:
    for part in PARTS:
        (to / part).parent.mkdir(parents=True, exist_ok=True)
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, to / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to / part)
    for engine in ("fake_engine", "fake_absent"):
        shutil.copytree(ROOT / "tests" / engine, to / "tests" / engine)


def fresh_copy(to: Path) -> WorkingCopy:
    """A working copy in `to`: one tiny dataset, two fake engines, two repetitions."""
    copy_repository(to)
    settings = {
        "datasets": ["tiny"],
        "engines": list(FAKES),
        "repetitions": 2,
        "epochs": 2,
        "linger_s": 0.0,
        "warm_up_examples": 32,
        "registry": {"tiny": TINY},
        "time_limit_s": 20.0,
    }
    copy = WorkingCopy(to, settings)
    copy.calibrated()
    return copy


def wait_until(true: Callable[[], bool], limit_s: float) -> bool:
    """Whether it came true in time."""
    end_s = time.monotonic() + limit_s
    while not (now := true()) and time.monotonic() < end_s:
        time.sleep(0.1)
    return now


def trainings_in(root: Path) -> int:
    """Processes of engines and of what starts them that work in `root`."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, folder = (process / "cmdline").read_bytes(), (process / "cwd").resolve()
        except OSError:
            continue
        count += folder == root and b"train.py" in words
    return count
