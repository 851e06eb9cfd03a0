"""What all records have in common: a model of one file, and one line for what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from evenground.errors import EvengroundError, set_aside
from evenground.files import read_json, write_json
from evenground.validation import first_fault


class Fields(BaseModel):
    """A part of a record. Nothing is changed once it was made.

    Unknown fields are refused: somebody's hand put them there, or another version of this program.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(Fields):
    """The content of one of our JSON files, as its writer makes it and its readers get it."""

    WHAT: ClassVar[str]
    """What messages call the file, e.g. `outcome`."""
    SCHEMA: ClassVar[int] = 1
    """Raised when a reader has to treat older files differently."""

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
        return cls.parse(read_json(path), path, fix)

    @classmethod
    def parse(cls, content: Any, where: Path, fix: str = "") -> Self:
        """Check the content of the file at `where`; raises EvengroundError as `read` does."""
        fix = fix or set_aside(where)
        if not isinstance(content, dict) or type(content.get("schema")) is not int:
            raise EvengroundError(f"broken {cls.WHAT}, it has no schema number", str(where), fix)
        # The number comes first: another version may have other fields.
        schema = content["schema"]
        if schema != cls.SCHEMA:
            raise cls.other_schema(schema, where, fix)
        fields = {name: value for name, value in content.items() if name != "schema"}
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            what = f"broken {cls.WHAT}, {first_fault(error)}"
            raise EvengroundError(what, str(where), fix) from error

    @classmethod
    def other_schema(cls, found: int, where: Path, fix: str) -> EvengroundError:
        """The error for a file of another schema; formats that travel have one of their own."""
        what = f"{cls.WHAT} has schema {found}, this version of evenground reads {cls.SCHEMA}"
        return EvengroundError(what, str(where), fix)
