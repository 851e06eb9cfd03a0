"""The options that fetch.py and prepare.py share: which dataset, from which registry."""

from __future__ import annotations

import argparse
from pathlib import Path

from evenground.datasets.registry import (
    DatasetEntry,
    find_dataset,
    load_extra,
    load_registry,
    read_mapping,
)
from evenground.errors import EvengroundError


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
        help="configuration (YAML or JSON) with further entries below 'registry'",
    )
    parser.add_argument("--dataset", required=True, metavar="NAME", help="key of the entry")
    return parser


def chosen_dataset(args: argparse.Namespace) -> DatasetEntry:
    """The entry that the options name.

    Raises EvengroundError for a broken registry or an unknown name.
    """
    extra = load_extra(args.extra_registry) if args.extra_registry else {}
    return find_dataset(load_registry(args.registry, extra), args.dataset)


def configured_mirrors(args: argparse.Namespace) -> list[str]:
    """`mirrors` of the configuration in --extra-registry, where other users cannot read passwords.

    Raises EvengroundError if they are not a list of texts.
    """
    if not args.extra_registry:
        return []
    mirrors = read_mapping(args.extra_registry).get("mirrors", [])
    if not isinstance(mirrors, list) or not all(isinstance(mirror, str) for mirror in mirrors):
        what, where = "'mirrors' is not a list of places", str(args.extra_registry)
        raise EvengroundError(what, where, "write 'mirrors: [PLACE, ...]'")
    return mirrors
