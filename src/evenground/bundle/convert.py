"""Drawing a bundle's tables and figures again with this version, and packing it with them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from evenground.bundle.contents import DERIVED, collect, laid_out
from evenground.bundle.pack import pack
from evenground.bundle.replay import redraw
from evenground.bundle.unpack import blamed_on, unpack
from evenground.claims.model import read_claims
from evenground.errors import EvengroundError
from evenground.records.index import Index, read_index


def convert(bundle: Path, to: Path, root: Path) -> Index:
    """Pack the runs of a bundle with tables and figures as this version draws them.

    `to` may be the same file, which is then replaced. Returns what was packed. Raises
    EvengroundError for a bundle that cannot be read.
    """
    if to.is_dir():
        raise EvengroundError("it is a folder", str(to), "name the file to write, as in runs.zip")
    with tempfile.TemporaryDirectory(prefix="evenground-convert-") as scratch:
        folder = Path(scratch, "bundle")
        where = unpack(bundle, folder)
        with blamed_on(bundle, folder):
            _clear_derived(where.parent)
            index, files = redrawn(where, root)
        pack(index, files, to)
    return index


def redrawn(where: Path, root: Path) -> tuple[Index, dict[str, Path]]:
    """Draw everything beside the index at `where`; the index, and all files for a bundle."""
    index = read_index(where)
    redraw(index, where, where.parent, read_claims(root))
    # What does not follow from the runs is packed as it is.
    return index, collect(index, where, laid_out(index.root))


def _clear_derived(results: Path) -> None:
    """Remove the older version's tables and figures, some of which are no longer made."""
    for name in DERIVED:
        path = results / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
