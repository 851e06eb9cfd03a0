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
from evenground.bundle.unpack import Limits, unpack
from evenground.errors import EvengroundError
from made_bundle import INDEX, LIST, Files, call, listed

# Where fields stand in an entry of a zip file's directory (PKWARE's APPNOTE.TXT, 4.3.12).
FLAGS, METHOD, PACKED_SIZE, SIZE, ATTRIBUTES, PLACE = 8, 10, 20, 24, 38, 42
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


def renamed(name: bytes) -> Zip:
    """The same, for a name that `zipfile` would not write."""
    stand_in = b"Q" * len(name)
    return lambda files: with_file(stand_in.decode())(files).replace(stand_in, name)


def with_field(offset: int, value: bytes, name: str = INDEX) -> Zip:
    """A bundle with one field of an entry's description changed."""

    def build(files: Files) -> bytes:
        content = bytearray(zipped(files))
        start = content.rindex(b"PK\1\2", 0, content.rindex(name.encode()))
        content[start + offset : start + offset + len(value)] = value
        return bytes(content)

    return build


def kind(mode: int) -> Zip:
    return with_field(ATTRIBUTES, struct.pack("<I", (mode | 0o644) << 16))


def with_list(change: Callable[[list[str]], list[str]]) -> Zip:
    """A bundle whose list of checksums was changed."""

    def build(files: Files) -> bytes:
        lines = change(listed(files)[LIST].decode().splitlines())
        return zipped({**files, LIST: "".join(line + "\n" for line in lines).encode()})

    return build


def without(name: str) -> Zip:
    def build(files: Files) -> bytes:
        left = {one: content for one, content in files.items() if one != name}
        return zipped(left if name == LIST else listed(left))

    return build


def overlapping(files: Files) -> bytes:
    """Two entries that lead to the same bytes."""
    content = bytearray(zipped(listed({**files, "results/a.json": b"{}", "results/b.json": b"{}"})))
    first, second = (
        content.rindex(b"PK\1\2", 0, content.rindex(n)) for n in (b"s/a.json", b"s/b.json")
    )
    content[second + PLACE : second + PLACE + 4] = content[first + PLACE : first + PLACE + 4]
    return bytes(content)


def no_name(files: Files) -> bytes:
    """An entry whose name is empty."""
    content = bytearray(zipped(listed({"Q": b"{}", **files})))
    place = content.index(b"Q", content.index(b"PK\1\2"))
    length = place - 46 + 28
    content[length : length + 2], content[26:28] = b"\0\0", b"\0\0"
    # The name goes to the field behind it, whose length stands behind the name's.
    content[length + 4 : length + 6] = b"\1\0"
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


ZEROS = "0" * 64
NAME, PLACE_OF_NONE, KIND = (
    "a name that no bundle has",
    "a place where no bundle",
    "a kind of file that no",
)
TWICE, SPECIAL, ENCRYPTED = "a name twice", "a link or another special file", "an encrypted file"
PACKED, BROKEN, LISTED = (
    "packed as in no bundle",
    "cannot be read",
    "only in the list or only in the bundle",
)
NO_JSON, METADATA = "not valid JSON", "ro-crate-metadata.json"
# How a bundle is made -> what must be said of it.
CASES: dict[str, tuple[Zip, str]] = {
    "parent": (with_file("../x.json"), NAME),
    "deep-parent": (with_file("results/../../x.json"), NAME),
    "absolute": (with_file("/x.json"), NAME),
    "double-slash": (with_file("results//x.json"), NAME),
    "dot": (with_file("results/./x.json"), NAME),
    "backslash": (with_file("results\\..\\x.json"), NAME),
    "drive": (with_file("C:/x.json"), NAME),
    "line-break": (with_file("results/a\nb.json"), NAME),
    "escape": (with_file("results/a\x1b[2Jb.json"), NAME),
    "right-to-left": (with_file("results/\u202enosj.json"), NAME),
    "nul": (renamed(b"results/a\0b.json"), NAME),
    "no-name": (no_name, NAME),
    "space": (with_file("results/a b.json"), NAME),
    "hidden": (with_file(".git/config.txt"), NAME),
    "long": (with_file("results/" + "x" * 60_000 + ".json"), NAME),
    "long-part": (with_file("results/" + "x" * 300 + ".json"), NAME),
    "deep": (with_file("results/" + "x/" * 20 + "x.json"), NAME),
    "other-place": (with_file("redrawn/figures/figures.json", b"[1]"), PLACE_OF_NONE),
    "no-folder": (with_file("setup.txt"), PLACE_OF_NONE),
    "pickle": (with_file("results/x.pkl"), KIND),
    "array": (with_file("results/x.npy"), KIND),
    "program": (with_file("results/x.py"), KIND),
    "no-suffix": (with_file("results/x"), KIND),
    "twice": (renamed(INDEX.encode()), TWICE),
    "file-and-folder": (with_file(f"{INDEX}/x.json"), TWICE),
    "link": (kind(0o120000), SPECIAL),
    "folder-kind": (kind(0o040000), SPECIAL),
    "device": (kind(0o020000), SPECIAL),
    "fifo": (kind(0o010000), SPECIAL),
    "encrypted": (with_field(FLAGS, b"\1\0"), ENCRYPTED),
    "strongly-encrypted": (with_field(FLAGS, b"\x40\0"), BROKEN),
    "patched": (with_field(FLAGS, b"\x20\0"), BROKEN),
    "name-not-utf-8": (name_not_utf_8, BROKEN),
    "unknown-method": (with_field(METHOD, b"\x63\0"), PACKED),
    "bzip2": (with_field(METHOD, b"\x0c\0"), PACKED),
    "lzma": (with_field(METHOD, b"\x0e\0"), PACKED),
    "stored-as-if": (with_field(METHOD, b"\0\0"), BROKEN),
    "says-less": (with_field(SIZE, struct.pack("<I", 10)), BROKEN),
    "says-more": (with_field(SIZE, struct.pack("<I", 10**6)), BROKEN),
    "says-nothing": (with_field(SIZE, struct.pack("<I", 0)), "checksum"),
    "packed-less": (with_field(PACKED_SIZE, struct.pack("<I", 5)), BROKEN),
    "elsewhere": (with_field(PLACE, struct.pack("<I", 7)), BROKEN),
    "beyond-the-end": (with_field(PLACE, struct.pack("<I", 2**31)), BROKEN),
    "far-away": (far_away, BROKEN),
    "overlapping": (overlapping, BROKEN),
    "no-list": (without(LIST), "there is no checksums.sha256"),
    "not-in-list": (lambda files: zipped({**listed(files), "results/x.json": b"{}"}), LISTED),
    "only-in-list": (with_list(lambda lines: [*lines, f"{ZEROS}  results/x.json"]), LISTED),
    "wrong-sum": (with_list(lambda lines: [f"{ZEROS}  {lines[0][66:]}", *lines[1:]]), "checksum"),
    "line-twice": (with_list(lambda lines: [f"{ZEROS}  {lines[0][66:]}", *lines]), TWICE),
    "list-of-nonsense": (with_list(lambda lines: ["\0\x85\n", *lines]), LISTED),
    "empty-list": (with_list(lambda lines: []), LISTED),
    "no-index": (without(INDEX), "0 indexes"),
    "two-indexes": (with_file("results/apptainer/index.json"), "2 indexes"),
    "no-metadata": (without(METADATA), "no usable"),
    "metadata-of-nothing": (with_file(METADATA, b"[]"), "no usable"),
    "metadata-graph": (with_file(METADATA, b'{"@graph": [1, {"@id": 5}]}'), "no usable"),
    "deep-metadata": (with_file(METADATA, b"[" * 100_000), NO_JSON),
    "long-number": (with_file(METADATA, b"1" * 5000), NO_JSON),
    "deep-index": (with_file(INDEX, b"[" * 100_000), NO_JSON),
    "long-number-index": (with_file(INDEX, b'{"schema": ' + b"1" * 5000 + b"}"), NO_JSON),
    "not-utf-8-index": (with_file(INDEX, b'{"\xff": 1}'), NO_JSON),
    "list-index": (with_file(INDEX, b"[]"), "broken index"),
    "truncated": (lambda files: zipped(files)[:-500], BROKEN),
    "half": (lambda files: zipped(files)[: len(zipped(files)) // 2], BROKEN),
    "no-zip": (lambda files: b"no zip file at all", BROKEN),
    "empty-file": (lambda files: b"", BROKEN),
    "empty-zip": (lambda files: zipped({}), "there is no checksums.sha256"),
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
    assert str(bundle) in said.err and "inner/.out" not in said.err and len(said.err) < 1000
    assert sorted(folder.rglob("*")) == before
    return said.err


def test_what_is_refused_is_told_from_what_is_not(files: Files, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.zip"
    for build in (
        zipped,
        with_file("results/x.json"),
        with_file("data/x/y/z.txt"),
        with_list(lambda x: x),
    ):
        bundle.write_bytes(build(files))
        assert unpack(bundle, tmp_path / "out") == tmp_path / "out" / INDEX
        assert {
            str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*")
        } >= files.keys()
        shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(files=20), "files, 20 are allowed"),
        (Limits(file_bytes=1000), "bytes in one file, 1000 are allowed"),
        (Limits(total_bytes=9000), "bytes, 9000 are allowed"),
        (Limits(total_bytes=30_000), "bytes unpacked, 30000 are allowed"),
    ],
)
def test_limits_are_kept(files: Files, tmp_path: Path, limits: Limits, words: str) -> None:
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(zipped(files))
    assert 9000 < bundle.stat().st_size < 30_000 < sum(map(len, files.values()))
    with pytest.raises(EvengroundError, match=words):
        unpack(bundle, tmp_path / "out", limits)
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


def test_a_crowd_of_entries_is_refused_before_it_is_read(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(b"PK\1\2" * 200_001)
    with pytest.raises(EvengroundError, match="200001 files"):
        unpack(bundle, tmp_path / "out")


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
