"""`dvc repro` calls Snakemake: it trains what a changed parameter touches and nothing twice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from working_copy import ROOT, WorkingCopy


def dvc(copy: WorkingCopy, *arguments: str) -> str:
    environ = {**copy.environ(), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=copy.root, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_repro_trains_what_changed_and_nothing_twice(copy: WorkingCopy) -> None:
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config"):
        (copy.root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, copy.root / name)
    subprocess.run(["git", "init", "--quiet"], cwd=copy.root, check=True)
    copy.settings |= {"repetitions": 1, "engines": copy.settings["engines"][:1]}
    trained = []
    for epochs in (2, 3, 3, 2):
        (copy.root / "params.yaml").write_text(yaml.safe_dump({**copy.settings, "epochs": epochs}))
        dvc(copy, "repro")
        trained.append(copy.trainings())
    assert trained == [1, 1, 0, 0]
    assert "results/runs" in (copy.root / "dvc.lock").read_text()
