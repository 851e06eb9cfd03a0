"""All generated pages of docs/."""

from __future__ import annotations

from pathlib import Path

from evenground.claims.model import read_claims
from evenground.documentation.claims import with_claims
from evenground.documentation.parameters import parameters_page
from evenground.files import json_text
from evenground.records.events import json_schema

DOCS = Path("docs")


def pages(root: Path) -> dict[Path, str]:
    """Path in the working copy `root` -> what is in it; text written by hand is kept."""
    claims = DOCS / "claims.md"
    written = (root / claims).read_text(encoding="utf-8")
    return {
        DOCS / "parameters.md": parameters_page(),
        DOCS / "events.schema.json": json_text(json_schema()),
        claims: with_claims(written, read_claims(root).claims),
    }
