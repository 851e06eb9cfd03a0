"""Small datasets in the published layouts, made in the test, and calls of the two scripts."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import runpy
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenground.datasets.registry import DatasetEntry, load_registry

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = ROOT / "data" / "registry.yaml"
IDX_NAMES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}
TRAIN, TEST = 7, 3


def idx_bytes(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """An IDX file of unsigned bytes, not compressed."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(
        size.to_bytes(4, "big") for size in array.shape
    )
    return header + array.tobytes()


def pictures(count: int, *shape: int, seed: int = 0) -> Any:
    """Random uint8 of (count, *shape)."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def labels(count: int, classes: int = 10) -> Any:
    """0, 1, 2, ... as uint8."""
    return (np.arange(count) % classes).astype(np.uint8)


def small_idx() -> dict[str, bytes]:
    """Four IDX files by role, compressed: 7 and 3 pictures of 5x4."""
    plain = {
        "train_images": pictures(TRAIN, 5, 4),
        "train_labels": labels(TRAIN),
        "test_images": pictures(TEST, 5, 4, seed=1),
        "test_labels": labels(TEST),
    }
    return {role: gzip.compress(idx_bytes(array), mtime=0) for role, array in plain.items()}


def tar_bytes(members: Mapping[str, bytes]) -> bytes:
    """A tar.gz with these members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def cifar_records(count: int, coarse: bool = False, seed: int = 0) -> bytes:
    """`count` records: superclass 0 (with `coarse`), label, 3,072 bytes of planes."""
    planes = pictures(count, 3072, seed=seed)
    head = np.zeros((count, 1 + coarse), np.uint8)
    head[:, -1] = labels(count)
    return np.hstack([head, planes]).tobytes()


def described(
    files: Mapping[str, bytes], urls: Mapping[str, list[str]] | None = None
) -> list[dict[str, Any]]:
    """`files` as registry entries with true sizes and checksums."""
    return [
        {
            "name": name,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "urls": (urls or {}).get(name, []),
        }
        for name, content in files.items()
    ]


def raw_entry(files: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """A registry entry; by default CIFAR-10's layout with 7 training and 3 test examples in one archive."""
    entry = {
        "title": "Small",
        "network": "cnn",
        "classes": [f"c{k}" for k in range(10)],
        "licence": "none",
        "source": "made in a test",
        "version": "1",
        "format": "cifar10-binary",
        "height": 32,
        "width": 32,
        "channels": 3,
        "train_examples": TRAIN,
        "test_examples": TEST,
        "files": files,
        **changes,
    }
    if str(entry["format"]).startswith("cifar"):
        files[0] |= {
            "train_members": ["d/train_1.bin", "d/train_2.bin"],
            "test_members": ["d/test.bin"],
        }
    return entry


def archive_entry(content: bytes, *urls: str, **changes: Any) -> dict[str, Any]:
    """The default entry around one archive `a.tar.gz`."""
    return raw_entry(described({"a.tar.gz": content}, {"a.tar.gz": list(urls)}), **changes)


def idx_entry(files: Mapping[str, bytes], base: str | None = None) -> dict[str, Any]:
    """An entry of format 'idx' around the four files by role, with `base` as their only host."""
    listed = [
        {"role": role, **file}
        for role, content in files.items()
        for file in described({IDX_NAMES[role]: content})
    ]
    for file in listed:
        file["urls"] = [f"{base}/{file['name']}"] if base else []
    return raw_entry(listed, format="idx", network="mlp", height=5, width=4, channels=1)


def typed(raw: Mapping[str, Any], name: str = "small") -> DatasetEntry:
    """The entry as the registry would load it."""
    return load_registry(REGISTRY, {name: raw})[name]


@dataclass(frozen=True)
class Outcome:
    """What a call of a script left: exit code and both streams."""

    code: int
    stdout: str
    stderr: str

    def error(self) -> str:
        """The one error line; fails unless it is the only one, the last one, and the exit code is 1."""
        lines = self.stderr.splitlines()
        errors = [line for line in lines if line.startswith("error:")]
        assert self.code == 1 and len(errors) == 1 and lines[-1] == errors[0], self
        assert "Traceback" not in self.stderr, self.stderr
        return errors[0]


class Scripts:
    """Calls scripts in this process, as `python scripts/NAME.py ...` would."""

    def __init__(
        self, folder: Path, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        self.folder, self._capture, self._patch = folder, capture, patch

    def call(self, name: str, *arguments: object) -> Outcome:
        """Run the script to its end."""
        path = ROOT / "scripts" / f"{name}.py"
        self._patch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        self._capture.readouterr()
        code = 0
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            code = int(end.code or 0)
        streams = self._capture.readouterr()
        return Outcome(code, streams.out, streams.err)

    def configured(self, raw: Mapping[str, Any] | None) -> list[object]:
        """Options that name the registry and, in a configuration file, the entry `small`."""
        if raw is None:
            return ["--registry", REGISTRY]
        path = self.folder / "config.json"
        path.write_text(
            json.dumps({"datasets": ["small"], "registry": {"small": raw}}), encoding="utf-8"
        )
        return ["--registry", REGISTRY, "--extra-registry", path]

    def fetch(
        self, raw: Mapping[str, Any] | None, *more: object, dataset: str = "small"
    ) -> Outcome:
        """scripts/fetch.py into `raw`."""
        options = ["--dataset", dataset, "--output-dir", self.folder / "raw"]
        return self.call("fetch", *self.configured(raw), *options, *more)

    def prepare(self, raw: Mapping[str, Any] | None, dataset: str = "small") -> Outcome:
        """scripts/prepare.py from `raw` into `prepared`."""
        folders = ["--raw-dir", self.folder / "raw", "--output-dir", self.folder / "prepared"]
        return self.call("prepare", *self.configured(raw), "--dataset", dataset, *folders)
