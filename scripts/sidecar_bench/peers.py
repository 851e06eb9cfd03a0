"""Other samplers pointed at a running process: psrecord, procpath, and the usual recipe with psutil."""

from __future__ import annotations

import csv
import os
import sqlite3
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import environment

INTERVAL_S = 0.1
PSUTIL_WAY = Path(__file__).with_name("psutil_way.py")
Series = list[tuple[int, float]]
# psrecord writes seconds since its start, which comes after its import of psutil; this notes when that was.
STAMPED = """
import sys, time, pathlib
import psutil
from psrecord.main import main
pathlib.Path(sys.argv.pop(1)).write_text(str(time.time_ns()))
main()
"""


class Recorded(NamedTuple):
    """What one sampler wrote: moments of its rows, CPU nanoseconds and bytes; all moments are monotonic.

    `cpu` has one series for each way to add the CPU up, the usual one first; `memory` one for each kind.
    """

    times_ns: list[int]
    cpu: dict[str, Series]
    memory: dict[str, Series]


class Peer(NamedTuple):
    """A sampler: its command line for a process and a folder, and how to read what it left there."""

    name: str
    words: Callable[[int, Path], list[str]]
    read: Callable[[Path], Recorded]


def python() -> str:
    """The interpreter of the peers' environment."""
    return str(environment.build("peers") / "bin" / "python")


def unix_ahead_ns() -> int:
    """Unix time less monotonic time; constant as long as nobody sets the clock."""
    return time.time_ns() - time.monotonic_ns()


def psrecord_words(pid: int, folder: Path) -> list[str]:
    """Every 0.1 s, children included."""
    words = [
        python(),
        "-c",
        STAMPED,
        str(folder / "psrecord.start"),
        str(pid),
        "--include-children",
    ]
    words += ["--interval", str(INTERVAL_S), "--log-format", "csv"]
    return [*words, "--log", str(folder / "psrecord.csv")]


def read_psrecord(folder: Path) -> Recorded:
    """It writes percent since the row before, which add up to seconds."""
    start_ns = int((folder / "psrecord.start").read_text()) - unix_ahead_ns()
    with (folder / "psrecord.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["mem_virtual"]]
    times_ns = [start_ns + int(float(row["elapsed_time"]) * 1e9) for row in rows]
    used_ns, cpu = 0.0, [(times_ns[0], 0.0)]
    for (before_ns, now_ns), row in zip(pairwise(times_ns), rows[1:], strict=True):
        used_ns += float(row["cpu"]) / 100 * (now_ns - before_ns)
        cpu.append((now_ns, used_ns))
    rss = [
        (at_ns, float(row["mem_real"]) * 2**20) for at_ns, row in zip(times_ns, rows, strict=True)
    ]
    return Recorded(times_ns, {"": cpu}, {"RSS": rss})


def procpath_words(pid: int, folder: Path) -> list[str]:
    """Every 0.1 s, the files that it reads by default."""
    words = [
        python(),
        "-m",
        "procpath",
        "--logging-level",
        "ERROR",
        "record",
        "-i",
        str(INTERVAL_S),
    ]
    words += ["-d", str(folder / "procpath.sqlite"), "-p", str(pid), "--stop-without-result"]
    return [*words, f"$..children[?(@.stat.pid == {pid})]"]


def procpath_pss_words(pid: int, folder: Path) -> list[str]:
    """The same with smaps_rollup."""
    return [*procpath_words(pid, folder), "-f", "stat,cmdline,smaps_rollup"]


def read_procpath(folder: Path) -> Recorded:
    """CPU from the columns of its own query: user + system of each process, the last seen of each."""
    connection = sqlite3.connect(folder / "procpath.sqlite")
    pss = "smaps_rollup_pss" in {row[1] for row in connection.execute("PRAGMA table_info(record)")}
    columns = ["ts", "stat_pid", "stat_starttime", "stat_utime + stat_stime", "stat_rss"]
    columns += ["smaps_rollup_pss" if pss else "0"]
    query = f"SELECT {', '.join(columns)} FROM record ORDER BY record_id"
    tick_ns, page_bytes = 1e9 / os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    ahead_ns = unix_ahead_ns()
    seen: dict[tuple[int, int], float] = {}
    sums: dict[int, list[float]] = {}
    for unix_s, pid, start, ticks, pages, pss_kib in connection.execute(query):
        seen[pid, start] = ticks * tick_ns
        at = sums.setdefault(int(unix_s * 1e9) - ahead_ns, [0.0, 0.0, 0.0])
        at[:] = [sum(seen.values()), at[1] + pages * page_bytes, at[2] + (pss_kib or 0) * 1024]
    connection.close()
    cpu, rss, proportional = ([(at_ns, of[i]) for at_ns, of in sums.items()] for i in range(3))
    memory = {"RSS": rss, "PSS": proportional} if pss else {"RSS": rss}
    return Recorded(list(sums), {"": cpu}, memory)


def psutil_words(pid: int, folder: Path) -> list[str]:
    """The recipe of psutil_way.py, every 0.1 s."""
    return [python(), str(PSUTIL_WAY), str(pid), str(INTERVAL_S), str(folder / "psutil.csv")]


def read_psutil(folder: Path) -> Recorded:
    """CPU as it was last seen of each process; and of those that live, with what they inherited."""
    with (folder / "psutil.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["rss_bytes"]]
    times_ns = [int(row["t_mono_ns"]) for row in rows]
    values = {
        column: [(at_ns, float(row[column])) for at_ns, row in zip(times_ns, rows, strict=True)]
        for column in ("cpu_s", "waited_cpu_s", "rss_bytes")
    }
    last_seen, inherited = (
        [(at_ns, value * 1e9) for at_ns, value in values[column]]
        for column in ("cpu_s", "waited_cpu_s")
    )
    cpu = {"": last_seen, "with children_user, children_system": inherited}
    return Recorded(times_ns, cpu, {"RSS": values["rss_bytes"]})


PSRECORD = Peer("psrecord 1.4", psrecord_words, read_psrecord)
PROCPATH = Peer("procpath 1.15.1", procpath_words, read_procpath)
PROCPATH_PSS = PROCPATH._replace(words=procpath_pss_words)
PSUTIL = Peer("psutil recipe", psutil_words, read_psutil)
PEERS = (PSRECORD, PROCPATH, PSUTIL)
