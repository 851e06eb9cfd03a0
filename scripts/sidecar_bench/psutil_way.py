"""The usual recipe with psutil, as a sampler: `python psutil_way.py PID INTERVAL_S FILE`.

Every interval it asks for the process and its children, sums cpu_times and memory_info().rss, and sleeps.
FILE becomes CSV. `cpu_s` keeps what was last seen of each process (user + system), `waited_cpu_s` is the
sum over those there now with what they inherited from children (children_user + children_system).
"""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

import psutil


def main(pid: str, interval_s: str, file: str) -> None:
    root = psutil.Process(int(pid))
    seen: dict[tuple[int, float], float] = {}
    with Path(file).open("w", encoding="utf-8", buffering=1) as rows:
        rows.write("t_mono_ns,cpu_s,waited_cpu_s,rss_bytes\n")
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            rows.write(row(root, seen) + "\n")
            time.sleep(float(interval_s))


def row(root: psutil.Process, seen: dict[tuple[int, float], float]) -> str:
    """One line of the file; `seen` is brought up to date."""
    now_ns, waited_s, rss_bytes = time.monotonic_ns(), 0.0, 0
    for process in [root, *root.children(recursive=True)]:
        try:
            times, rss = process.cpu_times(), process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        seen[process.pid, process.create_time()] = times.user + times.system
        waited_s += times.user + times.system + times.children_user + times.children_system
        rss_bytes += rss
    return f"{now_ns},{sum(seen.values())},{waited_s},{rss_bytes}"


if __name__ == "__main__":
    with contextlib.suppress(psutil.NoSuchProcess):  # it has ended
        main(*sys.argv[1:])
