"""What all records have in common: a model of one file, and one line for what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from evenground.errors import EvengroundError, set_aside
from evenground.files import read_bytes, write_json
from evenground.validation import first_fault


class Fields(BaseModel):
    """A part of a record. Nothing is changed once it was made.

    Unknown fields are refused: somebody's hand put them there, or another version of this program.
    """

    # Some files call a field by a word of Python, e.g. `class`; code uses the field's own name.
    # A model is built when it is first used: a process reads few of the formats.
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)


class Record(Fields):
    """The content of one of our JSON files, as its writer makes it and its readers get it."""

    WHAT: ClassVar[str]
    """What messages call the file, e.g. `outcome`."""
    SCHEMA: ClassVar[int] = 1
    """Raised when a reader would have to treat older files differently: those are refused."""

    def content(self) -> dict[str, Any]:
        """What is written: the number of the schema, then the fields in their order."""
        return {"schema": self.SCHEMA, **self.model_dump(mode="json", by_alias=True)}

    def write(self, path: Path) -> None:
        """Replace the file at `path`, whole or not at all."""
        write_json(path, self.content())

    @classmethod
    def read(cls, path: Path, fix: str = "") -> Self:
        """Read the file at `path`; `fix`: what to do if it is broken, by default set it aside.

        Raises EvengroundError if it is missing, broken or of another schema.
        """
        return cls.from_bytes(read_bytes(path), path, fix)

    @classmethod
    def from_bytes(cls, content: bytes, where: Path, fix: str = "") -> Self:
        """`read`, raising the same, for bytes that were compared with a checksum before."""
        try:
            # Unlike `json.loads` it refuses text that could not be written again.
            parsed = from_json(content)
        except ValueError as error:
            what = f"broken {cls.WHAT}, not valid JSON: {error}"
            raise EvengroundError(what, str(where), fix or set_aside(where)) from error
        return cls.parse(parsed, where, fix)

    @classmethod
    def parse(cls, content: Any, where: Path, fix: str = "") -> Self:
        """Check the content of the file at `where`; raises EvengroundError as `read` does."""
        fix = fix or set_aside(where)
        if not isinstance(content, dict) or type(content.get("schema")) is not int:
            raise EvengroundError(f"broken {cls.WHAT}, it has no schema number", str(where), fix)
        # The number comes first: another version may have other fields.
        schema = content["schema"]
        if schema != cls.SCHEMA:
            what = f"{cls.WHAT} has schema {schema}, this version of evenground reads {cls.SCHEMA}"
            raise EvengroundError(what, str(where), fix)
        fields = {name: value for name, value in content.items() if name != "schema"}
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            what = f"broken {cls.WHAT}, {first_fault(error)}"
            raise EvengroundError(what, str(where), fix) from error


class TravellingFields(Fields):
    """A part of a record that travels: other versions may know more fields, or fewer."""

    model_config = ConfigDict(extra="ignore")


class TravellingRecord(Record):
    """A record that bundles carry between machines and versions.

    Fields of another version are ignored, and those it does not know have their defaults.
    """

    model_config = ConfigDict(extra="ignore")
