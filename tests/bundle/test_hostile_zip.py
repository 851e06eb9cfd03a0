"""Zip files that are no honest bundle: each is refused in one line and leaves nothing behind."""

from __future__ import annotations

import shutil
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest

import replay as script
from evenground.bundle.names import is_allowed
from evenground.bundle.unpack import unpack
from evenground.errors import EvengroundError
from made_bundle import INDEX, LIST, Files, call, listed

# Where fields stand in an entry of a zip file's directory (PKWARE's APPNOTE.TXT, 4.3.12).
FLAGS, METHOD, SIZE, ATTRIBUTES, PLACE = 8, 10, 24, 38, 42
Zip = Callable[[Files], bytes]


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    memory = BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method, 1)
    return memory.getvalue()


def with_file(name: str, content: bytes = b"{}") -> Zip:
    """A bundle with one more file, which stands in the list."""
    return lambda files: zipped(listed({**files, name: content}))


def twice(files: Files) -> bytes:
    """A bundle with a second index of other content, which `zipfile` would not write."""
    stand_in = "Q" * len(INDEX)
    return zipped({**listed(files), stand_in: b"{}"}).replace(stand_in.encode(), INDEX.encode())


def with_field(offset: int, value: bytes, name: str = INDEX) -> Zip:
    """A bundle with one field of an entry's description changed."""

    def build(files: Files) -> bytes:
        content = bytearray(zipped(files))
        start = content.rindex(b"PK\1\2", 0, content.rindex(name.encode()))
        content[start + offset : start + offset + len(value)] = value
        return bytes(content)

    return build


def without(name: str) -> Zip:
    def build(files: Files) -> bytes:
        left = {one: content for one, content in files.items() if one != name}
        return zipped(left if name == LIST else listed(left))

    return build


def wrong_sum(files: Files) -> bytes:
    lines = listed(files)[LIST]
    return zipped({**files, LIST: b"0" * 64 + lines[64:]})


def damaged(files: Files) -> bytes:
    """Other bytes amid a file's own."""
    content = bytearray(zipped(files))
    place = content.index(INDEX.encode()) + len(INDEX)
    content[place : place + 20] = b"\xff" * 20
    return bytes(content)


def name_not_utf_8(files: Files) -> bytes:
    return with_field(FLAGS, b"\0\x08")(files).replace(b"native/i", b"nativ\xff/i")


def far_away(files: Files) -> bytes:
    """An entry that says to begin beyond any file, in a number of 64 bits."""
    content = bytearray(zipped(listed(files)))
    directory = content.index(b"PK\1\2")
    length, extra = content[directory + 28], struct.pack("<HHQ", 1, 8, 2**64 - 1)
    content[directory + 30] = len(extra)
    content[directory + PLACE : directory + PLACE + 4] = b"\xff" * 4
    content[directory + 46 + length : directory + 46 + length] = extra
    end = content.rindex(b"PK\5\6")
    size = struct.unpack_from("<I", content, end + 12)[0]
    struct.pack_into("<I", content, end + 12, size + len(extra))
    return bytes(content)


NAME, CHECKSUM, LISTED = (
    "a name that no bundle has",
    "checksum",
    "only in the list or only in the bundle",
)
BROKEN = "cannot be read"
# How a bundle is made -> what must be said of it.
CASES: dict[str, tuple[Zip, str]] = {
    "parent": (with_file("../x.json"), NAME),
    "escape": (with_file("results/a\x1b[2Jb.json"), NAME),
    "long-name": (with_file("results/" + "x" * 60_000 + ".json"), NAME),
    "file-and-folder": (with_file(f"{INDEX}/x.json"), "cannot be unpacked"),
    "redrawn": (with_file("redrawn/figures/figures.json", b"[1]"), "where a replay draws"),
    "bzip2": (
        lambda files: zipped(files, zipfile.ZIP_BZIP2),
        "compressed as no file of a bundle is",
    ),
    # What `zipfile` raises for these is of different types.
    "no-zip": (lambda files: b"no zip file at all", BROKEN),
    "truncated": (lambda files: zipped(files)[:-500], BROKEN),
    "damaged": (damaged, BROKEN),
    "says-less": (with_field(SIZE, struct.pack("<I", 10)), BROKEN),
    "encrypted": (with_field(FLAGS, b"\1\0"), BROKEN),
    "name-not-utf-8": (name_not_utf_8, BROKEN),
    "far-away": (far_away, BROKEN),
    "no-list": (without(LIST), "there is no checksums.sha256"),
    "not-in-list": (lambda files: zipped({**listed(files), "results/x.json": b"{}"}), LISTED),
    "only-in-list": (lambda files: zipped({**files, LIST: files[LIST] + b"0  x.json\n"}), LISTED),
    "wrong-sum": (wrong_sum, CHECKSUM),
    "twice": (twice, CHECKSUM),
    "no-index": (without(INDEX), "0 indexes"),
    "two-indexes": (with_file("results/apptainer/index.json"), "2 indexes"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_zip_file_is_refused(
    case: str, files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "inner" / "bundle.zip"
    bundle.parent.mkdir()
    build, words = CASES[case]
    bundle.write_bytes(build(files))
    assert words in refused(bundle, tmp_path, capsys)


def refused(bundle: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which a replay refuses `bundle`; `folder` is as before."""
    before = sorted(folder.rglob("*"))
    assert call(script.main, bundle, "--output-dir", bundle.parent / "out") == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1
    assert (
        str(bundle.parent) in said.err and said.err.strip().isprintable() and len(said.err) < 1000
    )
    assert sorted(folder.rglob("*")) == before
    return said.err


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "x//x.json",
            "/x.json",
            "../x.json",
            "x/../../x.json",
            "x/./x.json",
            "x\\..\\x.json",
            "C:/x.json",
        ),
        *(
            "x/a\nb.json",
            "x/a\0b.json",
            "x/\u202enosj.json",
            "x/a b.json",
            ".git/config.txt",
        ),
        *("x/" + "x" * 201, "x/" * 12 + "x.json"),
    ],
)
def test_only_plain_names_are_allowed(name: str) -> None:
    assert not is_allowed(name)
    assert is_allowed("x/" * 11 + "A-b_c.d+1") and is_allowed("x")


def test_what_is_refused_is_told_from_what_is_not(files: Files, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.zip"
    for build in (zipped, with_file("results/x.json"), with_file("data/x/y/z.txt")):
        bundle.write_bytes(build(files))
        assert unpack(bundle, tmp_path / "out") == tmp_path / "out" / INDEX
        assert {
            str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*")
        } >= files.keys()
        shutil.rmtree(tmp_path / "out")


def test_what_says_to_be_a_link_becomes_a_file(files: Files, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(with_field(ATTRIBUTES, struct.pack("<I", 0o120777 << 16))(files))
    where = unpack(bundle, tmp_path / "out")
    assert not where.is_symlink() and where.read_bytes() == files[INDEX]


@pytest.mark.parametrize(
    ("limit", "number", "words"),
    [
        ("MAX_ZIP_BYTES", 9000, "bytes, 9000 are allowed"),
        ("MAX_FILES", 20, "files, 20 are allowed"),
        ("MAX_FILE_BYTES", 1000, "bytes in one file, 1000 are allowed"),
        ("MAX_TOTAL_BYTES", 30_000, "bytes unpacked, 30000 are allowed"),
    ],
)
def test_limits_are_kept(
    files: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    number: int,
    words: str,
) -> None:
    monkeypatch.setattr(f"evenground.bundle.unpack.{limit}", number)
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(zipped(files))
    assert 9000 < bundle.stat().st_size < 30_000 < sum(map(len, files.values()))
    with pytest.raises(EvengroundError, match=words):
        unpack(bundle, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [bundle]


@cache
def bomb(size: int) -> bytes:
    """Zeros, packed a hundred times smaller, block by block so that they are never here at once."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return b"".join([packer.compress(bytes(2**20)) for _ in range(size // 2**20)]) + packer.flush()


def with_bomb(files: Files, packed: bytes, said: int) -> bytes:
    """A bundle with a file that is `packed` already and says to be `said` bytes long."""
    name = "results/x.json"
    content = bytearray(zipped(listed({**files, name: b""}) | {name: packed}, zipfile.ZIP_STORED))
    for mark, offset in ((b"PK\3\4", 8), (b"PK\1\2", METHOD)):
        start = content.rindex(mark, 0, content.rindex(name.encode()))
        struct.pack_into("<H", content, start + offset, zipfile.ZIP_DEFLATED)
    struct.pack_into("<I", content, start + SIZE, said)
    return bytes(content)


@pytest.mark.parametrize("said", [300 * 2**20, 100], ids=["says so", "says 100 bytes"])
def test_a_bomb_fills_neither_memory_nor_disk(said: int, files: Files, tmp_path: Path) -> None:
    packed = bomb(300 * 2**20)
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(with_bomb(files, packed, said))
    tracemalloc.start()
    with pytest.raises(EvengroundError):
        unpack(bundle, tmp_path / "out")
    assert tracemalloc.get_traced_memory()[1] < 30 * 2**20
    tracemalloc.stop()
    assert list(tmp_path.iterdir()) == [bundle]


def test_what_is_no_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "inner" / "bundle.zip"
    folder.mkdir(parents=True)
    assert "no such file" in refused(folder, tmp_path, capsys)
    folder.rmdir()
    assert "no such file" in refused(folder, tmp_path, capsys)


def test_a_folder_that_is_there_is_left_alone(files: Files, tmp_path: Path) -> None:
    bundle, mine = tmp_path / "bundle.zip", tmp_path / "out" / "mine.txt"
    bundle.write_bytes(zipped(files))
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(EvengroundError, match="there already"):
        unpack(bundle, mine.parent)
    assert [*mine.parent.iterdir()] == [mine] and mine.read_text() == "mine"
