#!/usr/bin/env python3
"""Say what is wrong with the environment of the Python that runs this; nothing where it is whole.

    ENVIRONMENT/bin/python -I scripts/whole.py look MARKER        against the packages that its marker names
    ENVIRONMENT/bin/python -I scripts/whole.py list LOCK          its packages, checked and imported, as JSON

Ends with exit code 1 and one line where something is wrong. Standard library only.
"""

from __future__ import annotations

import csv
import importlib
import json
import re
import sys
from importlib.metadata import Distribution, distributions, packages_distributions
from importlib.util import find_spec
from pathlib import Path

PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;]+)", re.M)
ASKED_FOR = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", re.M)
INCLUDED = re.compile(r"^-r\s+(\S+)", re.M)


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def here() -> dict[str, Distribution]:
    """The packages of this environment by name."""
    return {
        normal(found.metadata["Name"]): found for found in distributions() if found.metadata["Name"]
    }


def look(marker: Path) -> None:
    """SystemExit where a package that `marker` names is not here, or not all of it."""
    try:
        wanted = json.loads(marker.read_text(encoding="utf-8"))["packages"]
    except (ValueError, KeyError, TypeError):
        raise SystemExit("its packages were not written down") from None
    found = here()
    for name, version in wanted.items():
        if name not in found:
            raise SystemExit(f"{name} is missing")
        if found[name].version != version:
            raise SystemExit(f"{name} is {found[name].version}, locked is {version}")
        refuse_damage(name, found[name])


def refuse_damage(name: str, package: Distribution) -> None:
    """SystemExit where a file of the package is missing or has another size than it was installed with."""
    folder = str(package.locate_file(""))
    for path, _, size in csv.reader((package.read_text("RECORD") or "").splitlines()):
        file = Path(folder, path)
        try:
            seen_bytes = file.stat().st_size
        except OSError:
            raise SystemExit(f"{name} lacks {path}") from None
        # Commands, which lie outside, begin with a line that was written when they were installed.
        if size and not path.startswith("..") and seen_bytes != int(size):
            raise SystemExit(
                f"{name} has a damaged file {path}: {seen_bytes} bytes instead of {size}"
            )


def list_locked(lock: Path) -> None:
    """Print the packages that are here; SystemExit where they are not the locked ones or do not import."""
    # One package may be locked twice, for older and for newer Pythons.
    locked: dict[str, list[str]] = {}
    for name, version in PIN.findall(lock.read_text(encoding="utf-8")):
        locked.setdefault(normal(name), []).append(version)
    found = here()
    asked = asked_for(lock.with_suffix(".in"))
    for name in sorted(asked & locked.keys()):
        if name not in found:
            raise SystemExit(f"{name} is missing")
    packages = {name: found[name].version for name in sorted(found.keys() & locked.keys())}
    for name, version in packages.items():
        if version not in locked[name]:
            raise SystemExit(f"{name} is {version}, locked is {' or '.join(locked[name])}")
        refuse_damage(name, found[name])
    for module, names in sorted(packages_distributions().items()):
        # Some packages leave files beside their modules, such as their licence.
        if asked & set(map(normal, names)) and module.isidentifier() and find_spec(module):
            try_import(module)
    # Last, for a package may print while it is imported.
    print(json.dumps({"packages": packages}))


def asked_for(source: Path) -> set[str]:
    """The packages that were asked for by name; the lock has what these need, too."""
    text = source.read_text(encoding="utf-8")
    included = [asked_for(source.with_name(name)) for name in INCLUDED.findall(text)]
    return set(map(normal, ASKED_FOR.findall(text))).union(*included)


def try_import(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever a package raises when it is imported
        said = " ".join(str(error).split())
        raise SystemExit(f"import {module}: {type(error).__name__}: {said}") from None


def main() -> None:
    what, path = sys.argv[1], Path(sys.argv[2])
    if what == "look":
        look(path)
    else:
        list_locked(path)


if __name__ == "__main__":
    main()
