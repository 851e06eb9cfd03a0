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
    parser.add_argument("given", type=json.loads, help="as JSON: what `look` gets, and `ours`")
    parser.add_argument("--container", default="", help="what Apptainer calls the image")
    args = parser.parse_args()
    # What the pipeline itself binds.
    ours = args.given.pop("ours")
    try:
        mounts = foreign_mounts(_path.ROOT, ours)
    except OSError:
        # Without /proc, which the gate reports from the process table.
        mounts = []
    # What is mounted in the working copy has to be the same outside.
    args.given["files"] += [mount for mount in mounts if is_below(mount, str(_path.ROOT))]
    seen = look(**args.given)
    print(json.dumps(asdict(replace(seen, container=args.container, mounts=mounts))))


if __name__ == "__main__":
    cli(main)
