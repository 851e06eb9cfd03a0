#!/usr/bin/env python3
"""Say, as JSON, what is seen from where this runs: the gate calls it in each image, as trainings are."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import _path
from evenground.errors import EvengroundError, cli
from evenground.images import check_inside, read_record
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
    parser.add_argument("--image", type=Path, help="record of the image this runs in")
    parser.add_argument("--ours", nargs="*", default=[], help="what the pipeline itself binds")
    parser.add_argument("--container", default="", help="what Apptainer calls the image")
    parser.add_argument("--card", default="", help="UUID of the card on which CUDA is tried")
    args = parser.parse_args()
    try:
        mounts = foreign_mounts(_path.ROOT, args.ours)
    except OSError:
        # Then /proc is missing, which the gate finds by itself.
        mounts = []
    in_copy = [place for place in mounts if is_below(place, str(_path.ROOT))]
    seen = look([*args.files, *in_copy], args.folders, args.token, args.python, args.card)
    if args.image:
        seen = replace(seen, replaced=replaced(args.image))
    print(json.dumps(asdict(replace(seen, container=args.container, mounts=mounts))))


def replaced(record: Path) -> str:
    """Why this is not the recorded image; empty where it is."""
    try:
        check_inside(read_record(record))
    except EvengroundError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    cli(main)
