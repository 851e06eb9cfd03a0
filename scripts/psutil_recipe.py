"""The usual recipe with psutil as a sampler: `python psutil_recipe.py PID INTERVAL_S FILE`.

Every interval it sums cpu_times() of the process and its children, and sleeps. FILE becomes CSV:
`cpu_s` is the sum of user and system time of every process as it was last seen; `waited_cpu_s` is
the sum over the processes there now, with what they inherited from children that they waited for.
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
    # Line by line: the process may be ended at any moment.
    with Path(file).open("w", encoding="utf-8", buffering=1) as rows:
        rows.write("t_mono_ns,cpu_s,waited_cpu_s\n")
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            now_ns = time.monotonic_ns()
            waited_s = 0.0
            for process in [root] + root.children(recursive=True):
                try:
                    times = process.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                own_s = times.user + times.system
                # A pid alone may be given to a later process.
                seen[process.pid, process.create_time()] = own_s
                waited_s += own_s + times.children_user + times.children_system
            rows.write(f"{now_ns},{sum(seen.values())},{waited_s}\n")
            time.sleep(float(interval_s))


if __name__ == "__main__":
    # The process may end at any moment.
    with contextlib.suppress(psutil.NoSuchProcess):
        main(*sys.argv[1:])
