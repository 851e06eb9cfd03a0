#!/usr/bin/env python3
"""Record this node's machine class; run once per kind of node of a cluster."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import _path  # noqa: F401
from evenground.errors import cli
from evenground.gpus.choice import AUTO
from evenground.records.node import Node
from evenground.runs.machine import this_machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="results/nodes/KIND.json")
    parser.add_argument("--gpu", default=AUTO, help="`gpu` of the experiment")
    args = parser.parse_args()
    machine = this_machine(args.gpu)
    host = socket.gethostname()
    node = Node(class_name=machine.name, description=machine.description, host=host)
    node.write(args.output)
    print(f"nodes of the kind '{args.output.stem}': {machine.description}; class {machine.name}")
    if machine.choice.fault:
        print(f"no card is chosen there: {machine.choice.fault}: {machine.choice.fix}")


if __name__ == "__main__":
    cli(main)
