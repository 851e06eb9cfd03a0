#!/usr/bin/env python3
"""Print, as JSON, what is seen from where this runs; the gate runs it in each image as a training runs."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace

import _path
from evenground.errors import cli
from evenground.preflight.inside import look
from evenground.surroundings.mounts import foreign_mounts, is_below


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", nargs="*", default=[], help="files and folders to be seen")
    parser.add_argument("--folders", nargs="*", default=[], help="folders to be written to")
    parser.add_argument(
        "--token", required=True, help="part of the name of the files that are left there"
    )
    parser.add_argument("--python", default="", help="the engine's interpreter")
    parser.add_argument("--ours", nargs="*", default=[], help="what the pipeline itself binds")
    parser.add_argument("--container", default="", help="what Apptainer calls the image")
    parser.add_argument("--card", default="", help="UUID of the card on which CUDA is tried")
    args = parser.parse_args()
    try:
        mounts = foreign_mounts(_path.ROOT, args.ours)
    except OSError:
        # Without /proc, which the gate reports from the process table.
        mounts = []
    # What is mounted in the working copy has to be the same outside.
    files = args.files + [mount for mount in mounts if is_below(mount, str(_path.ROOT))]
    seen = look(files, args.folders, args.token, args.python, args.card)
    print(json.dumps(asdict(replace(seen, container=args.container, mounts=mounts))))


if __name__ == "__main__":
    cli(main)
