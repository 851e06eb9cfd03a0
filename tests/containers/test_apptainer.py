"""What Apptainer is told: by the pipeline, by the caller's arguments, by variables under both its names."""

from __future__ import annotations

import csv

import pytest

from evenground.containers.apptainer import (
    ALWAYS,
    Told,
    binds_in,
    fixes_for,
    is_for_inside,
    mount_of,
    options_in,
    parts_of,
    prepare_environ,
    refuse,
    with_always,
)
from evenground.errors import EvengroundError

COPY = "/home/ana/copy"


@pytest.mark.parametrize("prefix", ["APPTAINER", "SINGULARITY"])
@pytest.mark.parametrize(
    ("name", "is_it"),
    [
        ("ENV_LD_PRELOAD", True),
        ("ENV_PREPEND_PATH", True),
        ("ENV_", True),
        ("_ENV", True),
        ("_ENV_FILE", True),
        ("_ENVFILE", True),
        ("_ENVIRONMENT", False),
        ("_BIND", False),
        ("_NV", False),
        ("", False),
    ],
)
def test_variables_that_would_be_ones_inside(prefix: str, name: str, is_it: bool) -> None:
    assert is_for_inside(f"{prefix}{name}") == is_it
    assert not is_for_inside(f"MY_{prefix}{name}")


@pytest.mark.parametrize(
    "given",
    [
        "",
        "--nv",
        "--nv --cleanenv",
        "--bind /srv",
        "--cleanenv --nv",
        "--nv=false --cleanenv=false",
    ],
)
def test_ours_come_last_and_once(given: str) -> None:
    told = with_always(given)
    assert told.split()[-2:] == ALWAYS and told.startswith(given)
    assert with_always(told) == told


def test_no_library_for_inside_either() -> None:
    environ = {
        "APPTAINER_CONTAINLIBS": "/site/libz.so.1",
        "SINGULARITY_CONTAINLIBS": "/site/libz.so.1",
    }
    prepare_environ(environ, [], COPY)
    assert environ == {"PWD": COPY}


def test_nothing_for_inside_and_no_lost_image() -> None:
    environ = {
        "APPTAINERENV_A": "1",
        "SINGULARITYENV_LD_PRELOAD": "/x.so",
        "APPTAINER_ENV_FILE": "/site/env",
        "APPTAINER_DISABLE_CACHE": "1",
        "SINGULARITY_DISABLE_CACHE": "1",
        "APPTAINER_TMPDIR": "/scratch",
        "APPTAINER_ENVIRONMENT": "/.singularity.d",
        "PWD": "/link/copy",
    }
    prepare_environ(environ, [], COPY)
    kept = {"APPTAINER_TMPDIR": "/scratch", "APPTAINER_ENVIRONMENT": "/.singularity.d"}
    assert environ == {**kept, "PWD": COPY}


def test_what_a_site_binds_under_any_name_stays_bound_beside_ours() -> None:
    environ = {
        "SINGULARITY_BINDPATH": "/d",
        "SINGULARITY_BIND": "/c:/c:ro",
        "APPTAINER_BINDPATH": "/b,/b2,",
        "APPTAINER_BIND": "/a",
        "SINGULARITY_MOUNT": "type=bind,source=/e,destination=/e",
    }
    prepare_environ(environ, ["/data/x:y", "/data/a,b", '/data/"q"'], COPY)
    assert environ.keys() == {"APPTAINER_BIND", "APPTAINER_MOUNT", "PWD"}
    assert binds_in(environ["APPTAINER_BIND"]) == ["/a", "/b", "/b2", "/c:/c:ro", "/d"]
    rows = list(csv.reader(environ["APPTAINER_MOUNT"].splitlines()))
    places = ["/e", "/data/x:y", "/data/a,b", '/data/"q"']
    assert rows == [["type=bind", f"source={place}", f"destination={place}"] for place in places]


def test_jobs_are_told_the_same_again() -> None:
    """A job that starts Snakemake anew reads the Snakefile in the environment that it was given."""
    environ = {
        "APPTAINER_BIND": "/a:/x:image-src=/,ro,/b:/y:image-src=/,ro",
        "SINGULARITY_BIND": "/c",
        "APPTAINER_MOUNT": "type=bind,source=/e,destination=/e",
    }
    prepare_environ(environ, ["/data/a,b"], COPY)
    once = dict(environ)
    prepare_environ(environ, ["/data/a,b"], COPY)
    assert environ == once
    assert once["APPTAINER_BIND"] == "/a:/x:image-src=/,ro,/b:/y:image-src=/,ro,/c"
    assert once["APPTAINER_MOUNT"] == f"type=bind,source=/e,destination=/e\n{mount_of('/data/a,b')}"


def test_one_list_under_two_names_is_bound_once() -> None:
    environ = {"APPTAINER_BIND": "/a,/b", "SINGULARITY_BIND": "/a,/b"}
    prepare_environ(environ, [], COPY)
    assert environ["APPTAINER_BIND"] == "/a,/b"


def test_where_nothing_is_bound_no_variable_says_so() -> None:
    environ = {"APPTAINER_BIND": ""}
    prepare_environ(environ, [], COPY)
    assert environ == {"PWD": COPY}


@pytest.mark.parametrize(
    ("bind", "source", "target"),
    [
        ("/plain", "/plain", "/plain"),
        ("/a b:/c d:ro", "/a b", "/c d"),
        (r"/a\:b", "/a:b", "/a:b"),
        (r"/a\,b:/c\:d:ro", "/a,b", "/c:d"),
    ],
)
def test_a_sites_bind_is_read_as_apptainer_does(bind: str, source: str, target: str) -> None:
    assert parts_of(bind) == (source, target)
    assert binds_in(f"/first,{bind},/last") == ["/first", bind, "/last"]


@pytest.mark.parametrize(
    ("arguments", "cwd", "said"),
    [
        ("", "/home/a:b", r"^the working copy has ':' in its path, .* \(/home/a:b\): move it"),
        (
            "",
            "/home/{a}",
            r"^the working copy has '\{' in its path, where Snakemake looks .*: move it",
        ),
        ("--bind /a --disable-cache --nv", COPY, r"^Apptainer deletes an image .*: leave it out$"),
        ("--disable-cache=true", COPY, r"^Apptainer deletes an image .*: leave it out$"),
        (
            "--bind /a -- --nv",
            COPY,
            r"^what stands behind -- does not reach Apptainer .*: leave it out$",
        ),
        (
            "--bind /a #b --nv",
            COPY,
            r"^what stands behind #b does not reach Apptainer .*: leave it out$",
        ),
        (
            "--bind '/a --nv",
            COPY,
            r"^a shell cannot read it: No closing quotation \(--apptainer-args\): ",
        ),
    ],
)
def test_what_nothing_is_started_with(arguments: str, cwd: str, said: str) -> None:
    with pytest.raises(EvengroundError, match=said):
        refuse(arguments, cwd)
    refuse("--bind /a,b --nv --cleanenv", "/home/a,b c")


@pytest.mark.parametrize(
    ("environ", "arguments", "flags", "said"),
    [
        ({"APPTAINER_PID": "1"}, "", ["pid"], ["unset APPTAINER_PID"]),
        ({"SINGULARITY_PID": "true"}, "", ["pid"], ["unset SINGULARITY_PID"]),
        ({"APPTAINER_UNSHARE_PID": "T"}, "", ["pid"], ["unset APPTAINER_UNSHARE_PID"]),
        ({"APPTAINER_TARGET_CWD": "/tmp"}, "", ["cwd"], ["unset APPTAINER_TARGET_CWD"]),
        ({"APPTAINER_OVERLAYIMAGE": "/o"}, "", ["overlay"], ["unset APPTAINER_OVERLAYIMAGE"]),
        ({"APPTAINER_SCRATCHDIR": "/tmp"}, "", ["scratch"], ["unset APPTAINER_SCRATCHDIR"]),
        ({"APPTAINER_NO_HOME": "1"}, "", ["no-home"], ["unset APPTAINER_NO_HOME"]),
        ({"APPTAINER_WRITABLE_TMPFS": "1"}, "", ["writable"], []),
        ({"MY_APPTAINER_PID": "1", "APPTAINERENV_PID": "1", "PID": "1"}, "", ["pid"], []),
        *(({"APPTAINER_PID": off}, "", ["pid"], []) for off in ("", " 0 ", "f", "False", "FALSE")),
        ({"APPTAINER_CPUSET_CPUS": "0"}, "", ["cpuset-cpus"], ["unset APPTAINER_CPUSET_CPUS"]),
        ({"APPTAINER_NO_MOUNT": "sys, proc"}, "", ["no-mount=proc"], ["unset APPTAINER_NO_MOUNT"]),
        ({"APPTAINER_NO_MOUNT": "tmp"}, "", ["no-mount=proc"], []),
        ({"APPTAINER_NO_MOUNT": "tmp"}, "", ["no-mount"], ["unset APPTAINER_NO_MOUNT"]),
        ({}, "--nv --pid --cleanenv", ["pid"], ["leave --pid out of --apptainer-args"]),
        (
            {},
            "-p -C",
            ["pid", "containall"],
            [f"leave {x} out of --apptainer-args" for x in ("-p", "-C")],
        ),
        ({}, "-eC", ["containall"], ["leave -eC out of --apptainer-args"]),
        ({}, "-B/srv:/Cp -x", ["containall", "pid"], []),
        ({}, "-p=false", ["pid"], []),
        ({}, "-S /tmp", ["scratch"], ["leave -S out of --apptainer-args"]),
        ({}, "--pwd /tmp", ["pwd"], ["leave --pwd out of --apptainer-args"]),
        ({}, "--pwd=/tmp", ["pwd"], ["leave --pwd=/tmp out of --apptainer-args"]),
        ({}, "--pid=false", ["pid"], []),
        (
            {},
            "--no-mount proc",
            ["no-mount=proc"],
            ["leave --no-mount proc out of --apptainer-args"],
        ),
        (
            {},
            "--no-mount=tmp,proc",
            ["no-mount=proc"],
            ["leave --no-mount=tmp,proc out of --apptainer-args"],
        ),
        ({}, "--no-mount tmp --bind proc", ["no-mount=proc"], []),
        ({}, "--bind pid --hostname '--pid x'", ["pid"], []),
        (
            {"APPTAINER_NET": "1", "SINGULARITY_NETWORK": "none"},
            "--net",
            ["net", "network"],
            [
                "unset APPTAINER_NET",
                "unset SINGULARITY_NETWORK",
                "leave --net out of --apptainer-args",
            ],
        ),
    ],
)
def test_who_told_a_flag(
    environ: dict[str, str], arguments: str, flags: list[str], said: list[str]
) -> None:
    assert fixes_for(flags, environ, arguments) == said


def test_options_in_all_forms() -> None:
    found = options_in("--bind /a,/b -B=/c -B/d -eB /e --nv word --env 'A=b c'")
    assert [(option.name, option.value) for option in found] == [
        ("bind", "/a,/b"),
        ("bind", "/c"),
        ("bind", "/d"),
        ("cleanenv", "/e"),
        ("bind", "/e"),
        ("nv", "word"),
        ("env", "A=b c"),
    ]


def test_what_is_told_passes_a_command_line() -> None:
    told = Told("--bind '/a b' --nv --cleanenv", ["/cache/snakemake"], ['/data/"x",y', "/größe"])
    assert Told.of(told.text()) == told
    assert "\n" not in told.text()
