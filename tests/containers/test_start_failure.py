"""What Apptainer 1.4.5 says where a container does not start: one line, and the fix that fixes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from evenground.containers.apptainer import Told, mount_of
from evenground.containers.launcher import Launcher
from evenground.containers.start_failure import (
    MAX_CHARACTERS,
    explain,
    key_line,
)

COPY = Path.cwd()
# What it says to an ordinary user in every invocation, where squashfuse is not installed.
AS_USER = """\
INFO:    squashfuse not found, will not be able to mount SIF or other squashfs files
INFO:    fuse2fs not found, will not be able to mount EXT3 filesystems
INFO:    gocryptfs not found, will not be able to use gocryptfs
INFO:    Converting SIF file to temporary sandbox...
"""
HARMLESS = """\
WARNING: passwd file doesn't exist in container, not updating
WARNING: group file doesn't exist in container, not updating
WARNING: Skipping mount /etc/hosts [binds]: /etc/hosts doesn't exist in container
WARNING: Skipping mount /var/lib/apptainer/mnt/session/tmp [tmp]: /tmp doesn't exist in container
WARNING: Error changing the container working directory. Using '/' instead: chdir /copy: no such file \
or directory
"""
UNPACKING = (
    "FATAL:   while extracting /i.sif: root filesystem extraction failed: extract command failed: "
)


def unpacking(cause: str, status: int = 255) -> str:
    """What it says where the image could not be unpacked."""
    return f"{AS_USER}{UNPACKING}{HARMLESS}{cause}\n: exit status {status}\n"


NESTED_BINDS = f"""\
{AS_USER}{UNPACKING}WARNING: Ignoring /tmp/rootfs-1109420009 bind mount: user bind control disabled by \
system administrator
WARNING: Ignoring /usr/bin/unsquashfs bind mount: user bind control disabled by system administrator
{HARMLESS}FATAL:   permission denied
: exit status 255
"""
NAMESPACES = f"""\
{AS_USER}{UNPACKING}INFO   : A system administrator may need to enable user namespaces, install
INFO   :   apptainer-suid, or compile with ./mconfig --with-suid
ERROR  : Failed to create user namespace: maximum number of user namespaces exceeded, check \
/proc/sys/user/max_user_namespaces
: exit status 1
"""
FULL = f"""\
{AS_USER}{UNPACKING}{HARMLESS}
Write on output file failed because No space left on device

FATAL ERROR: writer: failed to write file /image/root/.singularity.d/actions/shell
Parallel unsquashfs: Using 2 processors
29 inodes (16 blocks) to write

: exit status 1
"""
DAMAGED = unpacking(
    "read_filesystem_tables: xattr id table start too large in super block\n"
    "FATAL ERROR: File system corruption detected",
    1,
)
NO_BIND = """\
WARNING: skipping mount of /nowhere9: stat /nowhere9: no such file or directory
FATAL:   container creation failed: mount hook function failure: mount /nowhere9->{to} error: while mounting \
/nowhere9: mount source /nowhere9 doesn't exist
"""
NO_LAYER = """\
WARNING: No layer in use (overlay or underlay), check your configuration, Apptainer can't create /mnt \
destination automatically without overlay or underlay
FATAL:   container creation failed: mount hook function failure: mount \
/var/lib/apptainer/mnt/session/mnt->/mnt \
error: while mounting /var/lib/apptainer/mnt/session/mnt: destination /mnt doesn't exist in container
"""
NO_NETWORK = """\
ERROR:   could not delete networks: plugin type="portmap" failed (delete): failed to find plugin "portmap"
FATAL:   container creation failed: plugin type="bridge" failed (add): failed to find plugin "bridge" in \
path [/usr/lib/cni]
"""
OPEN = "FATAL:   While checking container encryption: could not open image /i.sif: "
CREATION = "FATAL:   container creation failed: "
SQUASHFUSE = (
    f"{CREATION}image driver mount failure: image driver squashfuse_ll instance exited with error: "
    "squashfuse_ll exited: fuse: failed to open /dev/fuse: Permission denied"
)


class Case(NamedTuple):
    """What was said, a part of the words that are chosen, and of the fix."""

    said: str
    words: str
    fix: str


OF_THE_SETTINGS = [
    Case(
        "FATAL:   configuration disallows users from running unencrypted SIF containers",
        "FATAL: configuration disallows users from running unencrypted SIF containers",
        "(apptainer.conf: allow container); else run natively",
    ),
    Case(
        unpacking("FATAL:   configuration disallows users from running sandbox containers"),
        "FATAL: configuration disallows users from running sandbox containers",
        "(apptainer.conf: allow container); else run natively",
    ),
    Case(
        unpacking("FATAL:   apptainer image is not in an allowed configured path"),
        "FATAL: apptainer image is not in an allowed configured path",
        "point EVENGROUND_CACHE to an allowed folder; ",
    ),
    Case(
        "FATAL:   failed to resolve path /nowhere: lstat /nowhere: no such file or directory",
        "failed to resolve path /nowhere",
        "apptainer.conf: limit container paths)",
    ),
    Case(
        "FATAL:   apptainer image is not owned by required group(s)",
        "is not owned by required group(s)",
        "apptainer.conf: limit container owners, groups)",
    ),
    Case(
        "FATAL:   failed to retrieve user information for nobody2: user: unknown user nobody2",
        "unknown user nobody2",
        "apptainer.conf: limit container owners, groups)",
    ),
    Case(
        f"{CREATION}not mounting user requested home: user bind control is disallowed",
        "not mounting user requested home",
        "apptainer.conf: user bind control = yes)",
    ),
    Case(NESTED_BINDS, "FATAL: permission denied", "apptainer.conf: user bind control = yes)"),
    Case(
        NO_LAYER,
        "destination /mnt doesn't exist in container",
        "apptainer.conf: enable overlay = yes)",
    ),
    Case(
        "FATAL:   Unprivileged installation found, user namepace needed but not allowed by configuration.",
        "user namepace needed but not allowed",
        "apptainer.conf: allow user ns = yes)",
    ),
    Case(
        f"{CREATION}while mounting image /proc/self/fd/3: failed to find loop device: could not attach image "
        "file to loop device: failed to attach loop device: no loop devices available",
        "no loop devices available",
        "apptainer.conf: max loop devices), or have the image unpacked: APPTAINER_UNSQUASH=1",
    ),
    Case(
        NO_BIND.format(to="/nowhere9"),
        "mount source /nowhere9 doesn't exist",
        "make /nowhere9, or add it to APPTAINER_NO_MOUNT; ",
    ),
]
OF_THE_MACHINE = [
    Case(
        NAMESPACES,
        "ERROR : Failed to create user namespace: maximum",
        "sysctl user.max_user_namespaces=",
    ),
    Case(
        "FATAL:   Couldn't determine user account information: user: unknown userid 12345",
        "unknown userid 12345",
        "this user needs an entry in the passwd database",
    ),
    Case(
        f"{AS_USER}FATAL:   while extracting /i.sif: could not create temporary sandbox: stat /none: no such "
        "file or directory",
        "could not create temporary sandbox: stat /none",
        "set APPTAINER_TMPDIR to a folder that exists and can be written",
    ),
    Case(
        SQUASHFUSE,
        "failed to open /dev/fuse",
        "let this user open /dev/fuse, or have the image unpacked: ",
    ),
]
OF_THE_FILE = [
    Case(
        f"{OPEN}/i.sif is not readable by the current user, check permissions",
        "is not readable",
        "chmod",
    ),
    Case(
        f"{OPEN}failed to retrieve path for /i.sif: lstat /i.sif: permission denied",
        "lstat",
        "chmod a+rX",
    ),
    *(
        Case(
            f"{AS_USER}{OPEN}{why}", why, "copy the image in again; to have it built, move it and "
        )
        for why in (
            "failed to retrieve path for /i.sif: lstat /i.sif: no such file or directory",
            "reading descriptors: unexpected EOF",
            "while checking system partition header: failed to read SIF partition at offset 36864: EOF",
            "image format not recognized",
        )
    ),
    Case(
        "FATAL:   Failed to open image /i.sif: reading descriptors: unexpected EOF",
        "Failed to open image",
        "copy the image in again; ",
    ),
    Case(DAMAGED, "FATAL ERROR: File system corruption detected", "copy the image in again; "),
    Case(
        f"{CREATION}while mounting image /proc/self/fd/3: failed to mount squashfs filesystem: input/output "
        "error",
        "failed to mount squashfs filesystem",
        "copy the image in again; ",
    ),
    Case(
        f"{CREATION}while mounting image /proc/self/fd/3: kernel reported a bad superblock for squashfs "
        "image partition, possible causes are that your kernel doesn't support the compression algorithm",
        "bad superblock",
        "copy the image in again; ",
    ),
]
OF_THE_INSIDE = [
    Case(
        "/usr/bin/env: '/opt/evenground/runner/bin/python': No such file or directory",
        "/usr/bin/env: '/opt/evenground/runner/bin/python': No such file",
        "bind nothing over /opt/evenground, or move the working copy that covers it",
    ),
    Case(
        f"{HARMLESS}/opt/python3: can't open file '/copy/scripts/probe.py': [Errno 2] No such file",
        "can't open file '/copy/scripts/probe.py'",
        "bind nothing over the working copy; ",
    ),
    Case(
        'FATAL:   "bash": executable file not found in $PATH',
        '"bash": executable file not found',
        "bind nothing over the programs of the image",
    ),
]


def launcher(arguments: str = "", ours: tuple[str, ...] = (), **environ: str) -> Launcher:
    """How Apptainer is launched with these settings."""
    return Launcher(lambda image, command: command, Told(arguments, [], list(ours)), environ)


@pytest.mark.parametrize("case", [*OF_THE_SETTINGS, *OF_THE_MACHINE, *OF_THE_FILE, *OF_THE_INSIDE])
def test_its_own_words_and_the_mend(case: Case) -> None:
    seen, fix = explain(case.said, launcher())
    assert case.words in seen and case.fix in fix
    assert "\n" not in seen and not seen.startswith(("INFO", "WARNING"))


@pytest.mark.parametrize(
    ("said", "arguments", "environ", "fix"),
    [
        (
            "FATAL:   could not use fakeroot: no mapping entry found in /etc/subuid for root",
            "--nv",
            {"APPTAINER_FAKEROOT": "1"},
            "unset APPTAINER_FAKEROOT",
        ),
        (NO_NETWORK, "--net --nv", {}, "leave --net out of --apptainer-args"),
        (
            f"{AS_USER}{CREATION}network requires root or a suid installation with /etc/subuid --fakeroot",
            "",
            {"SINGULARITY_NET": "1"},
            "unset SINGULARITY_NET",
        ),
        (
            "FATAL:   no SIF writable overlay partition found in /i.sif",
            "-w",
            {},
            "leave -w out of --apptainer-args",
        ),
        (NO_LAYER, "", {"APPTAINER_WRITABLE": "1"}, "unset APPTAINER_WRITABLE"),
        (
            "FATAL:   while loading overlay images: failed to open overlay image /none: failed to retrieve "
            "path for /none: lstat /none: no such file or directory",
            "--overlay /none",
            {},
            "leave --overlay out of --apptainer-args",
        ),
        (
            f"{CREATION}while applying cgroups config: cannot use cgroups - cannot use systemd cgroups "
            "manager, systemd not running as init on this host",
            "--cpus 1",
            {},
            "leave --cpus out of --apptainer-args",
        ),
        (
            "FATAL:   cpus value must be in range 0.01 - 2",
            "",
            {"APPTAINER_CPU_SHARES": "100"},
            "unset APPTAINER_CPU_SHARES",
        ),
        (
            "FATAL:   While parsing environment variables: while updating flags from environment: \n"
            'unable to set flag pid to value 2: strconv.ParseBool: parsing "2": invalid syntax',
            "",
            {"APPTAINER_PID": "2"},
            "unset APPTAINER_PID",
        ),
        (
            "/python: can't open file '/copy/scripts/probe.py': [Errno 2] No such file or directory",
            "--no-home",
            {"APPTAINER_SCRATCH": "/home"},
            "unset APPTAINER_SCRATCH and leave --no-home out of --apptainer-args",
        ),
        (
            "/usr/bin/env: '/opt/evenground/runner/bin/python': No such file or directory",
            "",
            {"APPTAINER_SCRATCH": "/opt/evenground"},
            "unset APPTAINER_SCRATCH",
        ),
    ],
)
def test_who_told_it_so_is_named(
    said: str, arguments: str, environ: dict[str, str], fix: str
) -> None:
    assert explain(said, launcher(arguments, **environ))[1] == fix
    # What is turned off, or is no flag of this kind, is not.
    other = explain(said, launcher("--nv --cleanenv", APPTAINER_NV="1", APPTAINER_NET="0"))[1]
    assert fix not in other


@pytest.mark.parametrize("flag", ["flag: --bogus", "shorthand flag: 'x' in -x"])
def test_a_flag_that_it_does_not_know(flag: str) -> None:
    seen, fix = explain(f'Error for command "exec": unknown {flag}\n', launcher())
    assert seen.endswith(f"unknown {flag}") and fix == "leave it out of --apptainer-args"


@pytest.mark.parametrize(
    ("arguments", "environ", "fix"),
    [
        ("", {"APPTAINER_BIND": "/usr,/nowhere9"}, "take /nowhere9 out of APPTAINER_BIND"),
        (
            "",
            {"APPTAINER_BIND": "/nowhere9:/d:ro,/usr"},
            "take /nowhere9:/d:ro out of APPTAINER_BIND",
        ),
        ("--bind /nowhere9:/d", {}, "leave --bind /nowhere9:/d out of --apptainer-args"),
        ("-B /usr,/nowhere9", {}, "leave -B /usr,/nowhere9 out of --apptainer-args"),
        ("--bind=/nowhere9", {}, "leave --bind=/nowhere9 out of --apptainer-args"),
        ("--mount type=bind,src=/nowhere9,dst=/d", {}, "leave --mount out of --apptainer-args"),
        # Bound by the settings: the site's own binds of other things are not why.
        (
            "",
            {"APPTAINER_BIND": "/nowhere,/nowhere9/x"},
            "make /nowhere9, or add it to APPTAINER_NO_MOUNT",
        ),
    ],
)
def test_who_binds_what_is_not_there(arguments: str, environ: dict[str, str], fix: str) -> None:
    said = NO_BIND.format(to="/d")
    assert explain(said, launcher(arguments, **environ))[1].startswith(fix)


def test_who_binds_what_this_user_may_not_see() -> None:
    said = (
        f"{AS_USER}WARNING: skipping mount of /a b: stat /a b: permission denied\n"
        "INFO:    Try appending ':ro' to your overlay image or using '--fakeroot'\n"
        f"{CREATION}mount hook function failure: mount /a b->/x error: while mounting /a b: while getting "
        "stat for /a b: stat /a b: permission denied\n"
    )
    seen, fix = explain(said, launcher(APPTAINER_BIND="/usr,/a b:/x"))
    assert "while getting stat for /a b" in seen and fix == "take /a b:/x out of APPTAINER_BIND"


@pytest.mark.parametrize(
    ("said", "meets", "other"),
    [
        ('FATAL:   "bash": executable file not found in $PATH', "/site:/usr", "/site:/mnt"),
        (
            "/usr/bin/env: '/opt/evenground/runner/bin/python': No such file or directory",
            "/site:/opt",
            "/opt:/site",
        ),
        (
            "/python: can't open file '/copy/scripts/probe.py': [Errno 2] No such file or directory",
            f"/site:{COPY}/scripts",
            f"{COPY}2",
        ),
    ],
)
def test_a_bind_over_what_is_not_found_is_named(said: str, meets: str, other: str) -> None:
    both = launcher(f"--bind {meets}", APPTAINER_BIND=f"{meets},{other}")
    wanted = f"take {meets} out of APPTAINER_BIND and leave --bind {meets} out of --apptainer-args"
    assert explain(said, both)[1] == wanted


def test_what_the_pipeline_binds_is_never_why() -> None:
    ours = (f"{COPY}/data/a,b", f"{COPY}/x:y")
    mounts = "\n".join(map(mount_of, ours))
    told = launcher(ours=ours, APPTAINER_BIND="/usr", APPTAINER_MOUNT=mounts)
    assert told.fix(["mount"], str(COPY)) == ""
    assert explain("FATAL: odd", told)[1].endswith("set for it here: APPTAINER_BIND")
    told = launcher(ours=ours, APPTAINER_MOUNT=f"type=bind,src=/s,dst=/d\n{mounts}")
    assert told.fix(["mount"]) == "unset APPTAINER_MOUNT"


@pytest.mark.parametrize("reason", ["No space left on device", "Disk quota exceeded"])
def test_where_there_is_no_room_to_unpack_the_fix_is_another_folder(reason: str) -> None:
    said = FULL.replace("No space left on device", reason)
    assert explain(said, launcher()) == (
        "no room to unpack the image",
        "set APPTAINER_TMPDIR to a folder with room, or install squashfuse, which mounts images",
    )


def test_words_that_nobody_knows_fall_back_and_name_what_is_set() -> None:
    said = f"{AS_USER}{HARMLESS}FATAL:   the moon is full\n"
    told = launcher("--bind /srv", SINGULARITY_QUIET="1", APPTAINER_BIND="/usr", PATH="/bin")
    assert explain(said, told) == (
        "FATAL: the moon is full",
        "fix what it reports, or run natively, without --use-singularity; "
        "set for it here: APPTAINER_BIND, SINGULARITY_QUIET, --apptainer-args '--bind /srv'",
    )
    assert explain(said, launcher("--nv --cleanenv"))[1].endswith("without --use-singularity")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("", "it printed nothing"),
        ("\n \n", "it printed nothing"),
        ("WARNING: only this\n", "it printed nothing"),
        ("a\nb\n", "b"),
        ("\x1b[31mFATAL:  \x1b[0m red\n\x1b[1;33mERROR:\x1b[0m more\n", "FATAL: red"),
        ("ERROR  : first\nINFO   : ask\n", "ERROR : first"),
        ("x" * 999, "x" * MAX_CHARACTERS),
        (f"{UNPACKING}\x1b[33mWARNING:\x1b[0m odd\nits cause\n: exit status 1\n", "its cause"),
    ],
)
def test_the_line_that_says_most(said: str, words: str) -> None:
    assert key_line(said) == words
