"""`dataset.json` of prepared data, which engines of all languages read, and `fetched.json`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from evenground.judged import first
from evenground.records.base import Fields, Record
from evenground.records.values import Amount

PREPARED, FETCHED = "dataset.json", "fetched.json"
PREPARED_DATA = Path("data/prepared")


def prepared_folder(dataset: str, fingerprint: str) -> Path:
    """Where the prepared arrays with this fingerprint are, in the working copy."""
    return PREPARED_DATA / dataset / fingerprint


class EmptyClasses(Fields):
    """Classes without any picture."""

    training: tuple[str, ...]
    """Among the training examples."""
    test: tuple[str, ...]
    """Among the test examples."""


class Prepared(Record):
    """The record of a prepared dataset; without it the arrays beside it are not complete."""

    WHAT: ClassVar[str] = "record of prepared data"
    SCHEMA: ClassVar[int] = 2

    name: str
    """Name of the dataset."""
    title: str
    """Name in figures and tables."""
    classes: tuple[str, ...]
    """Names; a label is a position in this list."""
    licence: str
    """Licence of the data."""
    height: Amount
    """Of a picture, in pixels."""
    width: Amount
    """Of a picture, in pixels."""
    channels: Amount
    """Values of a pixel."""
    train_examples: Amount
    """Number of training examples."""
    test_examples: Amount
    """Number of test examples."""
    arrays: dict[str, str]
    """File of an array -> its SHA-256."""
    empty_classes: EmptyClasses
    """Classes without any picture."""

    @property
    def empty_class_lines(self) -> list[str]:
        """A line for each split with empty classes.

        Such data can be trained on, but labels that start at 1, or wrong classes, have the same
        effect.
        """
        splits = {"training": self.empty_classes.training, "test": self.empty_classes.test}
        return [self._line(split, names) for split, names in splits.items() if names]

    def _line(self, split: str, names: tuple[str, ...]) -> str:
        listed = first([f"'{name}'" for name in names])
        share = f"{len(names)} of {len(self.classes)} classes"
        return f"dataset '{self.name}' has no {split} picture of {share}: {listed}"


class FetchedFile(Fields):
    """One file as it was fetched and verified."""

    bytes: int
    """Its size in bytes."""
    sha256: str
    """Its checksum."""
    source: str
    """`mirror`, a host name, or `kept` for a file of an earlier, interrupted invocation."""


class Fetched(Record):
    """The record of a dataset's files; without it they are not complete."""

    WHAT: ClassVar[str] = "record of fetched files"

    dataset: str
    """Name of the dataset."""
    files: dict[str, FetchedFile]
    """Name of a file -> what it is."""
