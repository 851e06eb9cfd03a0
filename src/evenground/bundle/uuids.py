"""Leaving out which card it was: a UUID names one card in the world, and a bundle is given away."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evenground.bundle.contents import DERIVED, SETTINGS
from evenground.files import json_text, read_json, sha256_bytes, sha256_file, write_json

MANIFEST, INDEX = "manifest.json", "index.json"
# Of a card or a MIG instance, whole or the first part of it, as CUDA_VISIBLE_DEVICES may have it.
UUID = re.compile(
    r"(?<![0-9A-Za-z])(?:MIG-GPU|GPU|MIG)-"
    r"(?:[0-9a-fA-F]{8}[0-9a-fA-F-]*(?:/\d+/\d+)?|(?=[a-fA-F]*\d)[0-9a-fA-F]{2,7})"
    r"(?![0-9A-Za-z])"
)
REASON = "bundles leave it out: it names one card in the world"
IN_TEXT = "(a UUID that bundles leave out)"


def name_a_card(files: Mapping[str, Path]) -> bool:
    """Whether one of the files has a UUID of a card in it."""
    return any(_has_uuid(path) for path in files.values())


def lay_out(files: Mapping[str, Path], to: Path) -> Path:
    """Write the files of a bundle (name -> file) below `to`, without UUIDs; the path of the index there.

    A UUID of a record is null, and its reason stands in `missing`; in any other text words take its place.
    Manifests and the index have the new checksums; `recorded_as` in the index is that of a run's manifest
    as it was. What follows from the runs is left out: it has to be drawn anew.
    """
    for name, path in files.items():
        if not _is_derived(name):
            target = to / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_without(path) if _has_uuid(path) else path.read_bytes())
    (where,) = (to / name for name in files if Path(name).name == INDEX)
    content = read_json(where)
    for run in content["runs"]:
        if run["path"] is not None:
            _renew(run, to / run["path"])
    if content.get("calibration"):
        content["calibration"]["sha256"] = sha256_file(to / content["calibration"]["path"])
    write_json(where, content)
    return where


def _is_derived(name: str) -> bool:
    """Whether it follows from the runs, as `contents.DERIVED` says: beside the index."""
    parts = Path(name).parts
    return (
        parts[0] == "results"
        and parts[1] not in ("runs", "calibration")
        and bool({*parts} & {*DERIVED})
    )


def _has_uuid(path: Path) -> bool:
    return UUID.search(_text(path)) is not None


def _text(path: Path) -> str:
    """What no text is has no UUID that anybody could read."""
    return path.read_bytes().decode("utf-8", "replace")


def _without(path: Path) -> bytes:
    """The content of a file without UUIDs."""
    if path.suffix != ".json":
        return UUID.sub(IN_TEXT, _text(path)).encode()
    content = json.loads(_text(path))
    if path.name == SETTINGS and UUID.search(str(content.get("gpu"))):
        # Whoever takes the experiment over has another card.
        content["gpu"] = "auto"
    return json_text(_bare(content)).encode()


def _bare(value: Any) -> Any:
    """The value without UUIDs: null where a record has one, words in other texts."""
    if isinstance(value, str):
        return UUID.sub(IN_TEXT, value)
    if isinstance(value, list):
        return [_bare(one) for one in value]
    if not isinstance(value, dict):
        return value
    bare = {_bare(name): _bare(one) for name, one in value.items()}
    if _names_a_card(value):
        bare["uuid"] = None
    if isinstance(value.get("missing"), dict):
        bare["missing"] |= dict.fromkeys(_lost(value), REASON)
    return bare


def _lost(record: Mapping[str, Any]) -> list[str]:
    """What a record loses, by the names of its `missing`: its own UUID, and those of a card's instances."""
    own = ["uuid"] if _names_a_card(record) else []
    instances = record.get("mig")
    found = instances if isinstance(instances, list) else []
    return own + [f"{one.get('card')} uuid" for one in found if _names_a_card(one)]


def _names_a_card(value: Any) -> bool:
    return isinstance(value, dict) and UUID.search(str(value.get("uuid"))) is not None


def _renew(run: dict[str, Any], folder: Path) -> None:
    """Bring a run's manifest, and its entry in the index, to the files in its folder."""
    path = folder / MANIFEST
    manifest = read_json(path)
    sums = {name: sha256_file(folder / name) for name in manifest["files"]}
    if sums == manifest["files"]:
        return
    content = json_text({**manifest, "files": sums}).encode()
    path.write_bytes(content)
    run["recorded_as"] = run.get("recorded_as") or run["manifest_sha256"]
    run["manifest_sha256"] = sha256_bytes(content)
