"""Reads a Gpu for a while in a process of its own, as a row at every deadline would, and prints what it got.

The fake driver is found by LD_LIBRARY_PATH, which counts at a process's start only. The one argument is
JSON: `seconds`, `rate_hz`, `own` (pids of the tree) and `steps`, a list of [second, text of the driver's
file]; `PID` and `PARENT` in such a text stand for this process and the one that started it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from evenground.sidecar.gpu import Gpu, load_nvml


def main() -> None:
    """Take the rows, then print everything as JSON."""
    asked = json.loads(sys.argv[1])
    period_ns = round(1e9 / asked["rate_hz"])
    steps = [(int(at_s * 1e9), text) for at_s, text in asked["steps"]]
    gpu = Gpu(load_nvml(), period_ns)
    gpu.tree_pids = frozenset(os.getpid() if pid == "PID" else pid for pid in asked["own"])
    began_ns = time.monotonic_ns()
    reads: list[dict[str, Any]] = []
    blocked_ns = 0
    for k in range(int(asked["seconds"] * asked["rate_hz"])):
        while steps and steps[0][0] <= k * period_ns:
            set_driver(steps.pop(0)[1])
        if k == 0:
            gpu.start(began_ns)
        time.sleep(max(0, began_ns + k * period_ns - time.monotonic_ns()) / 1e9)
        now_ns = time.monotonic_ns()
        reads.append({"t_s": (now_ns - began_ns) / 1e9, **gpu.read(now_ns)})
        blocked_ns = max(blocked_ns, time.monotonic_ns() - now_ns)
    gpu.stop()
    time.sleep(0.1)
    got = {
        "reads": reads,
        "cards": gpu.cards,
        "rows": gpu.take_card_rows(),
        "samples": gpu.take_util_samples(),
        "blocked_s": blocked_ns / 1e9,
        "thread_ended": threading.active_count() == 1,
    }
    print(json.dumps(got), flush=True)
    os._exit(0)  # the thread may hang in the driver


def set_driver(text: str) -> None:
    """Replace the driver's file in one step."""
    path = Path(os.environ["FAKE_NVML_FILE"])
    text = text.replace("PID", str(os.getpid())).replace("PARENT", str(os.getppid()))
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


main()
