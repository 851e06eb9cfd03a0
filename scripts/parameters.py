#!/usr/bin/env python3
"""Write docs/parameters.md from the typed model of the experiment."""

import _path
from evenground.config import parameters_page

if __name__ == "__main__":
    page = _path.ROOT / "docs" / "parameters.md"
    page.write_text(parameters_page(), encoding="utf-8")
    print(f"wrote {page.relative_to(_path.ROOT)}")
