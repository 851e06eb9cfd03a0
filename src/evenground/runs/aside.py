"""Setting aside: what is in the way is moved out of it as a whole, and never deleted."""

from __future__ import annotations

import os
from pathlib import Path

from evenground.errors import EvengroundError
from evenground.files import move, name_below
from evenground.runs.plan import ASIDE, RESULTS


def set_aside(root: Path, path: Path) -> Path:
    """Move a file or folder of the working copy `root` below `results/aside`; its new path.

    A link is moved as it is, and what it leads to stays. Raises EvengroundError if `path` does not
    exist, or if it is not inside the working copy.
    """
    name = name_below(path, root)
    below = Path(name or ".")
    if name is None or below in (Path(), RESULTS) or below.is_relative_to(ASIDE):
        fix = f"name a file or folder of {root}, as in {RESULTS}/runs/..."
        raise EvengroundError("this cannot be set aside", str(path), fix)
    # A broken link is there, too, and is often what is in the way.
    if not os.path.lexists(root / below):
        raise EvengroundError("there is nothing to set aside", str(path), "name what is there")
    if below.is_relative_to(RESULTS):
        target = ASIDE / below.relative_to(RESULTS)
    else:
        target = ASIDE / below
    target = _free_name(root, target)
    move(root / below, root / target)
    return target


def _free_name(root: Path, target: Path) -> Path:
    """`target`, or `target.2`, `target.3`...: what was set aside before stays."""
    number = 1
    free = target
    while os.path.lexists(root / free):
        number += 1
        free = target.with_name(f"{target.name}.{number}")
    return free
