"""The known datasets: typed entries of `data/registry.yaml` and of a configuration's `registry`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from evenground import digests
from evenground.addresses import fault_of, shown, shown_value
from evenground.errors import EvengroundError
from evenground.files import sha256_json
from evenground.networks import smallest_side_px, too_small
from evenground.validation import Name, did_you_mean, first_fault, read_yaml

FINGERPRINT_HEX = 12
ROLES = ["test_images", "test_labels", "train_images", "train_labels"]
# Height, width and channels of the pictures that each generator makes.
GENERATED_SHAPE = {"digits": (28, 28, 1), "shapes": (32, 32, 3)}
GENERATED_CLASSES = 10
CIFAR_SHAPE = (32, 32, 3)
# Format -> the modules below `formats` that decide its arrays, beside ARRAYS: its own, which has
# `read`, then those that it imports.
MODULES = {
    "idx": ("idx",),
    "cifar10-binary": ("cifar",),
    "cifar100-binary": ("cifar",),
    "digits": ("digits", "draws"),
    "shapes": ("shapes", "draws"),
}
ARRAYS = "arrays"
"""What all formats share."""
# Titles, terms and addresses can be corrected without making a run stale.
NOT_DECIDING: dict[str, Any] = {
    **dict.fromkeys(("name", "title", "network", "licence", "source", "version"), True),
    "files": {"__all__": {"urls", "bytes"}},
}


def plain_member(name: str) -> str:
    """A member's name without a leading `./` and doubled slashes: `./a//b` is `a/b`.

    Archives made with `tar -C folder .` have such names.
    """
    return str(PurePosixPath(name))


FileName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Member = Annotated[str, AfterValidator(plain_member)]
Text = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Pixels = Annotated[int, Field(ge=1, le=4096)]
RadiusPixels = Annotated[int, Field(ge=3, le=15)]
Count = Annotated[int, Field(ge=1)]


class Strict(BaseModel):
    """Base of every model here: immutable, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RemoteFile(Strict):
    """One file to fetch; a mirror holds it at `<mirror>/<dataset>/<name>`."""

    name: FileName
    """File name, in the raw folder and in mirrors."""
    role: Literal["train_images", "train_labels", "test_images", "test_labels"] | None = None
    """Content of an IDX file; None for archives."""
    train_members: tuple[Member, ...] = ()
    """Members of an archive with training records, in order."""
    test_members: tuple[Member, ...] = ()
    """Members of an archive with test records, in order."""
    urls: tuple[str, ...]
    """Addresses (https), tried in this order; empty if only mirrors have the file."""
    bytes: Count
    """Size of the file."""
    sha256: Sha256

    @model_validator(mode="after")
    def _safe(self) -> RemoteFile:
        for url in self.urls:
            if fault_of(url):
                raise ValueError(f"'{shown(url)}' is not an https:// address")
        if self.name == "fetched.json" or self.name.endswith(".part"):
            raise ValueError(f"the name '{self.name}' is taken by the fetch step")
        return self


class DigitsParameters(Strict):
    """How the digits that scikit-learn ships become a dataset."""

    seed: Seed
    """Decides the order of the examples, and so the split."""
    source_sha256: Sha256
    """Of the 8x8 images, then the labels, as bytes."""


class ShapesParameters(Strict):
    """How pictures of shapes are drawn."""

    seed: Seed
    """Decides every random choice."""
    radius_min_px: RadiusPixels
    """Smallest half extent of a shape."""
    radius_max_px: RadiusPixels
    """Largest half extent of a shape."""
    noise_levels: Annotated[int, Field(ge=0, le=127)]
    """Largest uniform noise added to or taken from a pixel, in grey levels."""

    @model_validator(mode="after")
    def _ordered(self) -> ShapesParameters:
        if self.radius_min_px > self.radius_max_px:
            raise ValueError("radius_min_px is larger than radius_max_px")
        return self


class DatasetEntry(Strict):
    """One dataset: where its files come from, their layout and their meaning (docs/datasets.md)."""

    name: Name
    """Key of the entry: folder name, and item of `datasets` in the configuration."""
    title: Text
    """Name in figures and tables."""
    network: Literal["mlp", "cnn"]
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=256)]
    """Names; a label is a position in this list."""
    licence: Text
    source: Text
    """Page that describes the data."""
    version: Text
    """Version or year of the data."""
    format: Literal["idx", "cifar10-binary", "cifar100-binary", "digits", "shapes"]
    """Layout of the files, or the generator that needs none."""
    height: Pixels
    width: Pixels
    channels: Annotated[int, Field(ge=1, le=4)]
    transposed: bool = False
    """Whether IDX files hold each picture column by column, like EMNIST's."""
    train_examples: Count
    test_examples: Count
    files: tuple[RemoteFile, ...] = ()
    """None for a generated dataset."""
    digits: DigitsParameters | None = None
    shapes: ShapesParameters | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a picture."""
        return self.height, self.width, self.channels

    @model_validator(mode="after")
    def _consistent(self) -> DatasetEntry:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        for generator in GENERATED_SHAPE:
            if (getattr(self, generator) is not None) != (self.format == generator):
                raise ValueError(
                    f"the key '{generator}' goes with format '{generator}' and with no other"
                )
        if self.transposed and self.format != "idx":
            raise ValueError("the key 'transposed' goes with format 'idx' and with no other")
        too_small_text = too_small(self.network, self.height, self.width)
        if too_small_text:
            smallest_px = smallest_side_px(self.network)
            raise ValueError(f"{too_small_text}, which takes {smallest_px}x{smallest_px} or more")
        if self.format in GENERATED_SHAPE:
            self._check_generated()
        elif self.format == "idx":
            self._check_idx()
        else:
            self._check_archive()
        return self

    def _check_generated(self) -> None:
        shape = GENERATED_SHAPE[self.format]
        if self.files:
            raise ValueError(f"format '{self.format}' is generated and takes no files")
        if self.shape != shape or len(self.classes) != GENERATED_CLASSES:
            raise ValueError(
                f"format '{self.format}' makes ten classes of height, width, channels {shape}"
            )

    def _check_idx(self) -> None:
        roles = sorted(str(file.role) for file in self.files)
        members = any(file.train_members or file.test_members for file in self.files)
        if roles != ROLES or members or self.channels != 1:
            raise ValueError(
                "format 'idx' takes one channel and four files without members, one per role: "
                + ", ".join(ROLES)
            )
        if len({file.name for file in self.files}) != len(self.files):
            raise ValueError("two files have the same name")

    def _check_archive(self) -> None:
        archive = self.files[0] if len(self.files) == 1 else None
        if archive is None or not archive.train_members or not archive.test_members:
            raise ValueError(
                f"format '{self.format}' takes one archive with train_members and test_members"
            )
        if archive.role is not None or self.shape != CIFAR_SHAPE:
            raise ValueError(
                f"format '{self.format}' takes no role, and height 32, width 32, channels 3"
            )
        members = archive.train_members + archive.test_members
        if len(set(members)) != len(members):
            raise ValueError("an archive member is named twice")

    def fingerprint(self) -> str:
        """12 hexadecimal digits over everything that decides the prepared arrays."""
        # A key that another format brings has its default here.
        deciding = self.model_dump(mode="json", exclude=NOT_DECIDING, exclude_defaults=True)
        return sha256_json(deciding)[:FINGERPRINT_HEX]


def prepared_fingerprint(entry: DatasetEntry) -> str:
    """12 hexadecimal digits over `entry.fingerprint()` and the code of its format."""
    formats = Path(__file__).parent / "formats"
    modules = (ARRAYS, *MODULES[entry.format])
    code = digests.tree([formats / f"{name}.py" for name in modules], formats)
    return sha256_json([entry.fingerprint(), code])[:FINGERPRINT_HEX]


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML or JSON file with a mapping. Raises EvengroundError if it is missing or has none."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        fix = "write 'name: {title: ..., ...}' entries"
        raise EvengroundError("it holds no mapping", str(path), fix)
    return content


def load_registry(path: Path, extra: Mapping[str, Any] | None = None) -> dict[str, DatasetEntry]:
    """Entries by name, of the registry file at `path`, and of `extra`, `registry` of a configuration.

    Raises EvengroundError naming the dataset, key, value and what is allowed; also if `extra`
    redefines a dataset, because one name must mean the same bytes everywhere.
    """
    entries = {name: _entry(name, raw, str(path)) for name, raw in read_mapping(path).items()}
    where = "configuration, key 'registry'"
    for name, raw in (extra or {}).items():
        if name in entries:
            what = f"dataset '{name}' is defined twice"
            raise EvengroundError(what, where, "give yours another name")
        entries[name] = _entry(name, raw, where)
    return entries


def find_dataset(registry: Mapping[str, DatasetEntry], name: str) -> DatasetEntry:
    """The entry called `name`. Raises EvengroundError with the known names if there is none."""
    if name in registry:
        return registry[name]
    fix = did_you_mean(name, sorted(registry))
    raise EvengroundError(f"unknown dataset '{name}'", "registry", fix)


def _entry(name: object, raw: object, where: str) -> DatasetEntry:
    if not isinstance(raw, Mapping):
        what = f"dataset '{name}' holds no mapping"
        raise EvengroundError(what, where, "write its keys below its name")
    if "name" in raw:
        what = f"dataset '{name}' has a key 'name'"
        raise EvengroundError(what, where, "remove it; the entry's key is its name")
    try:
        return DatasetEntry.model_validate({"name": name, **raw})
    except ValidationError as error:
        what = f"dataset '{name}', {_first_problem(error)}"
        raise EvengroundError(what, where, "see docs/datasets.md for the keys") from error


def _first_problem(error: ValidationError) -> str:
    fault = first_fault(error)
    key = f"key '{fault.key or '(whole entry)'}'"
    # A mapping would be as long as the entry itself.
    if not isinstance(fault.value, Mapping):
        key += f" = {shown_value(fault.value)}"
    return f"{key}: {fault.message}{fault.and_more}"
