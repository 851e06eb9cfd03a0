"""The registry: what it holds, what it refuses, and what a fingerprint depends on."""

from __future__ import annotations

import copy
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from datasets.small_data import REGISTRY, ROOT, archive_entry, idx_entry, small_idx, typed
from evenground.addresses import fault_of
from evenground.datasets import registry as registry_module
from evenground.datasets.registry import (
    ARRAYS,
    MODULES,
    DatasetEntry,
    DigitsParameters,
    RemoteFile,
    ShapesParameters,
    find_dataset,
    load_registry,
    prepared_fingerprint,
)
from evenground.errors import EvengroundError

SHAPES = yaml.safe_load(REGISTRY.read_text(encoding="utf-8"))["shapes"]


def test_the_registry_holds_the_datasets_of_the_issue() -> None:
    registry = load_registry(REGISTRY)
    assert set(registry) == {
        "mnist",
        "fashion-mnist",
        "kmnist",
        "cifar10",
        "cifar100",
        "digits",
        "shapes",
    }
    assert {
        name: len(entry.classes) for name, entry in registry.items() if len(entry.classes) != 10
    } == {"cifar100": 100}
    assert list(registry["cifar100"].classes) == sorted(registry["cifar100"].classes)
    for entry in registry.values():
        generated = entry.format in ("digits", "shapes")
        assert bool(entry.files) != generated
        assert all(file.urls and file.bytes for file in entry.files)


def test_the_page_on_datasets_names_every_key_and_every_checksum() -> None:
    page = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    for model in (DatasetEntry, RemoteFile, DigitsParameters, ShapesParameters):
        for name in model.model_fields:
            assert f"`{name}`" in page, name
    for entry in load_registry(REGISTRY).values():
        for file in entry.files:
            assert file.sha256[:8] in page, file.name


def changed(path: str, value: Any) -> dict[str, Any]:
    """The entry of an archive with the value at a dotted `path` replaced; None removes it."""
    raw: dict[str, Any] = copy.deepcopy(archive_entry(b"content", "https://a.example/a.tar.gz"))
    *parents, last = path.split(".")
    place: Any = raw
    for key in parents:
        place = place[int(key) if key.isdigit() else key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("licence", None, "key 'licence': Field required"),
        ("colour", "red", "key 'colour' = 'red': Extra inputs are not permitted"),
        ("files.0.mirror", "x", "key 'files.0.mirror' = 'x': Extra inputs are not permitted"),
        ("format", "png", "key 'format' = 'png': Input should be 'idx'"),
        (
            "train_examples",
            0,
            "key 'train_examples' = 0: Input should be greater than or equal to 1",
        ),
        ("files.0.sha256", "abc", "key 'files.0.sha256' = 'abc': String should match"),
        ("files.0.bytes", -1, "key 'files.0.bytes' = -1"),
        ("files.0.bytes", None, "key 'files.0.bytes': Field required"),
        ("files.0.name", "../a", "key 'files.0.name' = '../a': String should match"),
        ("files.0.name", "fetched.json", "the name 'fetched.json' is taken"),
        ("files.0.urls", ["http://a.example/f"], "'http://a.example/f' is not an https:// address"),
        ("files.0.urls", ["http://127.0.0.1.evil.example/f"], "is not an https:// address"),
        ("files.0.urls", ["ftp://a.example/f"], "is not an https:// address"),
        ("files.0.test_members", [], "takes one archive with train_members and test_members"),
        ("files.0.test_members", ["d/train_1.bin"], "an archive member is named twice"),
        ("files.0.role", "train_images", "takes no role"),
        ("height", 28, "height 32, width 32, channels 3"),
        ("classes", ["a", "a"], "a class is named twice"),
        ("transposed", True, "the key 'transposed' goes with format 'idx'"),
        (
            "files.0.urls",
            ["https://[a.example/f"],
            "'https://[a.example/f' is not an https:// address",
        ),
        (
            "files.0.urls",
            ["http://me:word@a.example/f?key=1"],
            "'http://a.example/f' is not an https://",
        ),
        (
            "files.0.urls",
            "https://me:word@a.example/f",
            "key 'files.0.urls' = 'https://a.example/f",
        ),
        ("format", "idx", "four files without members, one per role"),
        ("format", "digits", "the key 'digits' goes with format 'digits'"),
        ("shapes", SHAPES["shapes"], "the key 'shapes' goes with format 'shapes'"),
        ("name", "other", "has a key 'name'"),
    ],
)
def test_a_wrong_entry_is_one_line_with_key_and_value(path: str, value: Any, expected: str) -> None:
    with pytest.raises(EvengroundError) as caught:
        load_registry(REGISTRY, {"small": changed(path, value)})
    assert expected in str(caught.value) and "'small'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (
            "files",
            [{"name": "a", "bytes": 1, "sha256": "0" * 64, "urls": []}],
            "is generated and takes no files",
        ),
        ("height", 28, "makes ten classes of height, width, channels (32, 32, 3)"),
        ("classes", ["a", "b"], "makes ten classes"),
        (
            "shapes",
            SHAPES["shapes"] | {"radius_min_px": 15},
            "radius_min_px is larger than radius_max_px",
        ),
    ],
)
def test_a_generated_dataset_must_fit_its_generator(key: str, value: Any, expected: str) -> None:
    with pytest.raises(EvengroundError, match="small") as caught:
        load_registry(REGISTRY, {"small": SHAPES | {key: value}})
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", ["Bad name", "../up", "", 7])
def test_a_name_must_do_as_a_folder(name: Any) -> None:
    with pytest.raises(EvengroundError, match="key 'name'"):
        load_registry(REGISTRY, {name: archive_entry(b"x")})


def test_an_entry_must_be_a_mapping() -> None:
    with pytest.raises(EvengroundError, match="'small' holds no mapping"):
        load_registry(REGISTRY, {"small": ["x"]})


def test_a_configuration_cannot_redefine_a_dataset() -> None:
    with pytest.raises(EvengroundError, match="'mnist' is defined twice"):
        load_registry(REGISTRY, {"mnist": archive_entry(b"x")})


def test_an_unknown_dataset_names_what_there_is() -> None:
    with pytest.raises(EvengroundError) as caught:
        find_dataset(load_registry(REGISTRY), "fashion_mnist")
    assert "unknown dataset 'fashion_mnist'" in str(caught.value)
    assert "did you mean 'fashion-mnist'?" in str(caught.value) and "kmnist, mnist, shapes" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("text", "expected"), [("- a", "no mapping"), ("a: [", "cannot read it"), (None, "cannot")]
)
def test_a_broken_registry_file_is_one_line(
    tmp_path: Path, text: str | None, expected: str
) -> None:
    path = tmp_path / "registry.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(EvengroundError, match=expected):
        load_registry(path)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://a.example/x", True),
        ("http://127.0.0.1:80/x", True),
        ("http://localhost/x", True),
        ("http://[::1]/x", True),
        ("http://a.example/x", False),
        ("file:///x", False),
        ("https://", False),
    ],
)
def test_plain_http_is_for_this_machine_only(url: str, allowed: bool) -> None:
    assert (fault_of(url) == "") is allowed


@pytest.mark.parametrize(
    ("path", "value", "moves"),
    [
        ("title", "Other", False),
        ("licence", "MIT", False),
        ("version", "2", False),
        ("files.0.urls", ["https://b.example/a.tar.gz"], False),
        ("files.0.bytes", 5, False),
        ("files.0.sha256", "0" * 64, True),
        ("files.0.name", "b.tar.gz", True),
        ("files.0.train_members", ["d/train_2.bin", "d/train_1.bin"], True),
        ("classes", [f"d{k}" for k in range(10)], True),
        ("train_examples", 8, True),
    ],
)
def test_the_fingerprint_moves_with_the_arrays_only(path: str, value: Any, moves: bool) -> None:
    before = typed(archive_entry(b"content", "https://a.example/a.tar.gz"))
    after = typed(changed(path, value))
    assert (before.fingerprint() != after.fingerprint()) is moves
    assert (prepared_fingerprint(before) != prepared_fingerprint(after)) is moves


def test_generator_parameters_are_in_the_fingerprint() -> None:
    prints = {
        typed(SHAPES | {"shapes": SHAPES["shapes"] | {"seed": seed}}).fingerprint()
        for seed in (1, 2, 3)
    }
    assert len(prints) == 3 and all(len(text) == 12 for text in prints)


def test_fingerprints_are_the_same_on_every_machine() -> None:
    assert (
        typed(idx_entry(small_idx())).fingerprint() == typed(idx_entry(small_idx())).fingerprint()
    )
    assert load_registry(REGISTRY)["mnist"].fingerprint() == "0511defe8376"


FORMATS = Path(registry_module.__file__).parent / "formats"


@pytest.mark.parametrize(
    ("module", "concerned"),
    [
        ("idx", {"mnist"}),
        ("cifar", {"cifar10"}),
        ("digits", {"digits"}),
        ("draws", {"digits", "shapes"}),
        ("arrays", {"mnist", "cifar10", "digits", "shapes"}),
    ],
)
def test_the_code_of_a_format_is_in_the_fingerprints_of_its_datasets_alone(
    module: str, concerned: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(FORMATS, tmp_path / "formats")
    registry = load_registry(REGISTRY)
    names = ("mnist", "cifar10", "digits", "shapes")
    before = {name: prepared_fingerprint(registry[name]) for name in names}
    monkeypatch.setattr(registry_module, "__file__", str(tmp_path / "registry.py"))
    for added, changes in (("# words\n", set()), ("MORE = 1\n", concerned)):
        with (tmp_path / "formats" / f"{module}.py").open("a", encoding="utf-8") as stream:
            stream.write(added)
        after = {name: prepared_fingerprint(registry[name]) for name in names}
        assert {name for name in names if after[name] != before[name]} == changes


@pytest.mark.parametrize("name", MODULES)
def test_the_modules_of_a_format_are_all_that_it_imports(name: str) -> None:
    modules = {ARRAYS, *MODULES[name]}
    for module in modules:
        text = (FORMATS / f"{module}.py").read_text(encoding="utf-8")
        imported = re.findall(r"evenground\.datasets\.formats\.(\w+)", text)
        assert modules.issuperset(imported), module
