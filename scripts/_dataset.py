"""The options that fetch.py and prepare.py share: which dataset, from which registry."""

from __future__ import annotations

import argparse
from pathlib import Path

from evenground.config import Experiment, load_experiments
from evenground.datasets.registry import (
    DatasetEntry,
    find_dataset,
    load_registry,
    read_mapping,
)


def dataset_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with --registry, --extra-registry and --dataset."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--registry", type=Path, required=True, metavar="FILE", help="data/registry.yaml"
    )
    parser.add_argument(
        "--extra-registry",
        type=Path,
        metavar="FILE",
        help="configuration (YAML or JSON), with further entries below 'registry'",
    )
    parser.add_argument("--dataset", required=True, metavar="NAME", help="key of the entry")
    return parser


def experiment_of(args: argparse.Namespace) -> Experiment:
    """The configuration in --extra-registry; raises EvengroundError if it is no valid one.

    Passwords in its `mirrors` are there, as other users can see a command line.
    """
    content = read_mapping(args.extra_registry) if args.extra_registry else {}
    return load_experiments(content, str(args.extra_registry))[0]


def chosen_dataset(args: argparse.Namespace, experiment: Experiment) -> DatasetEntry:
    """The entry that the options name.

    Raises EvengroundError for a broken registry or an unknown name.
    """
    return find_dataset(load_registry(args.registry, experiment.registry), args.dataset)
