"""Links in place of folders: refused where they lead nowhere, and told to containers where they lead out."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
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
    path.parent.mkdir(parents=True, exist_ok=True)
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
        *(
            "results",
            "results/runs",
            "results/native",
            "results/native/tables",
            "data",
            "data/prepared",
        ),
        *("results/runs/here-2.5ghz", "results/runs/here-2.5ghz/tiny", RUN),
    ],
)
def test_a_lost_folder_is_named(root: Path, name: str, leads: str) -> None:
    refuse_lost_links(root)
    path = link(root, name, Path(name).name if leads == "loop" else leads)
    with pytest.raises(
        EvengroundError, match=r"^it is a link to .*, which is not there"
    ) as refused:
        refuse_lost_links(root)
    assert refused.value.where == str(path) and "mount its disk" in refused.value.fix


def test_a_lost_file_is_no_lost_folder(root: Path) -> None:
    """Tables are drawn again; a run's files and arrays are compared with what was recorded."""
    for name in (
        "results/native/index.json",
        f"{RUN}/samples.csv",
        "data/prepared/tiny/hash/train_images.npy",
        "data/raw/tiny/hash/train-images-idx3-ubyte",
    ):
        link(root, name, "/no/such/cache/ab/cdef")
    refuse_lost_links(root)


@pytest.mark.parametrize("name", [f"{RUN}/1/run", "results/native/tables/a/b", "data/raw/tiny"])
def test_a_lost_folder_is_named_at_any_depth_and_behind_links(
    root: Path, tmp_path: Path, name: str
) -> None:
    (root / name).mkdir(parents=True)
    for top in ("results", "data"):
        link(root, top, tmp_path / top)
    path = link(root, name, "no/such/disk")
    with pytest.raises(EvengroundError, match="link to no/such/disk") as refused:
        refuse_lost_links(root)
    assert refused.value.where == str(path)


def test_a_ring_of_folders_ends(root: Path, tmp_path: Path) -> None:
    (root / "results/runs/ring").symlink_to("..")
    (root / "data/prepared/ring").symlink_to(root / "data")
    refuse_lost_links(root)
    assert folders_elsewhere(root) == []
    (root / "results/runs/ring").unlink()
    link(root, "results/runs", tmp_path / "runs")
    (tmp_path / "runs/ring").symlink_to(tmp_path / "runs")
    (tmp_path / "runs/back").symlink_to(root / "results")
    assert folders_elsewhere(root) == [str(tmp_path / "runs")]


def test_a_disk_that_holds_the_working_copy_is_not_searched(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/lost").symlink_to("/no/such/place")
    (root / "results/disk").symlink_to(tmp_path)
    refuse_lost_links(root)
    assert folders_elsewhere(root) == [str(tmp_path)]


def test_what_may_not_be_read_is_passed_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "results/lost+found").mkdir()
    scan = os.scandir

    def refusing(path: str) -> object:
        if path.endswith("lost+found"):
            raise PermissionError(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    refuse_lost_links(root)
    assert folders_elsewhere(root) == []


def test_no_file_is_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand runs are ten thousand files; only links are followed."""
    for number in range(20):
        (root / RUN / f"{number}.json").touch()
    (root / "results/inside").symlink_to(root / "data")
    looked: list[str] = []
    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, partial(_noted, looked, getattr(os, name)))
    refuse_lost_links(root)
    assert looked and not [path for path in looked if str(path).endswith(".json")]


def _noted(looked: list[str], look: Callable[..., object], path: str, **options: object) -> object:
    looked.append(path)
    return look(path, **options)


def test_links_out_of_the_working_copy_at_any_depth(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache/ab"
    cache.mkdir(parents=True)
    (root / "data/prepared/tiny/hash/labels.npy").write_text("")
    link(root, "data/prepared/tiny/hash/labels.npy", cache / "cdef")
    link(root, "results/runs/here-2.5ghz", tmp_path / "runs")
    (root / "results/attempts/m/d/e").mkdir(parents=True)
    link(root, "results/attempts/m/d/e", tmp_path / "attempts")
    (root / "results/inside").symlink_to(root / "data")
    assert folders_elsewhere(root) == sorted(
        map(str, (cache, tmp_path / "runs", tmp_path / "attempts"))
    )


def test_links_below_a_link_of_another_name(root: Path, tmp_path: Path) -> None:
    link(root, "results/runs/here-2.5ghz", tmp_path / "runs")
    link(root, "results", tmp_path / "bigresults")
    assert folders_elsewhere(root) == [str(tmp_path / "bigresults"), str(tmp_path / "runs")]


def test_links_far_down(root: Path, tmp_path: Path) -> None:
    deep = f"{RUN}/1/run/more/still-more"
    (root / deep).mkdir(parents=True)
    (root / deep / "a.npy").write_text("")
    (tmp_path / "files").mkdir()
    link(root, f"{deep}/a.npy", tmp_path / "files/a.npy")
    link(root, deep, tmp_path / "deep")
    link(root, RUN, tmp_path / "run")
    assert folders_elsewhere(root) == [str(tmp_path / name) for name in ("deep", "files", "run")]


def test_a_link_to_a_link_is_named_as_it_is_followed(root: Path, tmp_path: Path) -> None:
    """What is bound under the first link's words is what lies behind the last."""
    (tmp_path / "short").symlink_to(tmp_path / "long")
    (tmp_path / "long").mkdir()
    link(root, "results/runs", tmp_path / "short/runs")
    link(root, RUN, tmp_path / "run")
    assert folders_elsewhere(root) == [str(tmp_path / "run"), str(tmp_path / "short/runs")]


def test_a_file_behind_several_links_needs_the_folder_of_each(root: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "c/labels").write_text("")
    (tmp_path / "b/labels").symlink_to("../c/labels")
    (tmp_path / "a/labels").symlink_to(tmp_path / "b/labels")
    (root / "data/prepared/tiny/hash/labels.npy").symlink_to(tmp_path / "a/labels")
    assert folders_elsewhere(root) == [str(tmp_path / name) for name in ("a", "b", "c")]


def test_a_way_out_through_the_working_copy(root: Path, tmp_path: Path) -> None:
    """A link to a folder that stands elsewhere in the working copy, and is a link itself."""
    (tmp_path / "disk/data/prepared").mkdir(parents=True)
    (root / "big").symlink_to(tmp_path / "disk")
    (root / "data/prepared/more").symlink_to("../../big/data/prepared")
    assert folders_elsewhere(root) == [str(tmp_path / "disk/data/prepared")]


def test_what_lies_in_another_one_is_not_named_twice(root: Path, tmp_path: Path) -> None:
    for name in ("disk/inner/more", "disk-b"):
        (tmp_path / name).mkdir(parents=True)
    for number, name in enumerate(("disk/inner/more", "disk-b", "disk", "disk/inner")):
        (root / f"results/{number}").symlink_to(tmp_path / name)
    assert folders_elsewhere(root) == [str(tmp_path / "disk"), str(tmp_path / "disk-b")]


def test_a_link_in_a_folder_of_files_leads_on(root: Path, tmp_path: Path) -> None:
    for name in ("disk", "other/data"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "disk/labels").write_text("")
    (tmp_path / "disk/on").symlink_to(tmp_path / "other")
    (root / "data/labels.npy").symlink_to(tmp_path / "disk/labels")
    (root / "data/raw").symlink_to(tmp_path / "disk/on/data")
    assert folders_elsewhere(root) == [str(tmp_path / "disk"), str(tmp_path / "other/data")]


def test_a_link_that_means_two_things_is_refused(root: Path, tmp_path: Path) -> None:
    """`../runs` is another place below the name of a link than where the link leads."""
    (tmp_path / "disk/results").mkdir(parents=True)
    (tmp_path / "disk/runs").mkdir()
    (tmp_path / "short").symlink_to("disk/results")
    (tmp_path / "disk/results/runs").symlink_to("../runs")
    link(root, "results", tmp_path / "short/native")
    refuse_lost_links(root)
    assert folders_elsewhere(root) == [str(tmp_path / "short/native")]
    (root / "results").unlink()
    (root / "results").symlink_to(tmp_path / "short")
    refuse_lost_links(root)
    with pytest.raises(EvengroundError, match="a container looks for") as refused:
        folders_elsewhere(root)
    assert refused.value.where == str(root / "results/runs")
    assert refused.value.fix == f"make it a link to {tmp_path / 'disk/runs'}"


def test_what_dvc_cannot_store_is_said_before_anything_is_trained(
    root: Path, tmp_path: Path
) -> None:
    native = Path("results/native")
    link(root, "results/runs", tmp_path / "runs")
    (root / "inside").mkdir()
    link(root, "results/native", root / "inside/native")
    refuse_outside_of_dvc(root, native)
    link(root, "results", tmp_path / "bigresults")
    with pytest.raises(
        EvengroundError, match=r"^DVC stores nothing behind .*/results\): make results/runs"
    ):
        refuse_outside_of_dvc(root, native)
