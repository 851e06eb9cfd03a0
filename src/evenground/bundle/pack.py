"""Writing a bundle: one zip file whose bytes depend only on its content."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from evenground.bundle.crate import METADATA, File, description, metadata
from evenground.files import json_text, replacing, sha256_bytes
from evenground.records.index import Index

CHECKSUMS = "checksums.sha256"
READ_ME = "README.md"
_TEXT = """# Recorded runs of evenground

{what}

- `results/`: the index of the runs, tables, figures; `results/runs/`: each training's own files.
- `results/contact_sheets/`: the few examples of each dataset that a figure shows. They belong to
  their owners: `experiment.json` and `data/registry.yaml` name the source and its terms.
- `{checksums}`: `sha256sum --check {checksums}` checks every file.
- `{metadata}`: the same content for programs (RO-Crate).

To redraw every table and figure from the runs, in a working copy of evenground:

    ./evenground replay THIS_FILE.zip
"""


def pack(index: Index, files: Mapping[str, Path], to: Path) -> None:
    """Write `files` (name in the bundle -> file), checksums and metadata to `to` atomically.

    Raises EvengroundError if a run is not as recorded, or if `to` cannot be written.
    """
    contents = {name: files[name].read_bytes() for name in sorted(files)}
    sums = {name: sha256_bytes(content) for name, content in contents.items()}
    described = {
        name: File(size_bytes=len(content), sha256=sums[name]) for name, content in contents.items()
    }
    # These come first, so that a listing of the zip file shows at once what it is.
    first = {
        METADATA: json_text(metadata(index, described)).encode(),
        READ_ME: _TEXT.format(
            what=description(index), checksums=CHECKSUMS, metadata=METADATA
        ).encode(),
    }
    for name, content in first.items():
        sums[name] = sha256_bytes(content)
    first[CHECKSUMS] = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()
    _write(first | contents, to)


def _write(contents: Mapping[str, bytes], to: Path) -> None:
    with replacing(to) as beside, zipfile.ZipFile(beside, "w", compresslevel=9) as archive:
        for name, content in contents.items():
            # A fixed date, system and mode: the same content is the same file.
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
