#!/usr/bin/env python3
"""Lock envs/NAME.in into envs/NAME.txt, all by default: exact versions with sha256, no index."""

from __future__ import annotations

import sys

import _path  # noqa: F401
from evenground.environments.build import ROOT, run_uv

OPTIONS = [
    "--quiet",
    # For every platform, not only this one.
    "--universal",
    "--python-version",
    "3.11",
    "--generate-hashes",
    # Addresses of indexes belong to a site, not to the project.
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-header",
    "--annotation-style",
    "line",
]


def main() -> None:
    """Lock the environments named on the command line."""
    names = sys.argv[1:] or sorted(path.stem for path in (ROOT / "envs").glob("*.in"))
    for name in names:
        source, lock = f"envs/{name}.in", f"envs/{name}.txt"
        run_uv(f"lock {source}", ["pip", "compile", source, "--output-file", lock] + OPTIONS)
        print(f"locked {lock}")


if __name__ == "__main__":
    main()
