"""Explains why Apptainer did not start a container: the line that matters, and the fix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evenground.containers.apptainer import ALWAYS, IMAGE_FOLDER
from evenground.containers.images import READABLE, RUNNER_PYTHON
from evenground.containers.launcher import Launcher

MAX_CHARACTERS = 300
NO_OUTPUT = "it printed nothing"
KEEPER = "Apptainer's administrator can change it (apptainer.conf"
UNCOVER = f"bind nothing over {IMAGE_FOLDER}, or move the working copy that covers it"
# 1 on Ubuntu 23.10 and newer, where a user namespace needs an AppArmor profile.
RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
# Flags with which the container may not see the working copy.
HIDING_COPY = (
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
_UNPACKING = "extract command failed:"
# Nearly every start prints such lines. Only what Apptainer refuses by itself can be the cause.
_NOISE = re.compile("INFO|WARNING(?!: Ignoring )")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_NO_SPACE = re.compile(r"no space left|disk quota", re.I)
_BAD_VALUE = re.compile(r"unable to set flag (\S+) to value")
_NO_SOURCE = re.compile(r"mount source (.+?) doesn't exist|while getting stat for (.+?): stat")


def allow_namespaces(restricted: Path = RESTRICTED) -> str:
    """Return how to allow the user namespaces that an Apptainer without setuid needs."""
    if restricted.is_file() and restricted.read_text(encoding="ascii").strip() == "1":
        return (
            "Ubuntu gives programs without an AppArmor profile no user namespace ("
            "kernel.apparmor_restrict_unprivileged_userns=1): install Apptainer from its own .deb or "
            "ppa:apptainer/ppa, which bring one, or write one (docs/containers.md), "
            "or install apptainer-suid"
        )
    return (
        "allow user namespaces (sysctl user.max_user_namespaces=15000 "
        "kernel.unprivileged_userns_clone=1), or install Apptainer with setuid"
    )


@dataclass(frozen=True)
class Cause:
    """A known cause of a failed start."""

    pattern: str
    """Regular expression of Apptainer's message."""
    fix: str = ""
    """What to do where neither a flag nor a bind is the cause."""
    flags: Sequence[str] = ()
    """Flags that can be the cause."""
    path: str = ""
    """A path; binds that meet it can be the cause. `.` is the working copy."""


# The first that matches is taken.
CAUSES = (
    Cause("disallows users from running", fix=f"{KEEPER}: allow container); else run natively"),
    Cause(
        "not in an allowed configured path|failed to resolve path",
        fix=f"point EVENGROUND_CACHE to an allowed folder; {KEEPER}: limit container paths)",
    ),
    Cause(
        "is not owned by required|user information for",
        fix=f"{KEEPER}: limit container owners, groups)",
    ),
    Cause("user bind control|user requested home", fix=f"{KEEPER}: user bind control = yes)"),
    Cause("namepace needed but not allowed", fix=f"{KEEPER}: allow user ns = yes)"),
    Cause("user namespace", fix=allow_namespaces()),
    Cause("could not use fakeroot", flags=["fakeroot"]),
    Cause(
        "unknown userid|user account information",
        fix="this user needs an entry in the passwd database",
    ),
    Cause(
        "could not create temporary sandbox",
        fix="set APPTAINER_TMPDIR to a folder that exists and can be written",
    ),
    Cause(
        "/dev/fuse|squashfuse",
        fix="let this user open /dev/fuse, or have the image unpacked: APPTAINER_UNSQUASH=1",
    ),
    Cause(
        "loop device",
        fix=f"{KEEPER}: max loop devices), or have the image unpacked: APPTAINER_UNSQUASH=1",
    ),
    Cause(
        "plugin type=|network requires root", fix=f"{KEEPER}: networks)", flags=["net", "network"]
    ),
    Cause("writable overlay|overlay image|overlay upper", flags=["writable", "overlay"]),
    Cause(
        "cgroups config|cpus value",
        flags=["cpus", "cpu-shares", "memory", "cpuset-cpus", "apply-cgroups"],
    ),
    Cause(
        "is not readable by the current user|failed to retrieve path for .*: permission denied",
        fix=READABLE,
    ),
    Cause(
        "executable file not found|/bin/env: No such file",
        fix="bind nothing over the programs of the image",
        flags=["mount", "scratch", "overlay"],
        path="/usr/bin",
    ),
    Cause(re.escape(RUNNER_PYTHON), fix=UNCOVER, flags=["scratch", "overlay"], path=IMAGE_FOLDER),
    Cause(
        "can't open file|chdir|ModuleNotFoundError|ImportError",
        fix=f"bind nothing over the working copy; {KEEPER}: mount home)",
        flags=HIDING_COPY,
        path=".",
    ),
    Cause(
        "without overlay or underlay|destination .* doesn't exist in container",
        fix=f"{KEEPER}: enable overlay = yes)",
        flags=["writable"],
    ),
    Cause("unknown (shorthand )?flag", fix="leave it out of --apptainer-args"),
    Cause(
        "(could not|failed to) open image|superblock|corruption|SIF partition|id table"
        "|failed to mount squashfs filesystem",
        fix="copy the image in again; "
        "to have it built, move it and its record in results/images away",
    ),
)


def explain(output: str, launcher: Launcher) -> tuple[str, str]:
    """Return what Apptainer reports about a failed start, and the fix."""
    seen = key_line(output)
    text = "\n".join(line for line in _lines(output) if not _NOISE.match(line))
    if _NO_SPACE.search(text):
        fix = (
            "set APPTAINER_TMPDIR to a folder with room, or install squashfuse, which mounts images"
        )
        return "no room to unpack the image", fix
    # A variable like APPTAINER_PID=2.
    match = _BAD_VALUE.search(text)
    if match:
        return seen, launcher.fix([match[1]]) or _general_fix(launcher)
    # Something is bound that is not there, or that this user may not see.
    match = _NO_SOURCE.search(text)
    if match:
        source = match[1] or match[2]
        make = f"make {source}, or add it to APPTAINER_NO_MOUNT; {KEEPER}: bind path)"
        return seen, launcher.fix_of_source(source) or make
    for cause in CAUSES:
        if re.search(cause.pattern, text, re.I):
            path = str(Path(cause.path).absolute()) if cause.path else ""
            return seen, launcher.fix(cause.flags, path) or cause.fix or _general_fix(launcher)
    return seen, _general_fix(launcher)


def key_line(output: str) -> str:
    """Return the line of the output that names the cause: its first error, else its last line."""
    lines = _lines(output)
    for number, line in enumerate(lines):
        if _UNPACKING in line:
            # The cause stands behind these words, or below them.
            cause = line.partition(_UNPACKING)[2].strip()
            lines = [cause] + lines[number + 1 :]
            break
    lines = [line for line in lines if line and not line.startswith((": exit status", "WARNING"))]
    for level in ("fatal", "error"):
        for line in lines:
            if line.lower().startswith(level):
                return line[:MAX_CHARACTERS]
    if lines:
        return lines[-1][:MAX_CHARACTERS]
    return NO_OUTPUT


def _lines(output: str) -> list[str]:
    """Return the lines with single blanks, without colours and empty lines."""
    lines = [" ".join(line.split()) for line in _COLOUR.sub("", output).splitlines()]
    return [line for line in lines if line]


def _general_fix(launcher: Launcher) -> str:
    """Return the fix of an unknown cause: it names everything that was set for Apptainer here."""
    settings = []
    for name, value in sorted(launcher.foreign_variables.items()):
        if value and name.startswith(("APPTAINER_", "SINGULARITY_")):
            settings.append(name)
    arguments = launcher.told.arguments.removesuffix(" ".join(ALWAYS)).strip()
    if arguments:
        settings.append(f"--apptainer-args '{arguments}'")
    fix = "fix what it reports, or run natively, without --use-singularity"
    if settings:
        fix += f"; set for it here: {', '.join(settings)}"
    return fix
