"""Images: what decides one before it is built, and when a file is not the recorded one any more."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evenground.containers import build
from evenground.containers.apptainer import Told
from evenground.containers.images import (
    Base,
    Image,
    base_of,
    build_arguments,
    check_digest,
    check_image,
    check_inside,
    copied_in,
    definition,
    image_of,
    is_recorded,
    is_there,
    recipe,
    refused_base,
    take_record,
)
from evenground.containers.launcher import Launcher
from evenground.containers.pins import load_pins
from evenground.errors import EvengroundError
from evenground.records.image import ImageRecord
from ordinary_user import open_folder, ordinary_user

ROOT = Path(__file__).resolve().parents[2]
RECORD = ImageRecord(name="jax-1", sha256="a" * 64, bytes=4, mtime_ns=1, labels={})
WHOLE = "src/evenground/environments/whole.py"
BASE = Base("docker", "some/base:1", "some/base:1", "3.12")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The parts of the repository that decide an image."""
    for part in ("containers", "envs"):
        shutil.copytree(ROOT / part, tmp_path / part)
    (tmp_path / WHOLE).parent.mkdir(parents=True)
    shutil.copy(ROOT / WHOLE, tmp_path / WHOLE)
    return tmp_path


@pytest.mark.parametrize(
    "part", ["containers/python.def", "envs/jax.txt", "envs/runner.txt", WHOLE]
)
def test_definition_and_what_it_copies_in_decide_an_image_and_nothing_else(
    copy: Path, part: str
) -> None:
    before = recipe(copy, "jax")
    (copy / "containers/axon.def").write_text("changed")
    (copy / "envs/keras.txt").write_text("changed")
    assert recipe(copy, "jax") == before
    (copy / part).write_text((copy / part).read_text() + "CHANGED = 1\n")
    assert recipe(copy, "jax") != before
    assert image_of(copy, "jax", BASE, copy).recipe == recipe(copy, "jax")


def test_of_the_pins_only_the_libraries_decide_an_image_and_only_one_with_cuda(copy: Path) -> None:
    pins = copy / "containers/pins.yaml"
    before = {name: recipe(copy, name) for name in ("jax", "jax-cuda")}
    pins.write_text(pins.read_text().replace("575.51.03", "575.51.04") + "# changed\n")
    assert {name: recipe(copy, name) for name in before} == before
    pins.write_text(pins.read_text().replace("nccl: 2.32.3", "nccl: 2.32.4"))
    after = {name: recipe(copy, name) for name in before}
    assert after["jax"] == before["jax"] and after["jax-cuda"] != before["jax-cuda"]


COMPILED = """\
Bootstrap: docker
From: some/base:1
# %files is a word here
%files from build
    /opt/elixir /opt/elixir
%files
    # the lock, then the code
    envs/{{ lock }}.txt /opt/engine.txt

    envs/runner.txt
    engines/axon /opt/axon
%post
    cp envs/none.txt /opt
"""


@pytest.fixture
def compiled(copy: Path) -> Path:
    """The parts of a repository with an engine that is compiled into its image."""
    (copy / "containers/axon.def").write_text(COMPILED)
    (copy / "envs/axon-cuda.txt").write_text("a==1\n")
    (copy / "engines/axon/lib").mkdir(parents=True)
    (copy / "engines/axon/lib/train.ex").write_text("defmodule Train do\nend\n")
    return copy


def test_an_engine_that_is_compiled_into_its_image_gets_a_new_one_with_its_code(
    compiled: Path,
) -> None:
    assert [str(path) for path in copied_in(compiled, "axon-cuda")] == [
        "envs/axon-cuda.txt",
        "envs/runner.txt",
        "engines/axon",
    ]
    before = recipe(compiled, "axon-cuda")
    (compiled / "engines/other").write_text("nothing of it")
    assert recipe(compiled, "axon-cuda") == before
    (compiled / "engines/axon/lib/more.ex").write_text("")
    assert recipe(compiled, "axon-cuda") != before


def test_what_a_definition_copies_in_must_be_there(compiled: Path) -> None:
    (compiled / "envs/axon.txt").unlink()
    with pytest.raises(
        EvengroundError, match=r"'axon' copies .* \(containers/axon\.def: envs/axon\.txt\): fix"
    ):
        recipe(compiled, "axon")


def test_engines_of_python_and_their_cuda_variants_are_images_of_one_definition(copy: Path) -> None:
    environments = ("jax", "jax-cuda", "keras", "keras-cuda")
    assert {definition(copy, name) for name in environments} == {Path("containers/python.def")}
    assert len({recipe(copy, name) for name in environments}) == 4


def test_a_definition_of_its_own_comes_before_everybodys(copy: Path) -> None:
    before = recipe(copy, "jax")
    (copy / "containers/jax.def").write_text(COMPILED.replace("    engines/axon /opt/axon\n", ""))
    assert definition(copy, "jax-cuda") == Path("containers/jax.def")
    assert recipe(copy, "jax") != before


def test_another_base_is_another_file_of_the_same_recipe(copy: Path) -> None:
    first = image_of(copy, "jax", BASE, copy)
    other = image_of(copy, "jax", Base("docker", "some/base:2", "some/base:2", "3.12"), copy)
    assert (
        first.file != other.file and first.record != other.record and first.recipe == other.recipe
    )


def test_an_environment_without_a_lock_is_one_clear_line(copy: Path) -> None:
    with pytest.raises(
        EvengroundError, match=r"'other' copies .* \(containers/python\.def: envs/other\.in\)"
    ):
        recipe(copy, "other")


@pytest.mark.parametrize("environment", ["keras", "keras-cuda", "jax", "jax-cuda"])
def test_every_argument_is_one_of_the_definition(copy: Path, environment: str) -> None:
    """Apptainer refuses a value for an argument that a definition does not have."""
    given = build_arguments(copy, image_of(copy, environment, BASE, copy), BASE)
    wanted = set(re.findall(r"\{\{ (\w+) \}\}", (copy / definition(copy, environment)).read_text()))
    assert given.keys() == wanted
    assert (given["cudnn"] == "none") == (not environment.endswith("-cuda"))
    assert given["lock"] == environment and (copy / "envs" / f"{given['lock']}.txt").is_file()


def test_a_local_base_is_known_by_its_content(copy: Path) -> None:
    (copy / "base.sif").write_bytes(b"a base")
    base = base_of(copy, copy / "base.sif")
    assert (base.bootstrap, base.reference) == ("localimage", str(copy / "base.sif"))
    assert base.identity.startswith("sha256:") and str(copy) not in base.identity
    assert base.python == "any", "what its packages have, for it may have none itself"
    with pytest.raises(EvengroundError, match=r"base image is missing .*local_base\.sh"):
        base_of(copy, copy / "none.sif")


def test_a_digest_in_the_pins_is_what_is_pulled(copy: Path) -> None:
    """Apptainer refuses a reference with a tag and a digest."""
    pins = copy / "containers/pins.yaml"
    digest = load_pins(copy).base.digest
    base = base_of(copy, None)
    assert base.reference == f"nvidia/cuda@{digest}"
    assert base.identity == f"nvidia/cuda:12.9.1-base-ubuntu24.04@{digest}"
    pins.write_text(pins.read_text().replace(f"digest: {digest}", "digest: null"))
    tagged = base_of(copy, None)
    assert tagged.reference == tagged.identity == "nvidia/cuda:12.9.1-base-ubuntu24.04"
    assert image_of(copy, "jax", base, copy).file != image_of(copy, "jax", tagged, copy).file


# What Apptainer 1.4 and older ones say.
REFUSALS = [
    "FATAL: conveyor failed to get: GET https://index.docker.io/v2/a: MANIFEST_UNKNOWN: manifest unknown",
    "FATAL: reading manifest sha256:29e5 in docker.io/nvidia/cuda: manifest unknown",
]


@pytest.mark.parametrize("said", REFUSALS)
def test_a_registry_without_the_digest_is_told_with_tag_and_setting(copy: Path, said: str) -> None:
    base = base_of(copy, None)
    error = refused_base(base, f"INFO: Starting build...\n{said}\n")
    assert error and "\n" not in str(error)
    for word in (load_pins(copy).base.digest, "12.9.1-base-ubuntu24.04", "set base.digest: null"):
        assert str(word) in str(error)
    assert refused_base(base, "FATAL: dial tcp: lookup index.docker.io: no such host") is None
    assert refused_base(BASE, said) is None, "there is no digest to leave out"


def apptainer(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let a shell script stand for Apptainer."""
    (folder / "bin").mkdir()
    (folder / "bin/apptainer").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "bin/apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")


def test_a_build_whose_base_is_refused_ends_with_that_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apptainer(tmp_path, monkeypatch, f"echo '{REFUSALS[0]}' >&2; exit 255")
    monkeypatch.setattr(build, "as_root", list)
    monkeypatch.chdir(ROOT)
    base = base_of(ROOT, None)
    with pytest.raises(
        EvengroundError, match=r"does not have the base image of that digest: nvidia/cuda:12"
    ):
        build.build(image_of(ROOT, "jax", base, tmp_path), base, tmp_path / "log")


def test_the_digest_that_was_pulled_is_on_record_where_apptainer_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled = {
        "org.opencontainers.image.base.name": "docker.io/nvidia/cuda:12",
        "org.opencontainers.image.base.digest": "sha256:5d2e",
    }
    labels = {**pulled, "evenground.lock": "jax", "org.label-schema.build-arch": "amd64"}
    told = json.dumps({"data": {"attributes": {"labels": labels}}})
    apptainer(tmp_path, monkeypatch, f"[ $1 = exec ] || echo '{told}'")
    image = Image("jax", "abc", tmp_path / "jax.sif", tmp_path / "jax.json")
    launcher = Launcher(lambda image, command: command, Told(), {})
    found = build.labels_of(image, launcher)
    assert found == {**pulled, "evenground.lock": "jax"}


def test_a_replaced_image_is_seen_from_inside(image: Image, tmp_path: Path) -> None:
    record = ImageRecord.read(image.record)
    (tmp_path / "labels.json").write_text('{"evenground.recipe": "abc", "other": "x"}')
    check_inside(record, tmp_path / "labels.json")
    (tmp_path / "labels.json").write_text('{"evenground.recipe": "abd"}')
    with pytest.raises(EvengroundError, match="was replaced during this invocation"):
        check_inside(record, tmp_path / "labels.json")


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """A file of four bytes and the record of it."""
    made = Image("jax", "abc", tmp_path / "jax-1.sif", tmp_path / "jax-1.json")
    made.file.write_bytes(b"abcd")
    take_record(made.file, {"evenground.recipe": "abc"}).write(made.record)
    return made


def test_an_image_that_is_the_recorded_one_passes_also_when_only_its_time_changed(
    image: Image,
) -> None:
    check_image(image, ImageRecord.read(image.record))
    os.utime(image.file, (1, 1))
    check_image(image, ImageRecord.read(image.record))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"the image of 'jax' is missing \("),
        (b"abc", r"the image of 'jax' is truncated: 3 of 4 bytes \("),
        (b"", r"the image of 'jax' is truncated: 0 of 4 bytes \("),
        (
            b"abcde",
            r"the image of 'jax' is sha256:[0-9a-f]{12}, recorded is sha256:88d4266fd4e6 \(",
        ),
        (b"abce", r"the image of 'jax' is sha256:[0-9a-f]{12}, recorded is sha256:88d4266fd4e6 \("),
    ],
)
def test_another_image_is_refused(image: Image, content: bytes | None, said: str) -> None:
    image.file.unlink()
    if content is not None:
        image.file.write_bytes(content)
        os.utime(image.file, (1, 1))
    with pytest.raises(EvengroundError, match=said):
        check_image(image, ImageRecord.read(image.record))


def recorded(folder: Path) -> Image:
    """The same in a folder of its own; its record is elsewhere."""
    made = Image("jax", "abc", folder / "images/jax-1.sif", folder / "jax-1.json")
    made.file.parent.mkdir()
    made.file.write_bytes(b"abcd")
    take_record(made.file, {}).write(made.record)
    return made


def test_a_file_that_may_not_be_read_is_neither_missing_nor_truncated() -> None:
    with open_folder() as folder:
        image = recorded(folder)
        record = ImageRecord.read(image.record)
        image.file.chmod(0)
        with (
            ordinary_user(),
            pytest.raises(
                EvengroundError, match=r"^the image of 'jax' may not be read \(.*: let this user"
            ),
        ):
            check_image(image, record)
        image.file.chmod(0o644)
        with ordinary_user():
            check_image(image, record)


@pytest.mark.parametrize("looks", [is_there, is_recorded, lambda image: check_image(image, RECORD)])
def test_a_file_in_a_folder_that_may_not_be_entered(looks: Callable[[Image], object]) -> None:
    with open_folder() as folder:
        image = recorded(folder)
        image.file.parent.chmod(0)
        said = r"^the image of 'jax' cannot be looked at: Permission denied \(.*: let this user read it"
        with ordinary_user(), pytest.raises(EvengroundError, match=said):
            looks(image)


def test_what_is_there_and_on_record(image: Image, tmp_path: Path) -> None:
    assert is_there(image) and is_recorded(image)
    image.record.unlink()
    assert is_there(image) and not is_recorded(image)
    image.file.unlink()
    assert not is_there(image)
    assert not is_there(replace(image, file=image.file / "below"))
    image.file.mkdir()
    assert not is_there(image), "a folder is no image"
    image.file.rmdir()
    image.file.symlink_to(tmp_path / "nowhere")
    assert not is_there(image)


def test_a_record_that_is_none_is_one_clear_line(image: Image) -> None:
    image.record.write_text('{"name": "jax-1"}')
    with pytest.raises(EvengroundError, match="broken record of an image"):
        ImageRecord.read(image.record)


def test_finished_runs_and_new_ones_are_made_in_one_image(image: Image) -> None:
    check_digest(image, None, [])
    check_digest(image, "a" * 64, [])
    check_digest(image, "a" * 64, ["a" * 64])
    with pytest.raises(
        EvengroundError, match=r"is missing, finished runs were made in sha256:aaaaaaaaaaaa"
    ):
        check_digest(image, None, ["a" * 64])
    with pytest.raises(
        EvengroundError, match=r"is sha256:b+, finished runs were made in sha256:a+ "
    ):
        check_digest(image, "b" * 64, ["a" * 64])
    with pytest.raises(EvengroundError, match=r"in sha256:a+ and sha256:b+"):
        check_digest(image, "b" * 64, ["a" * 64, "b" * 64])
