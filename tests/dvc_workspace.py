"""A git and DVC workspace with the pipeline in it, fake engines and a folder as remote, to call `dvc` in."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from working_copy import ROOT, WorkingCopy, fresh_copy

FILES = ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config", "results/README.md")
OUT = Path("results/native")
TRACKED = (
    "runs",
    "calibration",
    "contact_sheets",
    "native/index.json",
    "native/tables",
    "native/figures",
    "native/metrics.json",
    "native/verdicts.json",
    "native/report.html",
)


@dataclass
class Workspace:
    """A git and DVC workspace with a folder as remote; every change is made in `params.yaml` or a file."""

    copy: WorkingCopy
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """Where index and tables stand: each deployment has its own."""
        return self.root / "results" / self.copy.settings["deployment"]

    @property
    def root(self) -> Path:
        return self.copy.root

    def environ(self) -> dict[str, str]:
        return {
            **self.copy.environ(),
            **self.variables,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def run(self, *command: str, ok: bool = True) -> str:
        done = subprocess.run(
            command, cwd=self.root, env=self.environ(), capture_output=True, text=True
        )
        said = done.stdout + done.stderr
        assert (done.returncode == 0) == ok, said
        return said

    def dvc(self, *arguments: str, ok: bool = True) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, ok=ok)

    def repro(self, *stage: str, ok: bool = True, **changes: Any) -> int:
        """Change parameters, call `dvc repro`; the number of trainings it began."""
        self.repro_says(*stage, ok=ok, **changes)
        return self.copy.trainings()

    def repro_says(self, *stage: str, ok: bool = True, **changes: Any) -> str:
        """The same, but what it printed; with a stage only that and those before it."""
        self.copy.settings |= changes
        self.write_parameters()
        self.copy.log()
        return self.dvc("repro", *stage, ok=ok)

    def write_parameters(self) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump(self.copy.settings, sort_keys=False))

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run(
            "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", "state"
        )

    def table(self) -> list[dict[str, str]]:
        with (self.out / "tables/runs.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def epochs(self) -> set[int]:
        """The epochs that the runs behind the tables trained."""
        (condition,) = json.loads((self.out / "index.json").read_text())["conditions"]
        events = [
            (self.root / run["path"] / "events.jsonl").read_text() for run in condition["runs"]
        ]
        return {text.count('"epoch_end"') for text in events}

    def tracked(self) -> dict[str, bytes]:
        """Every file DVC keeps, by its path."""
        paths = [self.root / "results" / name for name in TRACKED]
        files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
        return {
            str(file.relative_to(self.root)): file.read_bytes() for file in files if file.is_file()
        }


def new_workspace(folder: Path) -> Workspace:
    """Two engines, one dataset, one repetition, a folder as remote; nothing is trained or committed."""
    copy = fresh_copy(folder / "work")
    for name in FILES:
        (copy.root / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(ROOT / name, copy.root / name)
    (copy.root / ".gitignore").write_text(
        (ROOT / ".gitignore").read_text() + "cache/\norder.log\nsettings.yaml\n"
    )
    space = Workspace(copy)
    space.copy.settings |= {"repetitions": 1, "epochs": 3, "deployment": "native"}
    space.run("git", "init", "--quiet")
    space.dvc("remote", "add", "--default", "store", str(folder / "store"))
    return space


def trained(space: Workspace, runs: int = 2) -> Workspace:
    """Train the runs that are wanted, commit and push."""
    assert space.repro() == runs
    space.commit()
    space.dvc("push")
    return space


def clone(space: Workspace, to: Path, pull: bool = True) -> Workspace:
    subprocess.run(["git", "clone", "--quiet", space.root, to], check=True)
    cloned = Workspace(WorkingCopy(to, dict(space.copy.settings)))
    if pull:
        cloned.dvc("pull")
    return cloned
