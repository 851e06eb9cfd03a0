"""A /proc that answers oddly, hides processes, or is another namespace's."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evenground.sidecar import linux
from evenground.sidecar.machine import cpu_since_boot_pct, machine_used_bytes

Call = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
HIDES = "mount -t proc -o hidepid={} proc /proc"
TREE = ("cpu_s", "rss_bytes", "processes")


@pytest.fixture
def below(tmp_path: Path, may_mount: None) -> Call:
    """Measures a command in a mount namespace that a line of shell has changed."""

    def run(mount: str, *command: str) -> tuple[int, str, list[dict[str, str]], dict[str, Any]]:
        samples = tmp_path / "s.csv"
        words = [
            sys.executable,
            "-m",
            "evenground.sidecar",
            "run",
            "--samples",
            str(samples),
            "--",
            *command,
        ]
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *words],
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        with samples.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return (
            done.returncode,
            done.stdout,
            rows,
            json.loads(samples.with_suffix(".json").read_text()),
        )

    return run


def test_files_that_count_nothing_leave_cells_empty_and_the_command_alone(
    below: Call, tmp_path: Path
) -> None:
    (tmp_path / "stat").write_text("cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n")
    (tmp_path / "empty").touch()
    mount = f"mount --bind {tmp_path}/stat /proc/stat"
    mount += "".join(
        f" && mount --bind {tmp_path}/empty /proc/{name}" for name in ("meminfo", "loadavg")
    )
    status, said, rows, header = below(mount, "sh", "-c", "sleep 0.4; echo ended; exit 3")
    assert (status, said) == (3, "ended\n")
    assert header["missing"]["cpu_since_boot_pct"] == "/proc/stat counts no time (as gVisor's)"
    assert header["missing"]["machine_used_bytes"] == "/proc/meminfo has no MemTotal"
    assert not any(row["cpu_since_boot_pct"] or row["free_used_bytes"] for row in rows)
    assert all(row["cpu_s"] and row["rss_bytes"] for row in rows)
    unseen = "; ".join(header["summary"]["not_seen"])
    assert "cpu_since_boot_pct: no value in" in unseen and "free_used_bytes: no value in" in unseen


@pytest.mark.parametrize(
    "stat", [b"cpu  0 0 0 0 0\n", b"cpu 5 0 -5 0 0\n", b"cpu x 0 1 2 3\n", b"", b"cpu 1\n"]
)
def test_no_time_counted_is_no_share(stat: bytes) -> None:
    with pytest.raises(ValueError, match=r"/proc/stat|invalid literal"):
        cpu_since_boot_pct(stat)


@pytest.mark.parametrize(
    "meminfo",
    [
        b"MemTotal: 0 kB\nMemAvailable: 0 kB\n",
        b"MemTotal:\n",
        b"MemTotal: x kB\nMemAvailable: 1 kB\n",
    ],
)
def test_no_memory_known_is_none_used(meminfo: bytes) -> None:
    with pytest.raises(ValueError, match=r"/proc/meminfo|invalid literal"):
        machine_used_bytes(meminfo)


@pytest.mark.parametrize("hides", [1, 2])
def test_processes_of_others_that_hide_do_no_harm(
    hides: int, as_nobody: Any, may_mount: None
) -> None:
    busy = 'for k in $(seq 40); do /bin/true; sleep 0.02; done & "$@"'
    mount = f"{HIDES.format(hides)} && set -- sh -c '{busy}' sh \"$@\""
    got = as_nobody(["sleep", "1"], mount=mount)
    assert got.status == 0 and got.summary["not_seen"] == []
    assert all(row[column] for row in got.rows for column in TREE)


@pytest.mark.parametrize("hides", [1, 2])
def test_what_may_not_be_looked_at_is_said(hides: int, as_nobody: Any, may_mount: None) -> None:
    attach = as_nobody.sidecar("attach", "--duration-s", "0.3")
    run = as_nobody.run
    one = run([*attach, "--pid", "1"], HIDES.format(hides))
    assert one.returncode == 127 and len(one.stderr.splitlines()) == 1
    assert ("hidepid" in one.stderr) == (hides == 1), "with 2 the kernel denies that it exists"
    named = ["sh", "-c", 'sleep 5 & "$@" --name sleep', "sh", *attach]
    assert "duration after" in run(named, HIDES.format(hides)).stderr


@pytest.mark.parametrize("hides", [1, 2])
def test_the_guardian_ends_what_it_may_see(
    hides: int, as_nobody: Any, may_mount: None, wait_for: Call
) -> None:
    words = as_nobody.sidecar("run", "--samples", "s.csv", "--")
    text = '"$@" sh -c "setsid sleep 76.5 & wait" & sleep 1; kill -9 $!'
    as_nobody.run(["sh", "-c", text, "sh", *words], HIDES.format(hides))
    wait_for(lambda: not _called(b"76.5"))


def _called(word: bytes) -> list[int]:
    """Processes that have this word among their arguments."""
    found = []
    for pid in linux.all_stats():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word in words and b"sleep" in words:
            found.append(pid)
    return found


@pytest.mark.skipif(os.getuid() != 0, reason="a PID namespace needs root")
@pytest.mark.parametrize(
    "mode", [["run", "--samples", "s.csv", "--", "touch", "ran"], ["attach", "--pid", "1"]]
)
def test_another_namespaces_proc_is_refused_in_one_line(
    mode: list[str], may_mount: None, tmp_path: Path
) -> None:
    done = subprocess.run(
        ["unshare", "-pf", sys.executable, "-m", "evenground.sidecar", *mode],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 125 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "PID namespace" in done.stderr
    assert not list(tmp_path.iterdir()), "nothing was started, and no file is left"


def test_numbers_are_ones_own_where_proc_is() -> None:
    assert linux.other_numbers() is None
