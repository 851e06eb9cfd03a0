#!/usr/bin/env python3
"""Show where an engine leaves Keras, from the same weights and batches: step by step (docs/protocol.md)."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from _path import ROOT
from evenground.config import EngineChoice
from evenground.engines import Engine, load_engines
from evenground.environments.build import build
from evenground.errors import EvengroundError, cli
from evenground.files import read_json
from evenground.protocol.parity import (
    CASES,
    TOLERANCES,
    Case,
    differences,
    disagreements,
    write_dataset,
)
from evenground.protocol.steps import departures

REFERENCE = "keras"
LIMIT_S = 600.0


def main() -> None:
    """Compare case by case; exits 1 if one is beyond its tolerance, raises EvengroundError."""
    parser = argparse.ArgumentParser(prog="evenground parity", description=__doc__)
    parser.add_argument("engine", help="its folder: a name below scripts/engines/, or a path")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="may be repeated"
    )
    parser.add_argument("--case", choices=[case.name for case in CASES], help="default: all")
    parser.add_argument("--accelerator", choices=list(TOLERANCES), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    choice = EngineChoice(name=Path(args.engine).name, folder=args.engine)
    choices = [choice, EngineChoice(name="reference", folder=REFERENCE)]
    engine, reference = load_engines(choices, ROOT)
    agreed = True
    for case in CASES:
        if args.case in (None, case.name):
            agreed &= compare(case, reference, engine, args)
    if not agreed:
        raise SystemExit(1)


def compare(case: Case, reference: Engine, engine: Engine, args: argparse.Namespace) -> bool:
    """Run both, print a line for each thing that is compared; whether all are within tolerance."""
    with tempfile.TemporaryDirectory(prefix="evenground-parity-") as scratch:
        folder = Path(scratch)
        write_dataset(case, folder / "dataset")
        export = ["--export-weights", str(folder / "weights")]
        run(case, reference, folder, args, export)
        given = ["--weights", str(folder / "weights")]
        for option in args.option:
            given += ["--option", option]
        run(case, engine, folder, args, given)
        expected = read_json(folder / "reference.json")
        actual = read_json(folder / f"{engine.name}.json")
    allowed = TOLERANCES[args.accelerator][case.name]
    print(f"{case.name}: {case.network}, {case.steps} steps of {case.batch_size} examples")
    for line in departures(expected, actual, allowed):
        print(f"  {line}", flush=True)
    return not disagreements(differences(expected, actual), allowed)


def run(
    case: Case, engine: Engine, folder: Path, args: argparse.Namespace, more: Sequence[str]
) -> None:
    """Run an engine's part of the parity test; its result is NAME.json in `folder`.

    Raises EvengroundError if it has none or fails.
    """
    where = str(engine.folder / "engine.yaml")
    python = ""
    if engine.file.environment:
        name = engine.file.environment
        if args.accelerator == "cuda":
            name += "-cuda"
        python = str(build(name) / "bin/python")
    command = engine.parity(python) + case.arguments() + list(more)
    command += ["--dataset", str(folder / "dataset")]
    command += ["--output", str(folder / f"{engine.name}.json")]
    command += ["--threads", str(args.threads), "--accelerator", args.accelerator]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EvengroundError(f"its parity command failed: {error}", where, "see above") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        what = f"its parity command failed with status {done.returncode}: {''.join(last)}"
        raise EvengroundError(what, where, "run the command by hand (docs/protocol.md)")


if __name__ == "__main__":
    cli(main)
