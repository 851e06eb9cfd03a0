"""Links in place of folders: refused where they lead nowhere, and told to containers where they lead out."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenground.errors import EvengroundError
from evenground.runs.links import folders_elsewhere, refuse_lost_links, refuse_outside_of_dvc

RUN = "results/runs/here-2.5ghz/tiny/keras/k/r1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    for name in (RUN, "results/native/tables", "data/prepared/tiny/hash"):
        (root / name).mkdir(parents=True)
    return root


def link(root: Path, name: str, to: Path | str) -> Path:
    """Put a link in place of a file or folder, which is moved to `to` where that is a path."""
    path = root / name
    if isinstance(to, Path):
        path.rename(to)
    elif path.is_dir():
        path.rename(root / "moved")
    path.symlink_to(to)
    return path


@pytest.mark.parametrize("leads", ["/no/such/disk", "loop"])
@pytest.mark.parametrize(
    "name",
    [
        *("results", "results/runs", "results/native", "results/native/tables", "data", "data/prepared"),
        *("results/runs/here-2.5ghz", "results/runs/here-2.5ghz/tiny", RUN),
    ],
)
def test_a_lost_folder_is_named(root: Path, name: str, leads: str) -> None:
    refuse_lost_links(root)
    path = link(root, name, Path(name).name if leads == "loop" else leads)
    with pytest.raises(EvengroundError, match=r"^it is a link to .*, which is not there") as refused:
        refuse_lost_links(root)
    assert refused.value.where == str(path) and "mount its disk" in refused.value.todo


def test_a_lost_file_is_no_lost_folder(root: Path) -> None:
    """Tables are drawn again; a run's files and arrays are compared with what was recorded."""
    for name in (
        "results/native/index.json",
        f"{RUN}/samples.csv",
        "data/prepared/tiny/hash/train_images.npy",
    ):
        link(root, name, "/no/such/cache/ab/cdef")
    refuse_lost_links(root)


def test_a_ring_of_folders_ends(root: Path) -> None:
    (root / "results/runs/ring").symlink_to("..")
    (root / "data/prepared/ring").symlink_to(root / "data")
    refuse_lost_links(root)
    assert folders_elsewhere(root) == []


def test_links_out_of_the_working_copy_at_any_depth(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache/ab"
    cache.mkdir(parents=True)
    (root / "data/prepared/tiny/hash/labels.npy").write_text("")
    link(root, "data/prepared/tiny/hash/labels.npy", cache / "cdef")
    link(root, "results/runs/here-2.5ghz", tmp_path / "runs")
    (root / "results/attempts/m/d/e").mkdir(parents=True)
    link(root, "results/attempts/m/d/e", tmp_path / "attempts")
    (root / "results/inside").symlink_to(root / "data")
    assert folders_elsewhere(root) == sorted(map(str, (cache, tmp_path / "runs", tmp_path / "attempts")))


def test_links_below_a_link_of_another_name(root: Path, tmp_path: Path) -> None:
    link(root, "results/runs/here-2.5ghz", tmp_path / "runs")
    link(root, "results", tmp_path / "bigresults")
    assert folders_elsewhere(root) == [str(tmp_path / "bigresults"), str(tmp_path / "runs")]


def test_what_dvc_cannot_store_is_said_before_anything_is_trained(root: Path, tmp_path: Path) -> None:
    native = Path("results/native")
    link(root, "results/runs", tmp_path / "runs")
    (root / "inside").mkdir()
    link(root, "results/native", root / "inside/native")
    refuse_outside_of_dvc(root, native)
    link(root, "results", tmp_path / "bigresults")
    with pytest.raises(EvengroundError, match=r"^DVC stores nothing behind .*/results\): make results/runs"):
        refuse_outside_of_dvc(root, native)
