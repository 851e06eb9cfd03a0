"""Files are replaced whole, and hashes cover names and contents."""

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from evenground.analysis.files import write_csv
from evenground.errors import EvengroundError, cli, words_of
from evenground.files import (
    broken_link,
    drop_lost_links,
    empty_folder,
    free,
    move,
    name_below,
    read_json,
    replaced,
    sha256_json,
    unreadable,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": 1}


def test_a_full_disk_is_one_line_and_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    really_write = Path.write_text

    def full(self: Path, data: str, **named: str) -> int:
        really_write(self, data[:3], **named)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    for write in (
        lambda: write_json(path, {"a": 2}),
        lambda: path.with_name("b.csv").write_text("1,2,3"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli(write)
        assert ended.value.code == 1
        assert capsys.readouterr().err.startswith("error: disk is full (") and read_json(path) == {
            "a": 1
        }
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "b.csv"]


def test_an_error_of_pythons_own_keeps_its_words() -> None:
    assert words_of(OSError(errno.EACCES, "Permission denied", "/x")) == "Permission denied"
    own = OSError("Cannot call rmtree on a symbolic link")
    # As `shutil` does since 3.13: the text of the whole is then "[Errno None] None: '/x'".
    own.filename = "/x"
    assert words_of(own) == "Cannot call rmtree on a symbolic link"
    assert words_of(TimeoutError()) == "TimeoutError"


def test_broken_json_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{")
    with pytest.raises(EvengroundError, match="not valid JSON") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_key_order_does_not_matter() -> None:
    assert sha256_json({"a": 1, "b": 2}) == sha256_json({"b": 2, "a": 1})


TABLE = pd.DataFrame({"a": [1.5]})
WRITERS: list[Callable[[Path], None]] = [
    lambda path: write_text(path, "new"),
    lambda path: write_json(path, ["new"]),
    lambda path: write_csv(TABLE, path),
]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_file_that_is_a_link_is_replaced_and_what_it_leads_to_stays(
    tmp_path: Path, write: Callable[[Path], None], link: Callable[[Path, Path], None]
) -> None:
    """A cache keeps one copy of a file, read-only, for all that link to it."""
    cached, path = tmp_path / "cache", tmp_path / "results/table"
    cached.write_text("stored")
    cached.chmod(0o444)
    path.parent.mkdir()
    link(cached, path)
    write(path)
    assert cached.read_text() == "stored" and cached.stat().st_nlink == 1
    assert not path.is_symlink() and "stored" not in path.read_text()


def test_a_link_that_leads_nowhere_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.symlink_to(tmp_path / "cache/gone")
    write_text(path, "new")
    assert path.read_text() == "new" and not (tmp_path / "cache").exists()


def test_what_is_put_in_place_is_told_to_whoever_asks(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "before")
    with replaced() as files:
        write_text(tmp_path / "b", "1")
        write_csv(TABLE, tmp_path / "c/table.csv")
        with pytest.raises(TypeError):
            write_json(tmp_path / "d", object())
    write_text(tmp_path / "e", "after")
    assert files == [tmp_path / "b", tmp_path / "c/table.csv"]


@pytest.fixture
def other_disk() -> Iterator[Path]:
    folder = Path("/dev/shm") / f"evenground-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no second file system: {error}")
    yield folder
    shutil.rmtree(folder)


def test_a_folder_is_moved_to_another_disk_whole(tmp_path: Path, other_disk: Path) -> None:
    if tmp_path.stat().st_dev == other_disk.stat().st_dev:
        pytest.skip("both are on one file system")
    run = tmp_path / "run"
    run.mkdir()
    (run / "samples.csv").write_text("1")
    (run / "link").symlink_to("samples.csv")
    # What an earlier move that was cut off had left.
    (other_disk / "runs/.r1.moved").mkdir(parents=True)
    move(run, other_disk / "runs/r1")
    assert not run.exists() and [path.name for path in (other_disk / "runs").iterdir()] == ["r1"]
    assert (other_disk / "runs/r1/link").readlink() == Path("samples.csv")
    move(other_disk / "runs/r1/samples.csv", tmp_path / "samples.csv")
    assert (tmp_path / "samples.csv").read_text() == "1" and broken_link(
        other_disk / "runs/r1/link"
    )


def test_what_cannot_be_moved_stays(tmp_path: Path, other_disk: Path) -> None:
    run, to = tmp_path / "run", other_disk / "r1"
    for folder in (run, to):
        folder.mkdir()
        (folder / "samples.csv").write_text(folder.name)
    with pytest.raises(EvengroundError, match="cannot write"):
        move(run, to)
    assert (run / "samples.csv").read_text() == "run" and (to / "samples.csv").read_text() == "r1"
    assert [path.name for path in other_disk.iterdir()] == ["r1"]


def test_files_that_a_cache_keeps_read_only_are_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a user; root may write everything."""
    monkeypatch.setattr(
        os, "access", lambda path, mode: bool(Path(path).stat().st_mode & stat.S_IWUSR)
    )
    cached, linked, own = (
        tmp_path / name for name in ("cache", "results/tables/a.csv", "results/own.csv")
    )
    linked.parent.mkdir(parents=True)
    for path in (cached, own):
        path.write_text("stored")
        os.utime(path, (1e9, 1e9))
    cached.chmod(0o444)
    os.link(cached, linked)
    (tmp_path / "results/link.csv").symlink_to(cached)
    (tmp_path / "results/lost.csv").symlink_to("nowhere")
    before = own.stat().st_ino
    free(tmp_path / "results")
    assert cached.stat().st_nlink == 1 and stat.S_IMODE(cached.stat().st_mode) == 0o444
    assert linked.read_text() == "stored" and linked.stat().st_mtime == 1e9
    assert linked.stat().st_mode & stat.S_IWUSR and own.stat().st_ino == before
    assert (tmp_path / "results/link.csv").is_symlink()


def test_only_links_that_lead_nowhere_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "results/inner").mkdir(parents=True)
    (tmp_path / "good").write_text("good")
    for name, to in (("a", "../good"), ("b", "nowhere"), ("inner/c", "c"), ("inner/ring", "..")):
        (tmp_path / "results" / name).symlink_to(to)
    drop_lost_links(tmp_path / "results")
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["a", "inner"]
    assert [path.name for path in (tmp_path / "results/inner").iterdir()] == ["ring"]


def test_a_folder_that_is_a_link_is_emptied_and_stays_one(tmp_path: Path) -> None:
    (tmp_path / "disk/inner").mkdir(parents=True)
    (tmp_path / "disk/loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("disk")
    empty_folder(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and not any((tmp_path / "disk").iterdir())


def test_why_a_file_cannot_be_read_names_the_link(tmp_path: Path) -> None:
    (tmp_path / "disk").symlink_to("/no/such/disk")
    (tmp_path / "loop").symlink_to("loop")
    for name, said in (
        ("none.json", "the file is missing"),
        ("loop", "it is a link that leads back to itself"),
        ("disk/a.json", f"{tmp_path}/disk is a link to /no/such/disk, which is not there"),
    ):
        with pytest.raises(OSError, match=re.escape(name)) as failed:
            (tmp_path / name).read_bytes()
        assert unreadable(tmp_path / name, failed.value) == said
        with pytest.raises(EvengroundError, match=said):
            read_json(tmp_path / name)


def test_names_are_those_of_the_way_there(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "big/native").mkdir(parents=True)
    (tmp_path / "work/results").symlink_to(tmp_path / "big")
    (tmp_path / "other").symlink_to("work")
    work = tmp_path / "work"
    assert name_below(work / "results/native", work) == "results/native"
    assert name_below(tmp_path / "other/results", tmp_path / "other") == "results"
    assert name_below(tmp_path / "other", work) == "."
    assert name_below(work / "results/../../big", work) is None
