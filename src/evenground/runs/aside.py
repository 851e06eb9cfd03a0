"""Setting aside: what is in the way is moved out of it, whole, and never deleted."""

from __future__ import annotations

import os
from pathlib import Path

from evenground.errors import EvengroundError
from evenground.files import absolute, move, name_below, real
from evenground.runs.plan import RESULTS

ASIDE = RESULTS / "aside"


def set_aside(root: Path, path: Path) -> Path:
    """Move a file or folder of the working copy `root` below `results/aside`; where it is then.

    A link is moved as a link, and what it leads to stays. EvengroundError for what is not there, or is no
    part of the working copy alone.
    """
    name = name_below(path, root)
    where = Path(name or ".")
    if name is None or where in (Path(), RESULTS) or ASIDE in (where, *where.parents):
        fix = f"name a file or folder of {root}, as in {RESULTS}/runs/..."
        raise EvengroundError("this cannot be set aside", str(path), fix)
    here = root / where
    if not os.path.lexists(here):
        raise EvengroundError("there is nothing to set aside", str(path), "name what is there")
    to = _free_place(root / ASIDE / _short(where))
    _keep_links(here)
    move(here, to)
    return to.relative_to(root)


def _short(where: Path) -> Path:
    return where.relative_to(RESULTS) if where.is_relative_to(RESULTS) else where


def _free_place(to: Path) -> Path:
    """`to`, or where that is taken the next free name: what was set aside before stays, too."""
    number, free = 1, to
    while os.path.lexists(free):
        number += 1
        free = to.with_name(f"{to.name}.{number}")
    return free


def _keep_links(path: Path) -> None:
    """Let links that count from their own place lead on to the same from anywhere."""
    within = [
        Path(above, name) for above, folders, files in os.walk(path) for name in (*folders, *files)
    ]
    inside = real(path)
    for link in (link for link in (path, *within) if link.is_symlink()):
        leads = absolute(real(link.parent) / link.readlink())
        # What a folder that moves holds itself is as far away afterwards.
        stays = link == path or not leads.is_relative_to(inside)
        if not link.readlink().is_absolute() and stays:
            beside = link.with_name(f".{link.name}.link")
            beside.symlink_to(leads)
            beside.replace(link)
