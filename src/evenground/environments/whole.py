"""Check the environment of the Python that runs this; print what is wrong with it.

    ENVIRONMENT/bin/python -I whole.py list LOCK     import the packages that were asked for,
                                                     and print all locked ones as JSON
    ENVIRONMENT/bin/python -I whole.py look MARKER   compare with a file that `list` printed

Ends with exit code 1 and one line if the environment is not whole. It imports nothing of ours, and
with `-I` nothing of the caller's.
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
    packages = {}
    for package in distributions():
        # A damaged one may have no name.
        if package.metadata["Name"]:
            packages[normal(package.metadata["Name"])] = package
    return packages


def look(marker: Path) -> None:
    """Compare with the packages in a marker; raises SystemExit if one is missing or damaged."""
    try:
        wanted = json.loads(marker.read_text(encoding="utf-8"))["packages"]
    except (ValueError, KeyError, TypeError):
        raise SystemExit("its packages were not written down") from None
    packages = here()
    for name, version in wanted.items():
        if name not in packages:
            raise SystemExit(f"{name} is missing")
        if packages[name].version != version:
            raise SystemExit(f"{name} is {packages[name].version}, locked is {version}")
        refuse_damage(name, packages[name])


def refuse_damage(name: str, package: Distribution) -> None:
    """Raises SystemExit if a file of the package is missing or has another size than installed."""
    folder = str(package.locate_file(""))
    for path, _, size in csv.reader((package.read_text("RECORD") or "").splitlines()):
        file = Path(folder, path)
        try:
            size_bytes = file.stat().st_size
        except OSError:
            raise SystemExit(f"{name} lacks {path}") from None
        # Scripts lie outside the package's folder (`../../bin`). Their first line names the Python
        # that they were installed for, so their size is another one.
        if size and not path.startswith("..") and size_bytes != int(size):
            raise SystemExit(
                f"{name} has a damaged file {path}: {size_bytes} bytes instead of {size}"
            )


def list_locked(lock: Path) -> None:
    """Print the locked packages that are installed.

    Raises SystemExit if one is of another version or damaged, or if one that was asked for by name
    is missing or does not import. Others may be locked for other systems only.
    """
    # One package may be locked twice, for older and for newer Pythons.
    locked: dict[str, list[str]] = {}
    for name, version in PIN.findall(lock.read_text(encoding="utf-8")):
        locked.setdefault(normal(name), []).append(version)
    packages = here()
    requested = asked_for(lock.with_suffix(".in"))
    for name in sorted(requested & locked.keys()):
        if name not in packages:
            raise SystemExit(f"{name} is missing")
    versions = {name: packages[name].version for name in sorted(packages.keys() & locked.keys())}
    for name, version in versions.items():
        if version not in locked[name]:
            raise SystemExit(f"{name} is {version}, locked is {' or '.join(locked[name])}")
        refuse_damage(name, packages[name])
    for module, names in sorted(packages_distributions().items()):
        # Files beside the modules, such as a licence, are listed as modules too.
        importable = module.isidentifier() and find_spec(module)
        if importable and not requested.isdisjoint(map(normal, names)):
            try_import(module)
    # Last, because a package may print while it is imported.
    print(json.dumps({"packages": versions}))


def asked_for(source: Path) -> set[str]:
    """The packages requested by name; the lock has their dependencies, too."""
    text = source.read_text(encoding="utf-8")
    names = {normal(name) for name in ASKED_FOR.findall(text)}
    for included in INCLUDED.findall(text):
        names |= asked_for(source.with_name(included))
    return names


def try_import(module: str) -> None:
    """Import a module; raises SystemExit with its error if that fails."""
    try:
        importlib.import_module(module)
    # A package may raise anything, and may end the process.
    except (Exception, SystemExit) as error:
        message = " ".join(str(error).split())
        raise SystemExit(f"import {module}: {type(error).__name__}: {message}") from None


def main() -> None:
    commands = {"look": look, "list": list_locked}
    commands[sys.argv[1]](Path(sys.argv[2]))


if __name__ == "__main__":
    main()
