"""A dataset's contact sheet: the few training examples that a figure shows, and nothing else of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, ConfigDict, Field, model_validator

from evenground.errors import EvengroundError, set_aside
from evenground.files import sha256_json
from evenground.records.base import Fields, Record
from evenground.validation import one_line

MAX_EXAMPLES = 40
MAX_SIDE_PX = 128
MAX_NAME = 500
SEAL = "sha256"


def _shown(name: str) -> str:
    return one_line(name[:MAX_NAME])


Count = Annotated[int, Field(ge=1, lt=2**63)]
Place = Annotated[int, Field(ge=0, lt=2**63)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE_PX)]
ClassNames = tuple[Annotated[str, AfterValidator(_shown)], ...]


class Example(Fields):
    """One training example."""

    number: Place
    """Its place among the training examples, from 0."""
    label: Place
    """Its class: a place in `classes`."""
    pixels: Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$")]
    """Bytes as hexadecimal digits, row by row, with the channels of a pixel beside each other."""


def _sealed(schema: dict[str, Any]) -> None:
    """Add the checksum, which is no field, to the JSON schema."""
    meaning = "Of the content without this checksum: a change by hand breaks it."
    schema["properties"][SEAL] = {"type": "string", "description": meaning}
    schema["required"].append(SEAL)


class ContactSheet(Record):
    """The few training examples of a dataset that a figure shows."""

    model_config = ConfigDict(json_schema_extra=_sealed)

    WHAT: ClassVar[str] = "contact sheet"

    train_examples: Count
    """How many training examples the dataset has."""
    height: Count
    """Height of an example of the dataset, in pixels."""
    width: Count
    """Width of an example of the dataset, in pixels."""
    classes: Annotated[ClassNames, Field(min_length=1)]
    """Names of the classes."""
    shape: tuple[Side, Side, Literal[1, 3]]
    """Height, width and channels of a picture here: a large example is thinned out."""
    examples: Annotated[tuple[Example, ...], Field(min_length=1, max_length=MAX_EXAMPLES)]
    """The first few examples of a class, class by class."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        height, width, channels = self.shape
        digits = 2 * height * width * channels
        for example in self.examples:
            if example.label >= len(self.classes) or len(example.pixels) != digits:
                raise ValueError(f"example {example.number} does not fit classes or shape")
        return self

    def picture(self, example: Example) -> npt.NDArray[np.uint8]:
        """The pixels of an example, (H,W,C)."""
        pixels = np.frombuffer(bytes.fromhex(example.pixels), np.uint8)
        return pixels.reshape(self.shape)

    def content(self) -> dict[str, Any]:
        """What is written: the fields, then their checksum, which a change by hand breaks."""
        content = super().content()
        return {**content, SEAL: sha256_json(content)}

    @classmethod
    def parse(cls, content: Any, where: Path, fix: str = "") -> Self:
        """Check the content of the file at `where`.

        Raises EvengroundError as `read` does, and if the content has another checksum.
        """
        seal = None
        if isinstance(content, dict):
            content = dict(content)
            seal = content.pop(SEAL, None)
        sheet = super().parse(content, where, fix)
        if sheet.content()[SEAL] != seal:
            what = "the contact sheet was changed since it was made"
            raise EvengroundError(what, str(where), fix or set_aside(where))
        return sheet
