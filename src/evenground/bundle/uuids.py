"""Removing the UUIDs of GPUs: a UUID identifies one card in the world, and bundles are shared."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from evenground.bundle.contents import DERIVED, SETTINGS
from evenground.bundle.unpack import find_index
from evenground.files import sha256_file
from evenground.records.index import Condition, WantedRun, read_index
from evenground.records.manifest import MANIFEST, Manifest
from evenground.records.plan import FileBeside

# The UUID of a card or a MIG instance, in full or abbreviated as CUDA_VISIBLE_DEVICES allows. It is
# no part of a longer word: before it may stand an escape of JSON, whose last sign looks like one.
UUID = re.compile(
    r"(?:(?<![0-9A-Za-z])|(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{4}))(?:MIG-GPU|GPU|MIG)-"
    r"(?:[0-9a-fA-F]{8}[0-9a-fA-F-]*(?:/\d+/\d+)?|(?=[a-fA-F]*\d)[0-9a-fA-F]{2,7})"
    r"(?![0-9A-Za-z])"
)
# Neither has a sign that JSON would escape.
IN_TEXT = "(a UUID that bundles leave out)"
# Another user of the experiment has another card.
IN_SETTINGS = "auto"


def name_a_card(files: Mapping[str, Path]) -> bool:
    """Whether any of the files contains the UUID of a card."""
    return any(_has_uuid(path) for path in files.values())


def lay_out(files: Mapping[str, Path], to: Path) -> Path:
    """Write the files of a bundle (name -> file) below `to` without UUIDs; return the index's path.

    Words replace a UUID. Manifests and the index get the new checksums; in the index, `recorded_as`
    keeps the checksum of a run's original manifest. Results derived from the runs are left out:
    they have to be made again. Raises EvengroundError if there is not exactly one index.
    """
    for name, path in files.items():
        if not _is_derived(name):
            _copy_bare(path, to / name)
    where = find_index(to)
    index = read_index(where)
    conditions = tuple(_renewed_condition(condition, to) for condition in index.conditions)
    index.model_copy(update={"conditions": conditions}).write(where)
    return where


def _is_derived(name: str) -> bool:
    """Whether the file is derived from the runs: one of `contents.DERIVED`, beside the index."""
    parts = Path(name).parts
    if parts[0] != "results" or parts[1] in ("runs", "calibration"):
        return False
    return any(part in DERIVED for part in parts)


def _has_uuid(path: Path) -> bool:
    return UUID.search(_text(path)) is not None


def _text(path: Path) -> str:
    """The file as text; bytes that are not UTF-8 cannot be part of a readable UUID."""
    return path.read_bytes().decode("utf-8", "replace")


def _copy_bare(path: Path, to: Path) -> None:
    """Copy a file without UUIDs; a file that has none is copied unchanged."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if not _has_uuid(path):
        shutil.copyfile(path, to)
        return
    words = IN_TEXT
    if path.name == SETTINGS:
        words = IN_SETTINGS
    to.write_bytes(UUID.sub(words, _text(path)).encode())


def _renewed_condition(condition: Condition, root: Path) -> Condition:
    renewed: dict[str, object] = {"runs": tuple(_renewed(run, root) for run in condition.runs)}
    if condition.calibration:
        path = condition.calibration.path
        renewed["calibration"] = FileBeside(path=path, sha256=sha256_file(root / path))
    return condition.model_copy(update=renewed)


def _renewed(run: WantedRun, root: Path) -> WantedRun:
    """The entry of a run whose manifest gets the checksums of the files in its folder."""
    if run.path is None:
        return run
    path = root / run.path / MANIFEST
    manifest = Manifest.read(path)
    sums = {name: sha256_file(path.with_name(name)) for name in manifest.files}
    # A run that never named a card stays as it was recorded.
    if sums == manifest.files:
        return run
    manifest.model_copy(update={"files": sums}).write(path)
    # The checksum from the first time is kept: it identifies the run as the recorded one.
    recorded_as = run.recorded_as or run.manifest_sha256
    renewed = {"recorded_as": recorded_as, "manifest_sha256": sha256_file(path)}
    return run.model_copy(update=renewed)
