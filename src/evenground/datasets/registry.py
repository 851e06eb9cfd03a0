"""What datasets there are: typed entries of `data/registry.yaml` and of a configuration's own `registry`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from evenground.addresses import fault_of, shown, shown_value
from evenground.errors import EvengroundError
from evenground.files import sha256_json, sha256_tree
from evenground.networks import smallest_side_px, too_small
from evenground.validation import Name, did_you_mean, first_fault

FINGERPRINT_HEX = 12
ROLES = ("train_images", "train_labels", "test_images", "test_labels")
CODE_THAT_DECIDES_ARRAYS = ("formats.py", "generate.py", "prepare.py")

FileName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def described(description: str, unit: str = "none", **constraints: Any) -> Any:
    """A pydantic field whose JSON Schema carries a description and a unit."""
    return Field(description=description, json_schema_extra={"unit": unit}, **constraints)


def plain_member(name: str) -> str:
    """A member's name as archives made with a leading `./` have it and as others do: `./a//b` is `a/b`.

    What leads out of an archive (`/a`, `../a`) stays so.
    """
    return str(PurePosixPath(name))


Member = Annotated[str, AfterValidator(plain_member)]


class Strict(BaseModel):
    """Base of every model here: immutable, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RemoteFile(Strict):
    """One file to fetch; a mirror holds it at `<mirror>/<dataset>/<name>`."""

    name: FileName = described("File name, in the raw folder and in mirrors")
    role: Literal["train_images", "train_labels", "test_images", "test_labels"] | None = described(
        "What an IDX file holds; not for archives", default=None
    )
    train_members: tuple[Member, ...] = described(
        "Members of an archive that hold training records, in order", default=()
    )
    test_members: tuple[Member, ...] = described(
        "Members of an archive that hold test records, in order", default=()
    )
    urls: tuple[str, ...] = described(
        "Addresses tried in this order (https); may be empty: mirrors only"
    )
    bytes: int | None = described(
        "Size of the file; null if unconfirmed", "bytes", default=None, gt=0
    )
    sha256: Sha256 = described("SHA-256 of the file, 64 lower-case hexadecimal digits")

    @model_validator(mode="after")
    def _safe(self) -> RemoteFile:
        for url in self.urls:
            if fault_of(url):
                raise ValueError(f"'{shown(url)}' is not an https:// address")
        for member in self.train_members + self.test_members:
            path = PurePosixPath(member)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"'{member}' is not a plain path inside an archive")
        if self.name == "fetched.json" or self.name.endswith(".part"):
            raise ValueError(f"the name '{self.name}' is taken by the fetch step")
        return self


class DigitsParameters(Strict):
    """How the digits that scikit-learn ships become a dataset."""

    seed: Seed = described("Seed of the order of the examples and so of the split")
    source_sha256: Sha256 = described(
        "SHA-256 of the 8x8 images then the labels as bytes, as scikit-learn ships them"
    )


class ShapesParameters(Strict):
    """How pictures of shapes are drawn."""

    seed: Seed = described("Seed of every random choice")
    radius_min_px: int = described("Smallest half extent of a shape", "pixels", ge=3, le=15)
    radius_max_px: int = described("Largest half extent of a shape", "pixels", ge=3, le=15)
    noise_levels: int = described(
        "Largest uniform noise added to or taken from a pixel", "grey levels", ge=0, le=127
    )

    @model_validator(mode="after")
    def _ordered(self) -> ShapesParameters:
        if self.radius_min_px > self.radius_max_px:
            raise ValueError("radius_min_px is larger than radius_max_px")
        return self


class DatasetEntry(Strict):
    """One dataset: where its bytes come from, how they are laid out and what they mean."""

    name: Name = described("Key of the entry: folder name, and `datasets:` in the configuration")
    title: str = described("Name for figures and tables", min_length=1)
    network: Literal["mlp", "cnn"] = described("Which of the two networks trains on it")
    classes: tuple[str, ...] = described(
        "Class names; a label is a position in this list", min_length=2, max_length=256
    )
    licence: str = described("Under what terms the data may be used", min_length=1)
    source: str = described("Page that describes the data", min_length=1)
    version: str = described("Version or year of the data", min_length=1)
    format: Literal["idx", "cifar10-binary", "cifar100-binary", "digits", "shapes"] = described(
        "Layout of the files, or the generator that needs none"
    )
    height: int = described("Height of a picture", "pixels", ge=1, le=4096)
    width: int = described("Width of a picture", "pixels", ge=1, le=4096)
    channels: int = described("Colour channels of a picture", "channels", ge=1, le=4)
    transposed: bool = described(
        "Whether the files hold each picture column by column, as EMNIST's do; format 'idx' only",
        default=False,
    )
    train_examples: int = described("Number of training examples", "examples", ge=1)
    test_examples: int = described("Number of test examples", "examples", ge=1)
    files: tuple[RemoteFile, ...] = described(
        "Files to fetch; none for a generated dataset", default=()
    )
    digits: DigitsParameters | None = described(
        "Parameters of format 'digits', else absent", default=None
    )
    shapes: ShapesParameters | None = described(
        "Parameters of format 'shapes', else absent", default=None
    )

    @model_validator(mode="after")
    def _consistent(self) -> DatasetEntry:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        for generator in ("digits", "shapes"):
            if (getattr(self, generator) is not None) != (self.format == generator):
                raise ValueError(
                    f"the key '{generator}' goes with format '{generator}' and with no other"
                )
        if self.transposed and self.format != "idx":
            raise ValueError("the key 'transposed' goes with format 'idx' and with no other")
        if what := too_small(self.network, self.height, self.width):
            smallest_px = smallest_side_px(self.network)
            raise ValueError(f"{what}, which takes {smallest_px}x{smallest_px} or more")
        if self.format in ("digits", "shapes"):
            self._check_generated()
        else:
            self._check_files()
        return self

    def _check_generated(self) -> None:
        shape = {"digits": (28, 28, 1), "shapes": (32, 32, 3)}[self.format]
        if self.files:
            raise ValueError(f"format '{self.format}' is generated and takes no files")
        if (self.height, self.width, self.channels) != shape or len(self.classes) != 10:
            raise ValueError(
                f"format '{self.format}' makes ten classes of height, width, channels {shape}"
            )

    def _check_files(self) -> None:
        members = [file.train_members + file.test_members for file in self.files]
        if self.format == "idx":
            if (
                sorted(str(file.role) for file in self.files) != sorted(ROLES)
                or any(members)
                or self.channels != 1
            ):
                raise ValueError(
                    "format 'idx' takes one channel and four files without members, one per role: "
                    f"{', '.join(ROLES)}"
                )
        elif (
            len(self.files) != 1
            or not self.files[0].train_members
            or not self.files[0].test_members
        ):
            raise ValueError(
                f"format '{self.format}' takes one archive with train_members and test_members"
            )
        elif self.files[0].role is not None or (self.height, self.width, self.channels) != (
            32,
            32,
            3,
        ):
            raise ValueError(
                f"format '{self.format}' takes no role, and height 32, width 32, channels 3"
            )
        elif len(set(members[0])) != len(members[0]):
            raise ValueError("an archive member is named twice")
        if len({file.name for file in self.files}) != len(self.files):
            raise ValueError("two files have the same name")

    def fingerprint(self) -> str:
        """12 hexadecimal digits over all that decides the prepared arrays, but not where the bytes lie.

        Titles, licences, addresses and sizes may be fixed without making a run stale.
        """
        deciding = self.model_dump(
            mode="json",
            include={
                "format",
                "height",
                "width",
                "channels",
                "classes",
                "train_examples",
                "test_examples",
                "digits",
                "shapes",
            },
        )
        # Files that were fetched before there was this key keep their folder.
        if self.transposed:
            deciding["transposed"] = True
        deciding["files"] = sorted(
            (file.model_dump(mode="json", exclude={"urls", "bytes"}) for file in self.files),
            key=lambda file: str(file["name"]),
        )
        return sha256_json(deciding)[:FINGERPRINT_HEX]


def prepared_fingerprint(entry: DatasetEntry) -> str:
    """12 hexadecimal digits over `entry.fingerprint()` and the code that turns raw files into arrays."""
    room = Path(__file__).parent
    code = sha256_tree([room / name for name in CODE_THAT_DECIDES_ARRAYS], room)
    return sha256_json([entry.fingerprint(), code])[:FINGERPRINT_HEX]


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML or JSON file that holds a mapping; EvengroundError if it is missing or is not one."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EvengroundError(
            f"cannot read it: {error}", str(path), "give a readable YAML or JSON file"
        ) from error
    if not isinstance(content, dict):
        raise EvengroundError(
            "it holds no mapping", str(path), "write 'name: {title: ..., ...}' entries"
        )
    return content


def load_extra(path: Path) -> dict[str, Any]:
    """Further entries from a file: a mapping name -> entry, or a configuration with the key `registry`."""
    content = read_mapping(path)
    entries = content.get("registry", content)
    if not isinstance(entries, dict):
        raise EvengroundError(
            "'registry' holds no mapping", str(path), "write 'registry: {name: {title: ..., ...}}'"
        )
    return entries


def load_registry(path: Path, extra: Mapping[str, Any] | None = None) -> dict[str, DatasetEntry]:
    """Entries of the registry file at `path` and of `extra` (a configuration's `registry`), by name.

    Raises EvengroundError naming the dataset, key, value and what is allowed; also when `extra` redefines a
    dataset, because one name must mean the same bytes to everybody.
    """
    entries = {name: _entry(name, raw, str(path)) for name, raw in read_mapping(path).items()}
    for name, raw in (extra or {}).items():
        if name in entries:
            raise EvengroundError(
                f"dataset '{name}' is defined twice",
                "configuration, key 'registry'",
                "give yours another name",
            )
        entries[name] = _entry(name, raw, "configuration, key 'registry'")
    return entries


def find_dataset(registry: Mapping[str, DatasetEntry], name: str) -> DatasetEntry:
    """The entry called `name`; EvengroundError with a suggestion and the known names if there is none."""
    if name in registry:
        return registry[name]
    raise EvengroundError(
        f"unknown dataset '{name}'", "registry", did_you_mean(name, sorted(registry))
    )


def _entry(name: object, raw: object, where: str) -> DatasetEntry:
    if not isinstance(raw, Mapping):
        raise EvengroundError(
            f"dataset '{name}' holds no mapping", where, "write its keys below its name"
        )
    if "name" in raw:
        raise EvengroundError(
            f"dataset '{name}' has a key 'name'", where, "remove it; the entry's key is its name"
        )
    try:
        return DatasetEntry.model_validate({"name": name, **raw})
    except ValidationError as error:
        what = f"dataset '{name}', {_first_problem(error)}"
        raise EvengroundError(what, where, "see docs/datasets.md for the keys") from error


def _first_problem(error: ValidationError) -> str:
    fault = first_fault(error)
    key = f"key '{fault.key or '(whole entry)'}'"
    if not isinstance(fault.value, Mapping):
        key += f" = {shown_value(fault.value)}"
    return f"{key}: {fault.message}{fault.and_more}"
