"""Writing a bundle: one zip file whose bytes depend on its content alone."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from evenground.analysis.index import Index
from evenground.bundle.crate import METADATA, File, metadata
from evenground.files import json_text, replacing, sha256_bytes

CHECKSUMS = "checksums.sha256"
READ_ME = "README.md"
_TEXT = """# Recorded runs of evenground

{what}

- `results/`: the index of the runs, tables, figures; `results/runs/`: each training's own files.
- `{checksums}`: `sha256sum --check {checksums}` checks every file.
- `{metadata}`: the same content for programs (RO-Crate).
- Figures that show images of a dataset are left out: those images belong to their owners.

To redraw every table and figure from the runs, in a working copy of evenground:

    ./evenground replay THIS_FILE.zip
"""


def pack(index: Index, files: Mapping[str, Path], to: Path) -> None:
    """Write `files` (name in the bundle -> file), checksums and metadata to `to`, whole or not at all."""
    contents = {name: path.read_bytes() for name, path in sorted(files.items())}
    described = {
        name: File(len(content), sha256_bytes(content)) for name, content in contents.items()
    }
    crate = metadata(index, described)
    contents[READ_ME] = _read_me(crate["@graph"][1]["description"]).encode()
    contents[METADATA] = json_text(crate).encode()
    sums = "".join(
        f"{sha256_bytes(content)}  {name}\n" for name, content in sorted(contents.items())
    )
    first = {
        METADATA: contents.pop(METADATA),
        READ_ME: contents.pop(READ_ME),
        CHECKSUMS: sums.encode(),
    }
    _write({**first, **contents}, to)


def _read_me(what: str) -> str:
    return _TEXT.format(what=what, checksums=CHECKSUMS, metadata=METADATA)


def _write(contents: Mapping[str, bytes], to: Path) -> None:
    with replacing(to) as beside, zipfile.ZipFile(beside, "w", compresslevel=9) as archive:
        for name, content in contents.items():
            # A fixed date and mode: the same content is the same file.
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
