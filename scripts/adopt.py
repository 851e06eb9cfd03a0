#!/usr/bin/env python3
"""Copy a bundle's runs into this working copy, where the pipeline draws them without training."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from _path import ROOT
from evenground.bundle.adopt import adopt
from evenground.bundle.unpack import unpack
from evenground.errors import cli
from evenground.records.index import read_index


def main() -> None:
    parser = argparse.ArgumentParser(prog="evenground adopt", description=__doc__)
    parser.add_argument("bundle", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evenground-adopt-") as scratch:
        where = unpack(args.bundle, Path(scratch, "bundle"))
        done = adopt(read_index(where), where, ROOT, args.bundle.stem)
    configuration = done.configuration.relative_to(ROOT)
    print(f"{done.new} runs copied to results/runs, {done.known} were there already")
    print(f"experiment: {configuration}")
    print(f"draw them:  snakemake --cores all figures --configfile {configuration}")
    print(f"with DVC:   cp {configuration} params.yaml && dvc repro")


if __name__ == "__main__":
    cli(main)
