#!/usr/bin/env python3
"""Write docs/parameters.md from the model of the experiment, the table of docs/claims.md from claims.yaml."""

from _path import ROOT
from evenground.claims.model import read_claims
from evenground.claims.page import with_claims
from evenground.config import parameters_page
from evenground.errors import cli


def main() -> None:
    claims = ROOT / "docs/claims.md"
    pages = {
        ROOT / "docs/parameters.md": parameters_page(),
        claims: with_claims(claims.read_text(encoding="utf-8"), read_claims(ROOT).claims),
    }
    for page, text in pages.items():
        page.write_text(text, encoding="utf-8")
        print(f"wrote {page.relative_to(ROOT)}")


if __name__ == "__main__":
    cli(main)
