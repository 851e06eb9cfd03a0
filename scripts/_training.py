"""The options that every script has which makes a training."""

from __future__ import annotations

import argparse
from pathlib import Path

from evenground.gpus.choice import AUTO


def training_parser(description: str) -> argparse.ArgumentParser:
    """The command line of a training: what is trained, with which engine, and in what it ends."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--spec", type=Path, required=True, help="results/specs/KEY.json: what is trained")
    add("--engine-dir", type=Path, required=True, help="folder of the engine")
    add("--python", type=Path, help="interpreter of the engine's environment, if it has one")
    add("--gpu", default=AUTO, help="`gpu` of the experiment")
    add("--time-limit-s", type=float, default=3600.0)
    add("--condition", default="", help="its condition of several, for messages")
    add("--pipeline", type=int, nargs="+", default=[], help="processes this ends with")
    return parser
