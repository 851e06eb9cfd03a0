#!/usr/bin/env python3
"""Write the generated parts of docs/: parameters.md, the table of claims.md, records, schemas."""

from _path import ROOT
from evenground.documentation.pages import pages
from evenground.errors import cli
from evenground.files import write_text


def main() -> None:
    for page, text in pages(ROOT).items():
        write_text(ROOT / page, text)
        print(f"wrote {page}")


if __name__ == "__main__":
    cli(main)
