#!/usr/bin/env python3
"""Build one locked Python environment in the cache, or print where it is.

Needs the standard library only: it builds the first environment.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# With PYTHONSAFEPATH, Python does not look for modules in the script's folder.
sys.path.insert(0, str(Path(__file__).resolve().parent))
import _path  # noqa: F401
from evenground.environments.build import build, env_dir
from evenground.errors import cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="its requirements are envs/NAME.txt")
    parser.add_argument("--where", action="store_true", help="print its folder, build nothing")
    args = parser.parse_args()
    if args.where:
        print(env_dir(args.name))
    else:
        print(build(args.name))


if __name__ == "__main__":
    cli(main)
