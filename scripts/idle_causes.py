#!/usr/bin/env python3
"""Write the table of what the engines waited for; or name the written one, and fail if a training did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import _path  # noqa: F401
from evenground import logs
from evenground.errors import EvengroundError, cli
from evenground.explain.table import write_causes
from evenground.explain.training import Explained, read_explained
from evenground.made import recorded, step_parser


def main() -> None:
    parser = step_parser(__doc__)
    parser.add_argument(
        "--explained", type=Path, nargs="+", required=True, help="explained.json of each"
    )
    parser.add_argument(
        "--condition", action="append", required=True, help="name of the condition of each"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--output-dir", type=Path, help="write the table there")
    what.add_argument("--written", type=Path, help="the table that was written of them")
    args = parser.parse_args()
    pairs = zip(args.explained, args.condition, strict=True)
    trainings = [read_explained(path, condition) for path, condition in pairs]
    if not args.output_dir:
        conclude(trainings, args.written)
        return
    files = []
    for training in trainings:
        files += [training.folder / name for name in training.record.files]
    with recorded(args, files):
        write_causes(trainings, args.output_dir)


def conclude(trainings: Sequence[Explained], table: Path) -> None:
    """Print the path of the table; raises EvengroundError if an extra training failed."""
    logs.info(f"what the engines waited for: {table}")
    failed = [training for training in trainings if training.record.outcome.reason]
    if failed:
        names = ", ".join(map(label_of, failed))
        what = f"{len(failed)} of {len(trainings)} extra trainings failed: {names}"
        raise EvengroundError(
            what, str(failed[0].folder / "train.log"), "fix the cause and run again"
        )


def label_of(training: Explained) -> str:
    """`mnist keras`; of several conditions with the name of its own."""
    label = f"{training.record.dataset} {training.record.engine}"
    return f"{label} of {training.condition}" if training.condition else label


if __name__ == "__main__":
    cli(main)
