#!/usr/bin/env python3
"""Lock every envs/NAME.in into envs/NAME.txt: exact versions, sha256 of every file, no index address."""

from __future__ import annotations

import sys

from environment import ROOT, run_uv

OPTIONS = [
    "--quiet",
    "--universal",
    "--python-version",
    "3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-header",
    "--annotation-style",
    "line",
]


def main() -> None:
    names = sys.argv[1:] or sorted(path.stem for path in (ROOT / "envs").glob("*.in"))
    for name in names:
        words = ["pip", "compile", *OPTIONS, f"envs/{name}.in", "--output-file", f"envs/{name}.txt"]
        run_uv(f"lock envs/{name}.in", words)
        print(f"locked envs/{name}.txt")


if __name__ == "__main__":
    main()
