"""Recorded runs of older formats, brought to those of today. A change of a format is a function here."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from evenground.bundle.names import NOT_ALLOWED, is_allowed
from evenground.errors import EvengroundError
from evenground.files import read_json, sha256_file, write_json
from evenground.records import versions

MANIFEST = "manifest.json"
FIX = "take another copy of the bundle"


def convert_results(where: Path, root: Path) -> int:
    """Convert the index file at `where` and the runs it names below `root`; how many runs were changed.

    Manifests and the index get the new checksums. Raises EvengroundError for what cannot be converted.
    """
    index = read_json(where)
    if not isinstance(index, dict) or not isinstance(index.get("runs"), list):
        raise EvengroundError("it is no index", str(where), FIX)
    changed = 0
    # The models of this version do not read files of another one: what is missing in them is found here.
    try:
        for run in index["runs"]:
            if run["path"] is None:
                continue
            _refuse_outside(run["path"], where)
            folder = root / run["path"]
            if _convert_run(folder):
                changed += 1
            run["manifest_sha256"] = sha256_file(folder / MANIFEST)
    except (KeyError, TypeError, ValueError, OSError) as error:
        what = f"a run cannot be converted: {error!r}"
        raise EvengroundError(what, str(where), FIX) from error
    index["schema"] = versions.INDEX
    write_json(where, index)
    return changed


def _refuse_outside(path: str, where: Path) -> None:
    """An index may come from anybody; nothing outside of the bundle is written."""
    if not is_allowed(f"{path}/{MANIFEST}"):
        raise EvengroundError(NOT_ALLOWED, f"{path!r} in {where}", FIX)


def _convert_run(folder: Path) -> bool:
    """Convert one run; whether there was anything to do."""
    header = read_json(folder / "samples.json")
    # A run of this version may stand in an index of an older one.
    if header["schema"] != 1:
        return False
    _add_monotonic_times(header, folder / "samples.csv")
    write_json(folder / "samples.json", header)
    manifest = read_json(folder / MANIFEST)
    manifest["files"]["samples.json"] = sha256_file(folder / "samples.json")
    write_json(folder / MANIFEST, manifest)
    return True


def _add_monotonic_times(header: dict[str, Any], samples: Path) -> None:
    """Schema 1 to 2: launch and exit by the monotonic clock, too.

    The first row counts its interval from the launch. The exit lies within milliseconds of the last row,
    which has both clocks.
    """
    with samples.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{samples.name} has no row")
    first = rows[0]
    last = rows[-1]
    summary = header["summary"]
    # By what the clock of the day is ahead of the monotonic one.
    offset_ns = int(last["t_unix_ns"]) - int(last["t_mono_ns"])
    summary["launched_mono_ns"] = int(first["t_mono_ns"]) - int(first["interval_ns"])
    summary["exited_mono_ns"] = summary["exited_unix_ns"] - offset_ns
    header["schema"] = 2
