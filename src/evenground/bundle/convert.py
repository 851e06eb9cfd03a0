"""Converting bundles of recorded runs from the previous format to the current one.

Each change of a format has its own function here. Files of other versions are taken apart by their
keys, as nowhere else: the models of `evenground.records` describe the current formats only.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evenground.bundle.contents import DERIVED, SETTINGS, collect, laid_out
from evenground.bundle.names import NOT_ALLOWED, is_allowed
from evenground.bundle.pack import pack
from evenground.bundle.replay import redraw
from evenground.bundle.unpack import blamed_on, extract, find_index
from evenground.bundle.uuids import lay_out, name_a_card
from evenground.claims.model import read_claims
from evenground.datasets.registry import load_extra, load_registry, prepared_fingerprint
from evenground.errors import EvengroundError
from evenground.files import read_json, sha256_file, write_json
from evenground.records import versions
from evenground.records.environment import ENVIRONMENT, Environment
from evenground.records.index import Index, read_index
from evenground.records.manifest import MANIFEST
from evenground.records.times import EVENTS
from evenground.runs.index import file_beside
from evenground.runs.plan import REGISTRY, contact_sheet_file

FIX = "take another copy of the bundle"
# The schema of the indexes that can be converted, and the names that have changed since.
OLD_INDEX = 2
NEW_NAMES = {
    "images": "examples",
    "hits": "correct",
    "train_images": "train_examples",
    "test_images": "test_examples",
    "warm_up_images": "warm_up_examples",
}


def convert(bundle: Path, to: Path, root: Path) -> tuple[Index, int]:
    """Bring a bundle of an older version to today's formats, with tables and figures redrawn.

    `to` may be the same file, which is then replaced. Returns what was packed, and how many runs
    were converted. Raises EvengroundError for a bundle that cannot be read.
    """
    if to.is_dir():
        raise EvengroundError("it is a folder", str(to), "name the file to write, as in runs.zip")
    with tempfile.TemporaryDirectory(prefix="evenground-convert-") as scratch:
        folder = Path(scratch, "bundle")
        extract(bundle, folder)
        with blamed_on(bundle, folder):
            where = find_index(folder)
            converted = convert_results(where, folder)
            _add_contact_sheets(where, folder, root)
            files = _all_files(folder)
            if name_a_card(files):
                where = lay_out(files, Path(scratch, "bare"))
            _clear_derived(where.parent)
            index, files = redrawn(where, root)
        pack(index, files, to)
    return index, converted


def _add_contact_sheets(where: Path, folder: Path, root: Path) -> None:
    """Add the contact sheets that the working copy `root` has of datasets without one.

    `where` is the index of the bundle unpacked into `folder`. Raises EvengroundError if the index,
    or the settings beside it, are broken.
    """
    read_index(where)
    registry = load_registry(root / REGISTRY, load_extra(where.with_name(SETTINGS)))
    index = read_json(where)
    for dataset in index["datasets"]:
        # In the registry, one name means the same bytes everywhere.
        entry = registry.get(dataset["name"])
        if entry is None or dataset.get("contact_sheet"):
            continue
        sheet = contact_sheet_file(entry.name, prepared_fingerprint(entry))
        if (root / sheet).is_file():
            (folder / sheet).parent.mkdir(exist_ok=True)
            shutil.copyfile(root / sheet, folder / sheet)
            found = file_beside(sheet.as_posix(), folder)
            dataset["contact_sheet"] = found.model_dump() if found else None
    write_json(where, index)


def redrawn(where: Path, root: Path) -> tuple[Index, dict[str, Path]]:
    """Draw everything beside the index at `where`; the index, and all files for a bundle."""
    index = read_index(where)
    redraw(index, where, where.parent, read_claims(root))
    # What does not follow from the runs is packed as it is.
    return index, collect(index, where, laid_out(index.root))


def _all_files(folder: Path) -> dict[str, Path]:
    """Name -> file of everything in an unpacked bundle."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path for path in files}


def _clear_derived(results: Path) -> None:
    """Remove the older version's tables and figures, some of which are no longer made."""
    for name in DERIVED:
        path = results / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def convert_results(where: Path, root: Path) -> int:
    """Convert an index, the settings beside it and its runs; return the number of runs converted.

    `where` is the index file; the paths of its runs start at `root`. Manifests and the index get
    the new checksums. Raises EvengroundError if something cannot be converted.
    """
    index = read_json(where)
    if not isinstance(index, dict) or not isinstance(index.get("runs"), list):
        raise EvengroundError("it is no index", str(where), FIX)
    if index.get("schema") == versions.INDEX:
        return 0
    _refuse_others(index.get("schema"), where)
    try:
        converted = _convert_runs(index["runs"], where, root)
        index["datasets"] = [_renamed(dataset) for dataset in index["datasets"]]
        _convert_settings(where.with_name("experiment.json"))
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        what = f"a run cannot be converted: {error!r}"
        raise EvengroundError(what, str(where), FIX) from error
    index["schema"] = versions.INDEX
    write_json(where, index)
    return converted


def _refuse_others(schema: object, where: Path) -> None:
    if schema != OLD_INDEX:
        what = f"it has schema {schema!r}, this version of evenground converts schema {OLD_INDEX}"
        raise EvengroundError(what, str(where), FIX)


def _convert_runs(runs: list[dict[str, Any]], where: Path, root: Path) -> int:
    """Convert every finished run, update its checksum in the index, and return their number."""
    finished = [run for run in runs if run["path"] is not None]
    for run in finished:
        _refuse_outside(run["path"], where)
        _convert_run(root / run["path"])
        run["manifest_sha256"] = sha256_file(root / run["path"] / MANIFEST)
    return len(finished)


def _refuse_outside(path: str, where: Path) -> None:
    """Raise EvengroundError if `path` leads out of the bundle: the index is not trusted."""
    if not is_allowed(f"{path}/{MANIFEST}"):
        raise EvengroundError(NOT_ALLOWED, f"{path!r} in {where}", FIX)


def _convert_run(folder: Path) -> None:
    """Convert the events and the environment of one run, and update its manifest."""
    manifest = read_json(folder / MANIFEST)
    _convert_events(folder / EVENTS)
    manifest["files"][EVENTS] = sha256_file(folder / EVENTS)
    # A run may lack this file: `read_environment` is then empty.
    if ENVIRONMENT in manifest["files"]:
        _convert_environment(folder / ENVIRONMENT)
        manifest["files"][ENVIRONMENT] = sha256_file(folder / ENVIRONMENT)
    write_json(folder / MANIFEST, manifest)


def _convert_events(path: Path) -> None:
    """Rename the numbers of examples and of correct answers."""
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    lines = [json.dumps(_renamed(event), ensure_ascii=False) + "\n" for event in events]
    path.write_text("".join(lines), encoding="utf-8")


def _convert_environment(path: Path) -> None:
    """From schema 1 to 2: rename the size of the warm-up, if there was a warm-up."""
    content = read_json(path)
    if content.get("warm_up"):
        content["warm_up"] = _renamed(content["warm_up"])
    content["schema"] = Environment.SCHEMA
    write_json(path, content)


def _convert_settings(path: Path) -> None:
    """Rename the sizes of the warm-up and of the datasets defined in the settings."""
    content = _renamed(read_json(path))
    if content.get("registry"):
        content["registry"] = {name: _renamed(entry) for name, entry in content["registry"].items()}
    write_json(path, content)


def _renamed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with the new names, in the same order; nested values are not changed."""
    return {NEW_NAMES.get(name, name): value for name, value in content.items()}
