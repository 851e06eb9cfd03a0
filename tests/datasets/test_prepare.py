"""Preparation: the published layouts to arrays, and every damage to a file is one line that loses nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from datasets.faulty_server import Site
from datasets.small_data import (
    IDX_NAMES,
    TEST,
    TRAIN,
    Scripts,
    archive_entry,
    cifar_records,
    idx_bytes,
    idx_entry,
    labels,
    pictures,
    small_idx,
    tar_bytes,
    typed,
)
from evenground.datasets import prepare
from evenground.datasets.prepare import prepare_dataset, read_arrays
from evenground.errors import EvengroundError
from evenground.records.dataset import Prepared
from logged import logged

FILES = {
    "train_images.npy",
    "train_labels.npy",
    "test_images.npy",
    "test_labels.npy",
    "dataset.json",
}


def store_idx(folder: Path, files: dict[str, bytes]) -> Path:
    """The four files by role under their published names."""
    folder.mkdir(exist_ok=True)
    for role, content in files.items():
        (folder / IDX_NAMES[role]).write_bytes(content)
    return folder


def members(coarse: bool = False) -> dict[str, bytes]:
    """A CIFAR archive's members: 4 and 3 training records, 3 test records, and two that nobody asks for."""
    records = {
        "d/readme.html": b"not for us",
        "d/train_1.bin": cifar_records(4, coarse, seed=1),
        "d/test.bin": cifar_records(TEST, coarse, seed=2),
        "d/train_2.bin": cifar_records(3, coarse, seed=3),
    }
    return {**records, "../outside": b"evil"}


def test_transposed_pictures_are_turned(tmp_path: Path) -> None:
    """As in EMNIST's files: sizes and pixels are column by column there."""
    files = small_idx()
    turned = {
        name: gzip.compress(idx_bytes(pictures(count, 5, 4, seed=seed).transpose(0, 2, 1).copy()))
        for name, count, seed in (("train_images", TRAIN, 0), ("test_images", TEST, 1))
    }
    entry, other = typed(idx_entry(files)), typed({**idx_entry(files | turned), "transposed": True})
    arrays = read_arrays(entry, store_idx(tmp_path / "raw", files))
    same = read_arrays(other, store_idx(tmp_path / "turned", files | turned))
    assert same.train_images.shape == (TRAIN, 5, 4, 1)
    assert all(np.array_equal(*pair) for pair in zip(same, arrays, strict=True))
    assert typed({**idx_entry(files), "transposed": True}).fingerprint() != entry.fingerprint()


def test_classes_without_pictures_are_named_by_split(scripts: Scripts) -> None:
    """Labels that start at 1, as in EMNIST's letters: the first class is empty, and one of 3 test classes."""
    files = small_idx() | {
        "train_labels": gzip.compress(idx_bytes(np.array([1, 2, 3, 1, 2, 3, 1], np.uint8))),
        "test_labels": gzip.compress(idx_bytes(np.array([1, 2, 2], np.uint8))),
    }
    store_idx(scripts.folder / "raw", files)
    done = scripts.prepare(idx_entry(files) | {"classes": ["none", "a", "b", "c"]})
    assert done.code == 0
    assert [line.partition(": do labels")[0] for line in logged(done.stderr)] == [
        "warning: dataset 'small' has no training picture of 1 of 4 classes: 'none'",
        "warning: dataset 'small' has no test picture of 2 of 4 classes: 'none', 'c'",
    ]


def test_of_many_classes_without_pictures_the_first_are_named(scripts: Scripts) -> None:
    files = small_idx()
    store_idx(scripts.folder / "raw", files)
    done = scripts.prepare(idx_entry(files) | {"classes": [f"c{k}" for k in range(26)]})
    assert (
        "no training picture of 19 of 26 classes: 'c7'," in done.stderr
        and "'c9' and 16 more" in done.stderr
    )


def store_archive(folder: Path, content: bytes) -> Path:
    """The archive under its registered name."""
    folder.mkdir(exist_ok=True)
    (folder / "a.tar.gz").write_bytes(content)
    return folder


def test_idx_comes_out_as_it_went_in(tmp_path: Path) -> None:
    files = small_idx()
    entry = typed(idx_entry(files))
    record = prepare_dataset(entry, store_idx(tmp_path / "raw", files), tmp_path / "out")
    arrays = {
        name: np.load(tmp_path / "out" / f"{name}.npy", allow_pickle=False) for name in IDX_NAMES
    }
    assert np.array_equal(arrays["train_images"], pictures(TRAIN, 5, 4)[..., None])
    assert np.array_equal(arrays["train_labels"], labels(TRAIN))
    assert np.array_equal(arrays["test_images"], pictures(TEST, 5, 4, seed=1)[..., None])
    assert np.array_equal(arrays["test_labels"], labels(TEST))
    assert all(array.dtype == np.uint8 and array.flags.c_contiguous for array in arrays.values())
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "out"}
    assert Prepared.read(tmp_path / "out" / "dataset.json") == record
    assert json.loads((tmp_path / "out" / "dataset.json").read_text(encoding="utf-8")) == {
        "schema": 2,
        "name": "small",
        "title": "Small",
        "classes": [f"c{k}" for k in range(10)],
        "height": 5,
        "width": 4,
        "channels": 1,
        "train_examples": TRAIN,
        "test_examples": TEST,
        "licence": "none",
        "empty_classes": {"training": ["c7", "c8", "c9"], "test": [f"c{k}" for k in range(3, 10)]},
        "arrays": {
            name: hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest()
            for name in sorted(FILES - {"dataset.json"}, reverse=True)
        },
    }


@pytest.mark.parametrize("coarse", [False, True])
def test_cifar_comes_out_channels_last_in_member_order(tmp_path: Path, coarse: bool) -> None:
    content = tar_bytes(members(coarse))
    layout = "cifar100-binary" if coarse else "cifar10-binary"
    entry = typed(archive_entry(content, format=layout))
    arrays = read_arrays(entry, store_archive(tmp_path, content))
    planes = np.vstack([pictures(4, 3072, seed=1), pictures(3, 3072, seed=3)])
    assert arrays.train_images.shape == (TRAIN, 32, 32, 3) and arrays.test_images.shape == (
        TEST,
        32,
        32,
        3,
    )
    for channel in range(3):  # a plane holds 1,024 values row by row: red, green, blue
        for row, column in ((0, 0), (0, 31), (31, 0), (17, 5)):
            expected = planes[:, 1024 * channel + 32 * row + column]
            assert np.array_equal(arrays.train_images[:, row, column, channel], expected)
    assert arrays.train_labels.tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert arrays.test_labels.tolist() == [0, 1, 2]
    assert all(array.dtype == np.uint8 and array.flags.c_contiguous for array in arrays)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.tar.gz"]


def test_a_dataset_of_a_configuration_alone_goes_all_the_way(site: Site, scripts: Scripts) -> None:
    files = small_idx()
    for role, content in files.items():
        site.put(f"/{IDX_NAMES[role]}", content)
    raw = idx_entry(files, site.base)
    assert scripts.fetch(raw).stdout.startswith("small: 4 files")
    assert scripts.prepare(raw).stdout == "small: 7 training and 3 test examples\n"
    assert {path.name for path in (scripts.folder / "prepared").iterdir()} == FILES


def test_preparing_again_gives_the_same_bytes(scripts: Scripts) -> None:
    files = small_idx()
    store_idx(scripts.folder / "raw", files)
    folder = scripts.folder / "prepared"
    folder.mkdir()
    (folder / "train_images.npy").write_bytes(b"half of an earlier, interrupted invocation")
    contents = []
    for _ in range(2):
        assert scripts.prepare(idx_entry(files)).code == 0
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1] and set(contents[0]) == FILES


def test_a_crash_between_two_arrays_never_looks_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = small_idx()
    entry, raw, out = typed(idx_entry(files)), store_idx(tmp_path / "raw", files), tmp_path / "out"
    prepare_dataset(entry, raw, out)
    really, moved = prepare.move, []

    def crash_at_the_third(part: Path, target: Path) -> None:
        if len(moved) == 2:
            raise KeyboardInterrupt
        moved.append(target)
        really(part, target)

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "move", crash_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            prepare_dataset(entry, raw, out)
    assert not (out / "dataset.json").exists()
    prepare_dataset(entry, raw, out)
    assert {path.name for path in out.iterdir()} == FILES


def test_a_raw_file_must_be_the_registered_one(scripts: Scripts) -> None:
    files = small_idx()
    raw = idx_entry(files)
    assert "has no train-images-idx3-ubyte.gz" in scripts.prepare(raw).error()
    store_idx(
        scripts.folder / "raw",
        files | {"test_labels": gzip.compress(idx_bytes(labels(TEST)), mtime=1)},
    )
    assert "wrong checksum: sha256" in scripts.prepare(raw).error()
    assert not (scripts.folder / "prepared").exists()


def plain(files: dict[str, bytes], role: str) -> bytes:
    """The uncompressed IDX file of a role."""
    return gzip.decompress(files[role])


DAMAGES: dict[str, tuple[str, Callable[[dict[str, bytes]], bytes], str]] = {
    "bad magic": (
        "train_images",
        lambda files: gzip.compress(b"\1" + plain(files, "train_images")[1:]),
        "not an IDX file of 3 dimensions: magic is 0x01000803",
    ),
    "labels for images": (
        "train_images",
        lambda files: files["train_labels"],
        "magic is 0x00000801",
    ),
    "another type": (
        "train_labels",
        lambda files: gzip.compress(
            plain(files, "train_labels").replace(b"\x08\x01", b"\x0d\x01", 1)
        ),
        "magic is 0x00000d01",
    ),
    "ends in header": (
        "test_images",
        lambda files: gzip.compress(plain(files, "test_images")[:9]),
        "ends inside",
    ),
    "empty": ("test_images", lambda files: gzip.compress(b""), "magic is 0x ("),
    "short": (
        "train_images",
        lambda files: gzip.compress(plain(files, "train_images")[:-3]),
        "holds 137 values instead of 140",
    ),
    "long": (
        "train_labels",
        lambda files: gzip.compress(plain(files, "train_labels") + b"x"),
        "holds 8 values instead of 7",
    ),
    "another number": (
        "test_labels",
        lambda files: gzip.compress(idx_bytes(labels(TEST + 1))),
        "holds (4,) instead of (3,)",
    ),
    "label too high": (
        "test_labels",
        lambda files: gzip.compress(idx_bytes(np.array([1, 10, 2], np.uint8))),
        "label 10 of record 1 is not in 0..9",
    ),
    "no gzip": (
        "train_images",
        lambda files: plain(files, "train_images"),
        "corrupt: Not a gzipped file",
    ),
    "cut gzip": ("train_images", lambda files: files["train_images"][:-20], "is truncated"),
    "flipped gzip": (
        "train_images",
        lambda files: files["train_images"][:-8] + b"\0\0\0\0" + files["train_images"][-4:],
        "corrupt: CRC check failed",
    ),
    "broken stream": (
        "train_images",
        lambda files: files["train_images"][:10] + b"\xff" * 40 + files["train_images"][50:],
        "is corrupt: Error -3",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_idx_file_is_one_line_and_loses_nothing(scripts: Scripts, damage: str) -> None:
    role, spoil, expected = DAMAGES[damage]
    good = small_idx()
    store_idx(scripts.folder / "raw", good)
    assert scripts.prepare(idx_entry(good)).code == 0
    before = {path.name: path.read_bytes() for path in (scripts.folder / "prepared").iterdir()}
    bad = good | {role: spoil(good)}
    store_idx(scripts.folder / "raw", bad)
    line = scripts.prepare(idx_entry(bad)).error()
    assert expected in line and IDX_NAMES[role] in line and "to have it fetched again" in line
    assert {
        path.name: path.read_bytes() for path in (scripts.folder / "prepared").iterdir()
    } == before


def without(name: str) -> bytes:
    return tar_bytes({key: value for key, value in members().items() if key != name})


def replaced(name: str, content: bytes) -> bytes:
    return tar_bytes(members() | {name: content})


def with_byte(position: int, value: int) -> bytes:
    record = bytearray(members()["d/test.bin"])
    record[position] = value
    return replaced("d/test.bin", bytes(record))


ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "missing member": (lambda: without("d/train_2.bin"), "archive has no member d/train_2.bin"),
    "short member": (
        lambda: replaced("d/train_2.bin", cifar_records(3)[:-1]),
        "d/train_1.bin, d/train_2.bin hold 21510 bytes instead of 7 records of 3073 bytes",
    ),
    "long member": (
        lambda: replaced("d/test.bin", cifar_records(300)),
        "d/test.bin hold 921900 bytes instead of 3 records of 3073 bytes",
    ),
    "label too high": (lambda: with_byte(3073, 10), "label 10 of record 1 is not in 0..9"),
    "another layout": (
        lambda: tar_bytes(members(coarse=True)),
        "hold 21518 bytes instead of 7 records of 3073 bytes",
    ),
    "cut": (lambda: tar_bytes(members())[:20_000], "truncated"),
    "no archive": (lambda: b"<html>not found</html>", "corrupt"),
    "gzip of something else": (lambda: gzip.compress(b"<html>" * 400), "corrupt"),
}


@pytest.mark.parametrize("named", ["./{}", "././{}", ".//{}"])
def test_members_with_a_leading_dot_are_those_without(tmp_path: Path, named: str) -> None:
    """As `tar -C folder -czf a.tar.gz .` makes them; the registry takes both, too."""
    plain, dotted = (
        tar_bytes(members()),
        tar_bytes({named.format(k): v for k, v in members().items()}),
    )
    raw = archive_entry(dotted)
    (file,) = raw["files"]
    expected = read_arrays(typed(archive_entry(plain)), store_archive(tmp_path / "plain", plain))
    seen = [typed(raw)]
    file["train_members"] = [named.format(name) for name in file["train_members"]]
    seen.append(typed(raw))
    assert seen[0] == seen[1]
    for entry in seen:
        arrays = read_arrays(entry, store_archive(tmp_path / "dotted", dotted))
        assert all(np.array_equal(*pair) for pair in zip(arrays, expected, strict=True))


@pytest.mark.parametrize("named", ["/{}", "../{}", "d/../{}", "./../{}"])
def test_members_that_lead_out_are_no_members(tmp_path: Path, named: str) -> None:
    content = tar_bytes({named.format(key): value for key, value in members().items()})
    with pytest.raises(EvengroundError, match=r"archive has no member d/train_1\.bin"):
        read_arrays(typed(archive_entry(content)), store_archive(tmp_path, content))


@pytest.mark.parametrize("damage", ARCHIVES)
def test_a_damaged_cifar_archive_is_one_line(scripts: Scripts, damage: str) -> None:
    make, expected = ARCHIVES[damage]
    content = make()
    store_archive(scripts.folder / "raw", content)
    line = scripts.prepare(archive_entry(content)).error()
    assert expected in line and "a.tar.gz" in line
    assert not (scripts.folder / "prepared").exists()


def test_a_member_that_is_a_link_is_no_member(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, body in members().items():
            info = tarfile.TarInfo(name)
            if name == "d/test.bin":
                info.type, info.linkname, body = tarfile.SYMTYPE, "/etc/passwd", b""
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    content = stream.getvalue()
    with pytest.raises(EvengroundError, match=r"archive has no member d/test\.bin"):
        read_arrays(typed(archive_entry(content)), store_archive(tmp_path, content))
