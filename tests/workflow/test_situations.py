"""Whatever Apptainer is told by settings, variables and binds: right, or refused before any training."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fake_image import locked_engines, why_no_container
from sites import looked, records, untrained
from working_copy import WorkingCopy, fresh_copy

pytestmark = [pytest.mark.slow, pytest.mark.container]

CONTAINED = ("--cores", "1", "--use-singularity")
KEEPER = "Apptainer's administrator can change it (apptainer.conf"


@dataclass(frozen=True)
class Situation:
    """What an invocation finds, and what of its one line says so; {copy} and {other} are folders."""

    words: str
    fix: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of apptainer.conf."""
    variables: Mapping[str, str] = field(default_factory=dict)
    bind: str = ""
    arguments: str = ""


REFUSED = {
    "no images": Situation(
        "FATAL: configuration disallows users from running unencrypted SIF containers",
        f"{KEEPER}: allow container); else run natively",
        {"allow container sif": "no"},
    ),
    "a missing bind": Situation(
        "mount source /nowhere9 doesn't exist",
        "make /nowhere9, or add it to APPTAINER_NO_MOUNT",
        {"bind path": "/nowhere9"},
    ),
    "no proc": Situation(
        "the machine's processes are not visible inside: No such file or directory",
        f"add /proc to APPTAINER_BIND; {KEEPER}: mount proc = yes)",
        {"mount proc": "no"},
    ),
    "no tmp": Situation(
        "what is written to /tmp inside does not reach it: Read-only file system",
        f"add /tmp to APPTAINER_BIND; {KEEPER}: mount tmp = yes)",
        {"mount tmp": "no"},
    ),
    "no binds": Situation(
        "FATAL: container creation failed: not mounting user requested home",
        f"{KEEPER}: user bind control = yes)",
        {"user bind control": "no"},
    ),
    "contained": Situation(
        "the machine's processes are not visible inside: pid:[",
        "unset APPTAINER_CONTAINALL",
        variables={"APPTAINER_CONTAINALL": "1"},
    ),
    "own processes, by the older name": Situation(
        "the machine's processes are not visible inside: pid:[",
        "unset SINGULARITY_PID",
        variables={"SINGULARITY_PID": "1"},
    ),
    "elsewhere": Situation(
        "the working directory inside is /tmp, not {copy}",
        "unset APPTAINER_PWD",
        variables={"APPTAINER_PWD": "/tmp"},
    ),
    "proc not mounted": Situation(
        "the machine's processes are not visible inside: No such file",
        "unset APPTAINER_NO_MOUNT",
        variables={"APPTAINER_NO_MOUNT": "proc"},
    ),
    "as somebody else": Situation(
        "FATAL: could not use fakeroot: no mapping entry found",
        "unset APPTAINER_FAKEROOT",
        variables={"APPTAINER_FAKEROOT": "1"},
    ),
    "an image that can be written": Situation(
        "the image is not used as it was built: /opt/evenground can be written",
        "unset APPTAINER_WRITABLE_TMPFS",
        variables={"APPTAINER_WRITABLE_TMPFS": "1"},
    ),
    "a value that is none": Situation(
        "FATAL: While parsing environment variables",
        "unset APPTAINER_PID",
        variables={"APPTAINER_PID": "2"},
    ),
    "results that cannot be written": Situation(
        "what is written to {copy}/results/runs inside does not reach it: Read-only file system",
        "take {copy}/results:{copy}/results:ro out of APPTAINER_BIND",
        bind="{copy}/results:{copy}/results:ro",
    ),
    "another folder of results": Situation(
        "{copy}/results is different inside: ",
        "take {other}:{copy}/results out of APPTAINER_BIND",
        bind="{other}:{copy}/results",
    ),
    "a bind over the image's Pythons": Situation(
        "/usr/bin/env: '/opt/evenground/runner/bin/python': No such file or directory",
        "take {other}:/opt/evenground out of APPTAINER_BIND",
        bind="{other}:/opt/evenground",
    ),
    "own processes, as an argument": Situation(
        "the machine's processes are not visible inside: pid:[",
        "leave --pid out of --apptainer-args",
        arguments="--pid",
    ),
    "a lost image": Situation(
        "Apptainer deletes an image that it has unpacked",
        "leave it out",
        arguments="--disable-cache --bind /srv",
    ),
    "an option that there is not": Situation(
        "unknown flag: --bogus", "leave it out of --apptainer-args", arguments="--bogus"
    ),
    "half a word": Situation(
        "a shell cannot read it: No closing", "close what is open", arguments="--bind '"
    ),
}
MENDED = {
    "no proc": Situation("", "", {"mount proc": "no"}, bind="/proc"),
    "a missing bind": Situation(
        "", "", {"bind path": "/nowhere9"}, variables={"APPTAINER_NO_MOUNT": "/nowhere9"}
    ),
}


@pytest.fixture
def copy(contained: WorkingCopy) -> Iterator[WorkingCopy]:
    """The same for each test, with its own variables and settings."""
    variables, settings = dict(contained.variables), dict(contained.settings)
    untrained(contained)
    yield contained
    contained.variables, contained.settings = variables, settings


@pytest.fixture(scope="module")
def may_mount() -> None:
    """Skips where no mount namespace may be made."""
    words = ["unshare", "-m", "mount", "--bind", "/dev/null", "/dev/null"]
    try:
        tried = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("mounting needs unshare")
    if tried.returncode:
        pytest.skip(f"no mount namespace here: {tried.stderr.strip()}")


def mounted(*lines: str) -> list[str]:
    """The command that starts another one in a mount namespace, after some lines of shell."""
    script = "\n".join(["set -e", *lines, 'exec "$@"'])
    return ["unshare", "-m", "bash", "-c", script, "bash"]


def with_settings(settings: Mapping[str, str], folder: Path) -> list[str]:
    """The command that starts another one where Apptainer has other settings."""
    words = ["apptainer", "buildcfg", "APPTAINER_CONF_FILE"]
    asked = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    place = Path(asked.strip().rpartition("=")[2])
    text, made = place.read_text(), folder / "apptainer.conf"
    for name in settings:
        text = re.sub(rf"(?m)^{name} = (?!/).*$", "", text)
    made.write_text(text + "".join(f"\n{name} = {value}\n" for name, value in settings.items()))
    return mounted(shlex.join(["mount", "--bind", str(made), str(place)]))


@pytest.fixture
def told(
    copy: WorkingCopy, tmp_path: Path, request: pytest.FixtureRequest
) -> tuple[list[str], list[str]]:
    """A situation, made: the command to call within, and the arguments."""
    situation: Situation = request.param
    places = {"copy": copy.root, "other": tmp_path}
    # Refused so late, Apptainer leaves what it has unpacked.
    copy.variables |= {"APPTAINER_TMPDIR": str(tmp_path), **situation.variables}
    if situation.bind:
        copy.variables["APPTAINER_BIND"] += "," + situation.bind.format(**places)
    within: list[str] = []
    if situation.settings:
        request.getfixturevalue("may_mount")
        within = with_settings(situation.settings, tmp_path)
    given = [f"--apptainer-args={situation.arguments}"] if situation.arguments else []
    return within, [*CONTAINED, *given]


def begun(copy: WorkingCopy) -> list[Path]:
    """What trainings that were begun left."""
    return [
        path
        for path in (copy.root / "results").rglob("*.json")
        if path.name in {"started.json", "outcome.json"}
    ]


def refused(copy: WorkingCopy, *arguments: str, within: Sequence[str] = ()) -> str:
    """The one line with which an invocation ends that has trained nothing."""
    done = copy.call(*arguments, "runs", ok=False, within=within)
    said = done.stdout + done.stderr
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in said, said
    assert begun(copy) == []
    return lines[0]


@pytest.mark.parametrize(
    ("told", "name"),
    [(situation, name) for name, situation in REFUSED.items()],
    indirect=["told"],
    ids=list(REFUSED),
)
def test_refused_in_one_line_with_the_mend(
    copy: WorkingCopy, tmp_path: Path, told: tuple[list[str], list[str]], name: str
) -> None:
    if "fakeroot" in REFUSED[name].words and "root" in read("/etc/subuid"):
        pytest.skip("root has other users' numbers here")
    within, arguments = told
    line = refused(copy, *arguments, within=within)
    places = {"copy": copy.root, "other": tmp_path}
    assert REFUSED[name].words.format(**places) in line
    assert REFUSED[name].fix.format(**places) in line


def read(path: str) -> str:
    """A file's text, or nothing."""
    return Path(path).read_text() if Path(path).is_file() else ""


@pytest.mark.parametrize("told", MENDED.values(), indirect=True, ids=list(MENDED))
def test_right_after_the_mend(copy: WorkingCopy, told: tuple[list[str], list[str]]) -> None:
    within, arguments = told
    copy.call(*arguments, "runs", within=within)
    (record,) = records(copy)
    assert record["image"] == "mounted" and not set(record["missing"]) - {"mapped"}


def test_a_colon_in_the_path_of_the_working_copy(tmp_path: Path) -> None:
    if reason := why_no_container():
        pytest.skip(reason)
    copy = fresh_copy(tmp_path / "a:b")
    copy.settings |= {"engines": locked_engines(copy.root)[:1]}
    copy.variables = {"EVENGROUND_CONTAINER_BASE": str(copy.root / "Snakefile")}
    line = refused(copy, *CONTAINED)
    assert (
        f"':' in its path, where Apptainer parts it ({copy.root}): move it to another path" in line
    )


@contextmanager
def image(copy: WorkingCopy) -> Iterator[tuple[Path, Path]]:
    """The image and its record; both are as they were at the end."""
    (file,) = (copy.root / "cache/images").glob("*.sif")
    (record,) = (copy.root / "results/images").glob("*.json")
    kept = [(path, path.read_bytes(), path.stat()) for path in (file, record)]
    try:
        yield file, record
    finally:
        file.parent.chmod(0o755)
        for path, content, seen in kept:
            path.unlink(missing_ok=True)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            path.chmod(seen.st_mode)


def without_rights() -> list[str]:
    """The command that starts another one that may read only what its user may read, root's too."""
    lost = "-dac_override,-dac_read_search"
    words = ["setpriv", f"--bounding-set={lost}", f"--inh-caps={lost}"]
    if (
        not shutil.which("setpriv")
        or subprocess.run([*words, "true"], capture_output=True).returncode
    ):
        return []
    return words


def test_an_image_that_may_not_be_read(copy: WorkingCopy) -> None:
    fix = "let this user read it (chmod a+rX), or point EVENGROUND_CACHE to a folder of your own"
    with image(copy) as (file, _):
        file.chmod(0)
        line = refused(copy, *CONTAINED, within=without_rights())
        assert f"the image of 'locked' may not be read ({file})" in line and fix in line
        file.parent.chmod(0)
        line = refused(copy, *CONTAINED, within=without_rights())
        assert (
            "the image of 'locked' cannot be looked at: Permission denied" in line and fix in line
        )


def test_half_an_image(copy: WorkingCopy) -> None:
    with image(copy) as (file, record):
        whole = file.read_bytes()
        file.write_bytes(whole[:20_000])
        line = refused(copy, *CONTAINED)
        assert f"the image of 'locked' is truncated: 20,000 of {len(whole):,} bytes" in line
        record.unlink()
        line = refused(copy, *CONTAINED)
        assert "the image of 'locked' cannot be run: FATAL: " in line
        assert (
            "unexpected EOF" in line
            and "to have it built, move it and its record in results/images away" in line
        )


def test_by_a_link_and_with_a_sites_binds_under_the_older_name(
    copy: WorkingCopy, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(copy.root)
    copy.variables["SINGULARITY_BIND"] = copy.variables.pop("APPTAINER_BIND")
    (seen,) = looked(copy, *CONTAINED[2:], entered=tmp_path / "link")
    assert seen["cwd"] == str(copy.root)
    assert not [place for place in seen["mounts"] if place.startswith(str(tmp_path))]


@pytest.mark.usefixtures("may_mount")
def test_links_to_paths_with_a_comma_or_a_colon(copy: WorkingCopy) -> None:
    """Two levels below `data` and `results`, to another disk; it is gone with the invocation."""
    disk = Path("/mnt/odd")
    links = {"data/prepared/tiny": disk / "a,b", "results/logs/train": disk / "c:d"}
    make = [shlex.join(["mkdir", "-p", str(place)]) for place in links.values()]
    try:
        for name, place in links.items():
            shutil.rmtree(copy.root / name, ignore_errors=True)
            (copy.root / name).parent.mkdir(parents=True, exist_ok=True)
            (copy.root / name).symlink_to(place)
        (seen,) = looked(copy, *CONTAINED[2:], within=mounted("mount -t tmpfs none /mnt", *make))
    finally:
        for name in links:
            (copy.root / name).unlink()
    assert set(map(str, links.values())) <= set(seen["mounts"])
    (record,) = records(copy)
    assert not [place for place in record["mounts"] if place.startswith(("/mnt", str(copy.root)))]


def test_an_unpacked_image_is_kept_and_without_a_warm_up_the_run_is_a_finding(
    copy: WorkingCopy,
) -> None:
    copy.settings["warm_up_examples"] = 0
    copy.variables |= {
        "APPTAINER_UNSQUASH": "1",
        "APPTAINER_DISABLE_CACHE": "1",
        "SINGULARITY_DISABLE_CACHE": "1",
    }
    with image(copy) as (file, _):
        done = copy.call(*CONTAINED, "results/apptainer/tables/quality.csv")
        assert file.is_file()
    said = "the image is unpacked before every training, which keeps a disk busy"
    assert said in done.stderr and "unset APPTAINER_UNSQUASH" in done.stderr
    (record,) = records(copy)
    assert record["image"] == "unpacked" and record["cold_start"] is True
    table = (copy.root / "results/apptainer/tables/quality.csv").read_text()
    assert "cold start" in table and "its image was just unpacked" in table
