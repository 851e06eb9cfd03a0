"""Containers in preflight, and the same looks as a gate before the first training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evenground.config import load_experiment
from evenground.containers.apptainer import Told
from evenground.containers.images import Image, building_folder, take_record
from evenground.containers.launcher import Launcher
from evenground.containers.start_failure import allow_namespaces
from evenground.errors import EvengroundError
from evenground.files import sha256_bytes, sha256_file
from evenground.preflight import containers
from evenground.preflight.check import check
from evenground.preflight.finding import Finding
from evenground.preflight.gate import gate, refuse_containers
from evenground.records.environment import Environment
from evenground.records.environment import Image as MadeIn
from evenground.records.manifest import Manifest
from evenground.runs.plan import RUNS, Plan
from evenground.runs.study import Condition, Study
from logged import logged
from made_records import made_prepared
from made_run_records import RUN
from ordinary_user import open_folder, ordinary_user
from planned import make_plan
from working_copy import fresh_copy

GIB = 2**30


def program(folder: Path, text: str) -> str:
    """A stand-in for Apptainer that does what the shell lines of `text` say."""
    path = folder / "apptainer"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("text", "state", "seen"),
    [
        (None, "error", "not installed"),
        ("exit 3", "error", "does not answer"),
        ("echo apptainer version 1.3.6", "error", "1.3.6 is too old"),
        ("echo apptainer version 1.4.5", "ok", "apptainer version 1.4.5"),
    ],
)
def test_apptainer_itself(tmp_path: Path, text: str | None, state: str, seen: str) -> None:
    path = program(tmp_path, text) if text else str(tmp_path / "none")
    found = containers.apptainer(path)
    assert found.state == state and seen in found.seen


def test_a_container_that_does_not_start_says_apptainers_key_line(tmp_path: Path) -> None:
    refusing = program(
        tmp_path, "printf '\\033[91mERROR  : no namespace\\n\\033[0mINFO : ask\\n' >&2; exit 255"
    )
    found = containers.container_start(refusing)
    assert found.state == "error" and found.seen == "refused: ERROR : no namespace"
    assert "user.max_user_namespaces" in found.fix


@pytest.mark.parametrize(
    ("setting", "fix"),
    [
        (None, "allow user namespaces (sysctl user.max_user_namespaces="),
        ("0\n", "allow user namespaces (sysctl user.max_user_namespaces="),
        ("1\n", "Ubuntu gives programs without an AppArmor profile no user namespace"),
    ],
)
def test_where_ubuntu_refuses_namespaces_the_mend_is_apparmors(
    tmp_path: Path, setting: str | None, fix: str
) -> None:
    """There the usual two settings are right already and change nothing."""
    if setting:
        (tmp_path / "restricted").write_text(setting)
    said = allow_namespaces(tmp_path / "restricted")
    assert said.startswith(fix)
    assert ("ppa:apptainer/ppa" in said) == (setting == "1\n")


def test_the_container_that_is_tried_is_whole(tmp_path: Path) -> None:
    """The stand-in checks what Apptainer would be given: host folders bound to folders that are there."""
    text = "shift 2\n"
    text += 'while [ "$1" = --bind ]; do from=$2; shift 2; test -d "$from" || exit 9; binds="$binds $from"; done'
    text += '\nfor bind in $binds; do test -d "$1$bind" || exit 8; done; test -n "$binds" -a "$2" = true'
    assert containers.container_start(program(tmp_path, text)).state == "ok"


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image("jax", "abc", tmp_path / "images" / "jax-1.sif", tmp_path / "jax-1.json")


def built(image: Image, content: bytes = b"image") -> str:
    """Let the image be there; its sha256."""
    image.file.parent.mkdir(exist_ok=True)
    image.file.write_bytes(content)
    record = take_record(image.file, {})
    record.write(image.record)
    return record.sha256


def test_an_image_to_be_built_is_a_warning_unless_finished_runs_want_one(image: Image) -> None:
    assert containers.image(image, []).state == "warning"
    found = containers.image(image, ["a" * 64])
    assert (
        found.state == "error"
        and "is missing, finished runs were made in sha256:aaaaaaaaaaaa" in found.seen
    )


def test_an_image_that_is_there(image: Image) -> None:
    digest = built(image)
    assert containers.image(image, []).seen == f"sha256:{digest[:12]} ({image.file})"
    assert containers.image(image, [digest]).state == "ok"
    assert containers.image(image, ["a" * 64]).state == "error"
    image.record.unlink()
    assert containers.image(image, []).seen.startswith("there, to be checked")


def test_a_truncated_or_vanished_image_is_a_lack(image: Image) -> None:
    built(image)
    image.file.write_bytes(b"im")
    assert "truncated: 2 of 5 bytes" in containers.image(image, []).seen
    image.file.unlink()
    found = containers.image(image, [])
    assert found.state == "error" and "is missing" in found.seen and str(image.record) in found.fix


def test_half_a_file_that_is_not_on_record_is_looked_at_later(image: Image) -> None:
    """Nobody knows how long it should be: Apptainer will say that it is none."""
    built(image)
    image.record.unlink()
    image.file.write_bytes(b"im")
    found = containers.image(image, [])
    assert found.state == "ok" and "truncated" not in found.seen


@pytest.mark.parametrize(
    ("closed", "seen"),
    [
        ("images/jax-1.sif", "the image of 'jax' may not be read ("),
        ("images", "the image of 'jax' cannot be looked at: Permission denied ("),
    ],
)
def test_an_image_that_may_not_be_read_is_a_lack(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, closed: str, seen: str
) -> None:
    """Also in preflight's list, which goes on."""
    monkeypatch.setattr(containers, "recorded_digests", lambda plans, environment: [])
    with open_folder() as folder:
        image = Image("jax", "abc", folder / "images/jax-1.sif", folder / "jax-1.json")
        built(image)
        (folder / closed).chmod(0)
        with ordinary_user():
            found = containers.image(image, [])
            listed = containers.findings([plan], [image])
    assert found.state == "error" and found.seen.startswith(seen)
    assert found.fix.startswith("let this user read it (chmod a+rX), or point EVENGROUND_CACHE to")
    assert found in listed and "disk for images" not in {finding.what for finding in listed}


def cannot_be_made(image: Image, where: Path) -> bool:
    """Whether just that is said of an image."""
    found = containers.image(image, [])
    assert (
        found.fix == "point EVENGROUND_CACHE to a folder that can be written"
        or found.state != "error"
    )
    return found.seen == f"no image can be made: the folder cannot be written to ({where})"


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        image = Image("jax", "abc", tmp_path / name / "cache/images/jax-1.sif", tmp_path / "r")
        assert cannot_be_made(image, tmp_path / name)
    assert not cannot_be_made(
        Image("jax", "abc", tmp_path / "cache/jax-1.sif", tmp_path / "r"), tmp_path
    )


def test_a_cache_in_a_folder_without_write_access() -> None:
    with open_folder() as folder:
        image = Image("jax", "abc", folder / "cache/images/jax-1.sif", folder / "jax-1.json")
        folder.chmod(0o555)
        with ordinary_user():
            assert cannot_be_made(image, folder)
        folder.chmod(0o777)
        with ordinary_user():
            assert not cannot_be_made(image, folder)
        folder.chmod(0o755)
        built(image := replace(image, file=folder / "jax-1.sif"))
        folder.chmod(0o555)
        with ordinary_user():
            assert containers.image(image, []).state == "ok", "nothing has to be made"


@pytest.mark.parametrize("name", ["my images", "a:b", "a,b", "it's", 'say "x"', "a$b", "a;b", "#1"])
def test_a_path_that_a_shell_or_apptainer_takes_for_something_else_is_said(
    tmp_path: Path, name: str
) -> None:
    found = containers.image(Image("jax", "abc", tmp_path / name / "jax.sif", tmp_path / "r"), [])
    odd = next(letter for letter in name if not letter.isalnum())
    assert (
        found.state == "error"
        and f"its path has {odd!r}" in found.seen
        and "EVENGROUND_CACHE" in found.fix
    )


@pytest.mark.parametrize("name", ["plain", "Größe-1_2.3", "a+b@c=d%e"])
def test_a_path_of_letters_and_harmless_signs_is_taken(tmp_path: Path, name: str) -> None:
    found = containers.image(Image("jax", "abc", tmp_path / name / "jax.sif", tmp_path / "r"), [])
    assert found.state == "warning" and found.seen.startswith("to be built")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    copy = fresh_copy(tmp_path / "copy")
    return make_plan(
        load_experiment({**copy.settings, "engines": ["jax"], "deployment": "apptainer"}), copy.root
    )


def finish(plan: Plan, **recorded: Any) -> None:
    """Let every wanted run be finished, with `recorded` in its environment."""
    for run in plan.runs:
        folder = plan.root / RUNS / run.path
        folder.mkdir(parents=True)
        Environment(**recorded).write(folder / "environment.json")
        digest = sha256_file(folder / "environment.json")
        Manifest(run=RUN, files={"environment.json": digest}).write(folder / "manifest.json")


def test_the_images_of_finished_runs_are_known(plan: Plan) -> None:
    assert containers.recorded_digests([plan], "jax") == []
    finish(plan, image=MadeIn(name="jax-1", sha256="a" * 64))
    assert containers.recorded_digests([plan], "jax") == ["a" * 64]
    assert containers.recorded_digests([plan], "keras") == []


def test_the_gate_looks_at_images_only_where_something_will_be_trained(
    plan: Plan, image: Image
) -> None:
    image.record.write_text("{}")
    with pytest.raises(
        EvengroundError, match=r"^(image jax: broken record of an image|Apptainer: )"
    ):
        gate([plan], [image])
    gate([plan], [])
    finish(plan)
    gate([make_plan(plan.experiment, plan.root)], [image])


@pytest.mark.parametrize(
    ("content", "said"), [(b"abd", "is changed: a.npy"), (None, "is missing: a.npy")]
)
def test_the_gate_trains_on_no_other_data(plan: Plan, content: bytes | None, said: str) -> None:
    folder = plan.root / plan.prepared("tiny")
    made_prepared(arrays={"a.npy": sha256_bytes(b"abc")}).write(folder / "dataset.json")
    (folder / "a.npy").write_bytes(b"abc")
    gate([plan], [])
    if content is None:
        (folder / "a.npy").unlink()
    else:
        (folder / "a.npy").write_bytes(content)
    with pytest.raises(EvengroundError, match=said):
        gate([plan], [])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "manifest.json",
            None,
            r"^1 of 2 run folders are not whole: no manifest.json \((.*)\): .*: ./evenground aside \1$",
        ),
        (
            "manifest.json",
            "{",
            r"was changed: manifest.json, environment.json \((.*)\): .*: ./evenground aside \1$",
        ),
        (
            "environment.json",
            "{}",
            r"was changed: environment.json \((.*)\): .* trained again: ./evenground aside \1$",
        ),
        (
            "a note.txt",
            "",
            r"was changed: a note.txt \((.*)\): set it aside, .*: ./evenground aside '\1/a note.txt'$",
        ),
    ],
)
def test_the_gate_trains_beside_no_harmed_run(
    plan: Plan, name: str, content: str | None, said: str
) -> None:
    finish(plan)
    plan = make_plan(plan.experiment, plan.root)
    gate([plan], [])
    file = plan.root / RUNS / plan.runs[0].path / name
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    with pytest.raises(EvengroundError, match=said):
        gate([make_plan(plan.experiment, plan.root)], [])


def test_the_gate_names_the_first_lack_in_one_line() -> None:
    found = [
        Finding("a", "warning", "odd"),
        Finding("b", "error", "gone", "fetch it"),
        Finding("c", "error", "too"),
    ]
    with pytest.raises(EvengroundError, match=r"^b: gone \(deployment: apptainer\): fetch it$"):
        refuse_containers(found)
    refuse_containers(found[:1])


def test_the_gate_says_what_will_flag_every_run(capsys: pytest.CaptureFixture[str]) -> None:
    seen, fix = "mounted over: /usr", "bind nothing there"
    refuse_containers([Finding("container of jax", "warning", seen, fix, flags_runs=True)])
    said = "warning: container of jax: mounted over: /usr: bind nothing there"
    assert logged(capsys.readouterr().err) == [said]
    refuse_containers(
        [Finding("image jax", "warning", "to be built"), Finding("container of jax", "ok", "fine")]
    )
    assert capsys.readouterr().err == ""


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The environments whose image was started, where Apptainer is there and all are fine."""
    seen: list[str] = []

    def look(image: Image, wanted: object, call: object) -> Finding:
        seen.append(image.environment)
        return Finding(f"container of {image.environment}", "ok", "fine")

    monkeypatch.setattr(containers, "probe", look)
    monkeypatch.setattr(containers, "apptainer", lambda: Finding("Apptainer", "ok", "1.4"))
    start = Finding("container start", "ok", "allowed")
    monkeypatch.setattr(containers, "container_start", lambda: start)
    return seen


CALL = Launcher(lambda image, command: command, Told("", [], []), {})


def test_images_on_record_are_started_and_others_are_not(
    plan: Plan, image: Image, probed: list[str]
) -> None:
    other = Image(
        "keras", "abc", image.file.with_name("keras-1.sif"), image.record.with_name("keras-1.json")
    )
    built(image)
    found = [finding.what for finding in containers.findings([plan], [image, other], CALL)]
    assert probed == ["jax"]
    assert found == [
        "Apptainer",
        "image jax",
        "image keras",
        "container of jax",
        "container start",
        "disk for images",
    ]
    found = [finding.what for finding in containers.findings([plan], [image], CALL)]
    assert found == ["Apptainer", "image jax", "container of jax"], "started is started"
    probed.clear()
    assert "container start" in {finding.what for finding in containers.findings([plan], [image])}
    assert probed == [], "without being told how it is called"


def test_where_something_lacks_no_image_is_started(
    plan: Plan, image: Image, probed: list[str]
) -> None:
    other = replace(image, environment="keras", file=image.file.with_name("keras 1.sif"))
    built(image)
    assert [f.state for f in containers.findings([plan], [other, image], CALL)][:2] == [
        "ok",
        "error",
    ]
    assert probed == []


def test_room_for_images_that_are_not_built(
    plan: Plan, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(containers.IMAGE_BYTES, "cpu", 2**60)
    assert "error" in [
        f.state for f in containers.findings([plan], [image]) if f.what == "disk for images"
    ]
    built(image)
    assert "disk for images" not in {
        finding.what for finding in containers.findings([plan], [image])
    }


MOUNTS = "1 0 8:1 / / rw - {} /dev/sda1 rw"
OVER_A_NETWORK = [
    "nfs",
    "nfs4",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.sshfs",
    "fuse.glusterfs",
]


@pytest.mark.parametrize(
    "kind", [*OVER_A_NETWORK, "ext4", "xfs", "btrfs", "tmpfs", "overlay", "fuse.fuse-overlayfs"]
)
def test_a_build_over_a_network_is_told_to_go_elsewhere(
    image: Image, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS.format(kind))
    found = containers.room([image], tmp_path / "images/later", tmp_path / "mountinfo")
    warned = [finding for finding in found if finding.what == "folder for building images"]
    assert len(warned) == (kind in OVER_A_NETWORK)
    for finding in warned:
        assert finding.state == "warning" and f"({kind})" in finding.seen
        assert finding.fix.startswith("set APPTAINER_TMPDIR to a folder on a disk of this machine")


def test_room_is_looked_for_where_apptainer_is_told_to_build(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert building_folder(image, {}) == image.file.parent
    assert building_folder(image, {"APPTAINER_TMPDIR": str(tmp_path)}) == tmp_path
    monkeypatch.setitem(containers.IMAGE_BYTES, "cpu", 2**60)
    found = containers.room([image], tmp_path / "elsewhere")
    assert [(f.what, f.state) for f in found[:2]] == [
        ("disk for images", "error"),
        ("disk for building images", "error"),
    ]


def test_preflight_of_containers_asks_for_images_and_not_for_environments(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENGROUND_CACHE", str(tmp_path / "cache"))
    study = Study({}, (Condition("", {}, plan),))
    what = {finding.what for finding in check(study, None, [], lambda url: False)}
    assert {"Apptainer", "image jax", "disk for images"} <= what and "environments" not in what
