"""Converting bundles of recorded runs from the previous format to the current one.

Each change of a format has its own function here. Files of other versions are taken apart by their
keys, as nowhere else: the models of `evenground.records` describe the current formats only.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from evenground.bundle.contents import DERIVED, collect, laid_out
from evenground.bundle.pack import pack
from evenground.bundle.replay import redraw
from evenground.bundle.unpack import blamed_on, extract, find_index
from evenground.bundle.uuids import lay_out, name_a_card
from evenground.claims.model import read_claims
from evenground.errors import EvengroundError
from evenground.files import read_json
from evenground.records import versions
from evenground.records.index import Index, read_index

FIX = "take another copy of the bundle"
# The schema of the indexes that can be converted.
OLD_INDEX = 3


def convert(bundle: Path, to: Path, root: Path) -> tuple[Index, bool]:
    """Bring a bundle of the previous version to today's formats, with tables and figures redrawn.

    `to` may be the same file, which is then replaced. Returns what was packed, and whether the
    index had another format. Raises EvengroundError for a bundle that cannot be read.
    """
    if to.is_dir():
        raise EvengroundError("it is a folder", str(to), "name the file to write, as in runs.zip")
    with tempfile.TemporaryDirectory(prefix="evenground-convert-") as scratch:
        folder = Path(scratch, "bundle")
        extract(bundle, folder)
        with blamed_on(bundle, folder):
            where = find_index(folder)
            converted = convert_index(where)
            files = _all_files(folder)
            if name_a_card(files):
                where = lay_out(files, Path(scratch, "bare"))
            _clear_derived(where.parent)
            index, files = redrawn(where, root)
        pack(index, files, to)
    return index, converted


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


def convert_index(where: Path) -> bool:
    """Convert the index file at `where`; False if it has today's format.

    Until schema 3 an index was of one condition. Raises EvengroundError if it is no index of that
    schema.
    """
    index = read_json(where)
    if not isinstance(index, dict) or not isinstance(index.get("schema"), int):
        raise EvengroundError("it is no index", str(where), FIX)
    schema = index.pop("schema")
    if schema == versions.INDEX:
        return False
    if schema != OLD_INDEX:
        what = f"it has schema {schema!r}, this version of evenground converts schema {OLD_INDEX}"
        raise EvengroundError(what, str(where), FIX)
    lines = index.pop("lines", None)
    content = {"schema": versions.INDEX, "swept": [], "conditions": [index], "lines": lines}
    Index.parse(content, where, FIX).write(where)
    return True
