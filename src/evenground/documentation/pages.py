"""All generated pages of docs/, and the answer in the README."""

from __future__ import annotations

from pathlib import Path

from evenground.claims.model import read_claims
from evenground.documentation.claims import with_claims
from evenground.documentation.parameters import parameters_page
from evenground.documentation.readme import BUNDLE, FIGURE, figure_of, with_answer
from evenground.documentation.records import pages_of_records
from evenground.documentation.tables import tables_page

DOCS = Path("docs")


def pages(root: Path) -> dict[Path, str]:
    """Path in the working copy `root` -> what is in it; text written by hand is kept."""
    claims = DOCS / "claims.md"
    written = (root / claims).read_text(encoding="utf-8")
    readme = root / "README.md"
    return {
        Path("README.md"): with_answer(readme.read_text(encoding="utf-8"), root / BUNDLE),
        FIGURE: figure_of(root / BUNDLE),
        DOCS / "parameters.md": parameters_page(),
        DOCS / "tables.md": tables_page(),
        claims: with_claims(written, read_claims(root).claims),
        **{DOCS / name: text for name, text in pages_of_records().items()},
    }
