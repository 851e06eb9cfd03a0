"""The sidecar as a package of its own: installed, without anything else, it is a command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_installed_without_dependencies_it_measures(tmp_path: Path) -> None:
    project, target = tmp_path / "project", tmp_path / "target"
    shutil.copytree(
        ROOT / "src", project / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, project)
    where = [sys.executable, str(ROOT / "scripts" / "environment.py"), "uv", "--where"]
    uv = Path(
        subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip(),
        "bin",
        "uv",
    )
    if not uv.exists():
        pytest.skip("uv's environment is not built here")
    install = [
        str(uv),
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(target),
        str(project),
    ]
    subprocess.run(install, check=True, capture_output=True)
    command = [
        str(target / "bin" / "sidecar"),
        "run",
        "--samples",
        str(tmp_path / "s.csv"),
        "--",
        "true",
    ]
    done = subprocess.run(command, env={"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 3
    assert (target / "evenground" / "report" / "page" / "page.css").is_file()
