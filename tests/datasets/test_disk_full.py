"""A disk that fills up: one line, and nothing half-written under a final name."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from datasets.faulty_server import Site
from datasets.small_data import REGISTRY, ROOT, Outcome, Scripts, archive_entry
from datasets.test_fetch import BODY, NAME, mirror

Usage = namedtuple("Usage", "total used free")


def fill_up(monkeypatch: pytest.MonkeyPatch, path: Path, after_bytes: int) -> None:
    """Let writes to `path` fail with ENOSPC once it holds `after_bytes`; the free space looks ample."""
    really_open = Path.open

    def limited(self: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        stream = really_open(self, mode, *more, **named)
        if self == path and ("w" in mode or "+" in mode):
            write = stream.write

            def full(content: bytes) -> int:
                if stream.tell() + len(content) > after_bytes:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return int(write(content))

            stream.write = full
        return stream

    monkeypatch.setattr(Path, "open", limited)


def test_a_download_is_not_begun_without_room(
    site: Site, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**6, 10**6, 1000))
    line = scripts.fetch(archive_entry(BODY, site.put("/f", BODY), site.put("/g", BODY))).error()
    assert "disk is full: 0.4 MiB needed, 0.0 MiB free" in line and "make room" in line
    assert list((scripts.folder / "raw").iterdir()) == [] and len(site.requests) == 1


def test_a_copy_from_a_mirror_is_not_begun_without_room(
    scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**6, 10**6, 1000))
    assert (
        "disk is full"
        in scripts.fetch(archive_entry(BODY), "--mirror", mirror(tmp_path / "m", BODY)).error()
    )
    assert list((scripts.folder / "raw").iterdir()) == []


def test_an_unwritable_place_is_one_line(scripts: Scripts, tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("a file where the folder should be", encoding="utf-8")
    assert "cannot write: File exists" in scripts.fetch(None, dataset="shapes").error()
    assert (tmp_path / "raw").read_text(encoding="utf-8") == "a file where the folder should be"


def limited_disk(folder: Path, size_kib: int, command: list[str]) -> Outcome:
    """Run `command` with a real file system of `size_kib` KiB mounted on `folder`, in a mount namespace.

    What it leaves there is listed on stdout after the command's own output.
    """
    if shutil.which("unshare") is None:
        pytest.skip("there is no 'unshare' to mount a small file system with")
    folder.mkdir()
    mount = f"mount -t tmpfs -o size={size_kib}k tmpfs '{folder}'"
    probe = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"no small file system can be mounted here: {probe.stderr.strip()}")
    script = f"{mount} && \"$@\"; code=$?; find '{folder}' -type f -printf '%P %s\\n'; exit $code"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *command],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def command(name: str, config: Path, raw: dict[str, Any], *more: object) -> list[str]:
    """argv of a script for the entry `small`."""
    config.write_text(json.dumps({"registry": {"small": raw}}), encoding="utf-8")
    fixed = [ROOT / "scripts" / f"{name}.py", "--registry", REGISTRY, "--extra-registry", config]
    return [sys.executable, *map(str, [*fixed, "--dataset", "small", *more])]


def test_a_really_full_disk_during_a_download(site: Site, tmp_path: Path) -> None:
    raw = archive_entry(BODY, site.put("/f", BODY), site.put("/g", BODY))
    disk = tmp_path / "disk"
    left = limited_disk(disk, 256, command("fetch", tmp_path / "c.json", raw, "--output-dir", disk))
    assert "disk is full" in left.error() and str(disk) in left.error()
    assert left.stdout == "" and len(site.requests) == 1


def test_a_really_full_disk_during_preparation(tmp_path: Path) -> None:
    shapes = {
        **archive_entry(b"", format="shapes", train_examples=100, test_examples=20),
        "files": [],
        "shapes": {"seed": 1, "radius_min_px": 5, "radius_max_px": 9, "noise_levels": 3},
    }
    disk = tmp_path / "disk"
    target = ["--raw-dir", tmp_path, "--output-dir", disk / "prepared"]
    left = limited_disk(disk, 300, command("prepare", tmp_path / "c.json", shapes, *target))
    assert "disk is full" in left.error() and left.stdout == ""


@pytest.mark.parametrize("name", ["train_images.npy", "test_labels.npy"])
def test_preparation_that_fails_half_way_keeps_the_earlier_dataset(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert scripts.prepare(None, dataset="shapes").code == 0
    folder = scripts.folder / "prepared"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    fill_up(monkeypatch, scripts.folder / ".prepared.part" / name, after_bytes=200)
    assert "disk is full" in scripts.prepare(None, dataset="shapes").error()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not (scripts.folder / ".prepared.part").exists()


def test_a_disk_that_fills_up_keeps_the_part_file_to_go_on_from(
    site: Site, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = archive_entry(BODY, site.put("/f", BODY), site.put("/g", BODY))
    with monkeypatch.context() as patch:
        fill_up(patch, scripts.folder / "raw" / (NAME + ".part"), after_bytes=200_000)
        assert "disk is full" in scripts.fetch(raw).error()
    kept = scripts.folder / "raw" / (NAME + ".part")
    assert [*(scripts.folder / "raw").iterdir()] == [kept] and BODY.startswith(kept.read_bytes())
    assert scripts.fetch(raw).code == 0
    assert site.ranges("/f") == [None, "bytes=196608-"] and site.ranges("/g") == []
