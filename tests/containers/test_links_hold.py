"""What `folders_elsewhere` names is all that a container needs: every file behind links can be read in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evenground.runs.links import folders_elsewhere
from fake_image import fake_base

READ = """
import os
for top in ("data", "results"):
    for above, _, names in os.walk(top, followlinks=True):
        for name in names:
            print(os.path.join(above, name), open(os.path.join(above, name)).read())
"""


def _file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.name)


def _link(path: Path, to: Path | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(to)


def make_links(root: Path, disks: Path) -> None:
    """A link of each kind below `results` and `data`, with a file behind it."""
    _link(disks / "short", disks / "long")
    _link(root / "results/runs", disks / "short/runs")
    _file(disks / "long/runs/m/d/in-a-linked-folder")
    _link(disks / "long/runs/m/k1", disks / "second/k1")
    _file(disks / "second/k1/r1/in-a-folder-linked-from-there")
    _link(disks / "long/runs/m/k2", "../../../short/up")
    _file(disks / "long/up/by-a-relative-link")
    _link(root / "data/prepared/t/h/labels.npy", disks / "a/labels")
    _link(disks / "a/labels", disks / "b/labels")
    _link(disks / "b/labels", "../c/labels")
    _file(disks / "c/labels")
    _link(root / "big", disks / "big")
    _link(root / "data/prepared/more", "../../big/data")
    _file(disks / "big/data/through-the-copy")
    _link(root / "data/raw", disks / "a/on/data")
    _link(disks / "a/on", disks / "other")
    _file(disks / "other/data/by-a-link-beside-a-file")


def test_every_file_behind_links_can_be_read_in_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("apptainer") is None:
        pytest.skip("Apptainer is not installed")
    given = fake_base(tmp_path)
    image = given["EVENGROUND_CONTAINER_BASE"]
    root = tmp_path / "copy"
    make_links(root, tmp_path / "disks")
    # Else a container sees all of /tmp, and so the disks.
    monkeypatch.setenv("APPTAINER_NO_MOUNT", "tmp")
    inside = [
        "apptainer",
        "--silent",
        "exec",
        "--home",
        str(root),
        "--cleanenv",
        image,
        sys.executable,
        "-c",
    ]
    environ = {**os.environ, "APPTAINER_BIND": given["APPTAINER_BIND"]}
    if subprocess.run([*inside, ""], cwd=root, env=environ, check=False).returncode:
        pytest.skip("Apptainer cannot start a container here")
    outside = subprocess.run(
        [sys.executable, "-c", READ], cwd=root, capture_output=True, text=True, check=True
    )
    blind = subprocess.run(
        [*inside, READ], cwd=root, env=environ, capture_output=True, text=True, check=False
    )
    assert blind.returncode and "No such file" in blind.stderr
    environ["APPTAINER_BIND"] += "," + ",".join(folders_elsewhere(root))
    seen = subprocess.run(
        [*inside, READ], cwd=root, env=environ, capture_output=True, text=True, check=True
    )
    assert len(outside.stdout.splitlines()) == 6
    assert sorted(seen.stdout.splitlines()) == sorted(outside.stdout.splitlines())
