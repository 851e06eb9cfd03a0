"""Why Apptainer did not start a container: its own words, and the fix that fixes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evenground.images import READABLE, RUNNER_PYTHON, Image, read_record
from evenground.preflight.call import Call
from evenground.preflight.inside import OF_ENGINE
from evenground.preflight.namespaces import how_to_allow

GIB = 2**30
MAX_CHARACTERS = 300
NOTHING = "it says nothing"
KEEPER = "whoever keeps Apptainer here can change it (apptainer.conf"
NOTHING_OVER = f"nothing may lie over {OF_ENGINE}: move what is bound there, or the working copy"
TEMPORARY = "set APPTAINER_TMPDIR to a folder that exists and can be written"
NOT_SEEN = (
    "no-mount",
    "contain",
    "containall",
    "compat",
    "no-home",
    "cwd",
    "pwd",
    "workdir",
    "scratch",
    "overlay",
)
# Where it unpacks: the first that is set.
TEMPORARY_FOLDERS = ("APPTAINER_TMPDIR", "SINGULARITY_TMPDIR", "TMPDIR")
_UNPACKING = "extract command failed:"
# In nearly every call there are some; of these only what it refuses by itself can be why.
_NOISE = re.compile("INFO|WARNING(?!: Ignoring )")
_SOURCE = re.compile("mount source (.+?) doesn't exist|while getting stat for (.+?): stat")
_BROKEN = re.compile(
    "(could not|failed to) open image|superblock|corruption|SIF partition|id table"
    "|failed to mount squashfs filesystem",
    re.I,
)
_NO_SPACE = re.compile(r"no space left|disk quota", re.I)


@dataclass(frozen=True)
class Known:
    """What Apptainer says, which flags can be why, and the fix where none of them was given."""

    said: str
    """A regular expression."""
    flags: Sequence[str] = ()
    fix: str = ""
    path: str = ""
    """Then what is bound there can be why, too; `.` is the working copy."""


KNOWN = (
    Known("disallows users from running", fix=f"{KEEPER}: allow container); else run natively"),
    Known(
        "not in an allowed configured path|failed to resolve path",
        fix=f"point EVENGROUND_CACHE to a folder that is allowed; {KEEPER}: limit container paths)",
    ),
    Known(
        "is not owned by required|user information for",
        fix=f"{KEEPER}: limit container owners, groups)",
    ),
    Known("user bind control|user requested home", fix=f"{KEEPER}: user bind control = yes)"),
    Known("namepace needed but not allowed", fix=f"{KEEPER}: allow user ns = yes)"),
    Known("user namespace", fix=how_to_allow()),
    Known("could not use fakeroot", ("fakeroot",)),
    Known(
        "unknown userid|user account information",
        fix="this user needs an entry in the passwd database",
    ),
    Known("could not create temporary sandbox", fix=TEMPORARY),
    Known(
        "/dev/fuse|squashfuse",
        fix="let this user open /dev/fuse, or have the image unpacked: APPTAINER_UNSQUASH=1",
    ),
    Known(
        "loop device",
        fix=f"{KEEPER}: max loop devices), or have the image unpacked: APPTAINER_UNSQUASH=1",
    ),
    Known("plugin type=|network requires root", ("net", "network"), f"{KEEPER}: networks)"),
    Known("writable overlay|overlay image|overlay upper", ("writable", "overlay")),
    Known(
        "cgroups config|cpus value",
        ("cpus", "cpu-shares", "memory", "cpuset-cpus", "apply-cgroups"),
    ),
    Known("nvidia-container-cli", ("nvccli",)),
    Known("configuration file", ("config-file",)),
    Known("keep-privs", ("keep-privs",)),
    Known("environment file", ("env-file",)),
    Known("container application", ("app",)),
    Known("fusespec|could not start program", ("fusespec", "fusemount")),
    Known(
        "is not readable by the current user|failed to retrieve path for .*: permission denied",
        fix=READABLE,
    ),
    Known(
        "executable file not found|/bin/env: No such file",
        ("mount", "scratch", "overlay"),
        "bind nothing over the programs of the image",
        "/usr/bin",
    ),
    Known(
        re.escape(RUNNER_PYTHON),
        ("scratch", "overlay"),
        NOTHING_OVER,
        OF_ENGINE,
    ),
    Known(
        "can't open file|chdir|ModuleNotFoundError|ImportError",
        NOT_SEEN,
        f"bind nothing over the working copy; {KEEPER}: mount home)",
        ".",
    ),
    Known(
        "without overlay or underlay|destination .* doesn't exist in container",
        ("writable",),
        f"{KEEPER}: enable overlay = yes)",
    ),
)


def why_not_started(said: str, image: Image, call: Call | None) -> tuple[str, str]:
    """What Apptainer says of a start that failed, and what to do about it."""
    words = last_words(said)
    matter = "\n".join(line for line in _lines(said) if not _NOISE.match(line))
    if _NO_SPACE.search(matter):
        return _no_room(image, call)
    if found := re.search(r"unable to set flag (\S+) to value (\S*)", matter):
        flag = found[1]
        return words, (
            call.who_says(flag) if call else ""
        ) or f"set the variable of --{flag} to 1 or 0"
    if found := re.search(r"unknown (?:shorthand )?flag: (.*)", matter):
        return f"Apptainer knows no {found[1]}", "leave it out of --apptainer-args"
    if found := _SOURCE.search(matter):
        return words, _no_source(found[1] or found[2], call)
    for known in KNOWN:
        if re.search(known.said, matter, re.I):
            return words, _mend(known, call)
    if _BROKEN.search(matter):
        return (
            words,
            f"copy it in again; to have it built, move it and {image.record}, if there, away",
        )
    return words, _ask(call)


def _lines(said: str) -> list[str]:
    """What was said, without colours and empty lines."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", said)
    return [line for line in (" ".join(line.split()) for line in plain.splitlines()) if line]


def _mend(known: Known, call: Call | None) -> str:
    """Who told Apptainer so is named; where nobody did, what else can be done."""
    if call is None:
        return known.fix or _ask(call)
    binds = call.binds_at(str(Path(known.path).absolute())) if known.path else []
    return (
        " and ".join(filter(None, [call.who_says(*known.flags), *binds])) or known.fix or _ask(call)
    )


def last_words(said: str) -> str:
    """The line of Apptainer's output that says most: its first error, else its last line.

    Of an image that it could not unpack the cause stands in what the unpacking said.
    """
    lines = _lines(said)
    unpacking = [number for number, line in enumerate(lines) if _UNPACKING in line]
    if unpacking:
        lines = [lines[unpacking[0]].split(_UNPACKING, 1)[1].strip(), *lines[unpacking[0] + 1 :]]
    lines = [line for line in lines if line and not line.startswith((": exit status", "WARNING"))]
    fatal = [line for line in lines if line.lower().startswith("fatal")]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (fatal or errors or lines[-1:] or [NOTHING])[0][:MAX_CHARACTERS]


def _no_room(image: Image, call: Call | None) -> tuple[str, str]:
    """An image that is unpacked for want of squashfuse needs room for all its files."""
    environ = call.environ if call else os.environ
    named = next(filter(None, (environ.get(name) for name in TEMPORARY_FOLDERS)), "/tmp")
    free_bytes = shutil.disk_usage(named).free if Path(named).is_dir() else 0
    needed_bytes = read_record(image.record).unpacked_bytes if image.record.is_file() else None
    needed = f"it takes {_size(needed_bytes)}" if needed_bytes else "it takes more"
    seen = f"no room to unpack the image: {needed}, {named} has {_size(free_bytes)} free"
    return (
        seen,
        "set APPTAINER_TMPDIR to a folder with room, or install squashfuse, and it is mounted",
    )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / GIB:.1f} GiB" if n_bytes > GIB else f"{n_bytes / 2**20:.2f} MiB"


def _no_source(source: str, call: Call | None) -> str:
    """What to do about something to be bound that is not there."""
    told = call.who_binds(source) if call else []
    otherwise = f"make {source}, or add it to APPTAINER_NO_MOUNT; {KEEPER}: bind path)"
    return " and ".join(told) or otherwise


def _ask(call: Call | None) -> str:
    """Where the words are not known here, what was set for Apptainer is named."""
    names = call.of_others if call else []
    told = sorted(name for name in names if name.startswith(("APPTAINER_", "SINGULARITY_")))
    named = f"; set for it here: {', '.join(told)}" if told else ""
    return f"fix what it says, or run natively, without --use-singularity{named}"
