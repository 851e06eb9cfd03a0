#!/usr/bin/env python3
"""Write the generated parts of docs/: parameters.md, the table of claims.md, events.schema.json."""

from _path import ROOT
from evenground.claims.model import read_claims
from evenground.config import parameters_page
from evenground.documentation.claims import with_claims
from evenground.errors import cli
from evenground.files import json_text
from evenground.records.events import json_schema


def main() -> None:
    """Write all of them."""
    claims = ROOT / "docs/claims.md"
    pages = {
        ROOT / "docs/parameters.md": parameters_page(),
        ROOT / "docs/events.schema.json": json_text(json_schema()),
        # The text before the table is written by hand and kept.
        claims: with_claims(claims.read_text(encoding="utf-8"), read_claims(ROOT).claims),
    }
    for page, text in pages.items():
        page.write_text(text, encoding="utf-8")
        print(f"wrote {page.relative_to(ROOT)}")


if __name__ == "__main__":
    cli(main)
