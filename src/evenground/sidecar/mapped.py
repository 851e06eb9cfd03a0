"""The files that processes of the tree have mapped as code: programs and libraries, as the kernel says."""

from __future__ import annotations

import contextlib
import math
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evenground.sidecar import linux
from evenground.sidecar.between import BetweenRows
from evenground.sidecar.machine import reason
from evenground.sidecar.procfile import KeptFile

SCHEMA = 1
EARLY_NS = (100_000_000, 200_000_000, 400_000_000, 800_000_000)
"""The first looks, after the start: else what a short run loads is not seen."""
PERIOD_NS = 1_000_000_000
AGAIN_NS = 30_000_000_000
"""After this time a map is read though its process has as much code as before."""
BUDGET = 0.001
"""Most CPU seconds a second that looking may cost; above it, looks come less often."""
CREDIT_NS = 10_000_000
"""What may be spent beforehand, so that the first looks come early."""
OFTEN_NS = 100_000_000
"""Where rows come as often as this, a look waits for one: the next row is farthest away then."""

CUT = "the sidecar was ended before it wrote them"
NOT_STARTED = "nothing was started"
TOO_SHORT = "no process lived until it was looked at (first 0.1 s after the start)"
HIDES = "it is another user's, and /proc hides it: hidepid"
NO_FILE = "the processes that were looked at had no file mapped as code"

# Memory with a name of the kernel's (mmap of nothing, memfd_create, shmget, MAP_HUGETLB, io_setup).
_MEMORY = re.compile(rb"/(memfd:.*|dev/zero|SYSV[0-9a-f]{8}|anon_hugepage|\[aio\])", re.S)
_CODE_SIZE = re.compile(rb"^VmExe:.*\nVmLib:.*$", re.M)
_DELETED = b" (deleted)"
_CHUNK = 1 << 14


def code_files(maps: bytes) -> set[bytes]:
    """Files of lines of /proc/PID/maps that may be executed (proc_pid_maps(5)); memory is none."""
    names = set()
    for line in maps.split(b"\n"):
        words = line.split(None, 5)
        if len(words) == 6 and words[1][2:3] == b"x" and words[5].startswith(b"/"):
            names.add(words[5])
    return {name for name in map(_file_name, names) if name}


def _file_name(written: bytes) -> bytes | None:
    """The name of a file as it is, from the kernel's writing of it; None for memory."""
    name = written.removesuffix(_DELETED)
    # What is left in /dev/shm is a file; POSIX shared memory is removed by its maker at once, as a rule.
    if _MEMORY.fullmatch(name) or (name != written and name.startswith(b"/dev/shm/")):
        return None
    # Only a line's end is written as an escape here; any other backslash is the name's own.
    return name.replace(b"\\012", b"\n")


def process_code_files(folder: Path) -> set[bytes] | None:
    """Of a process by its folder in /proc; None when it has ended. OSError when it is not permitted."""
    for place in _places(folder):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found = _read(place / "maps")
            if found is not None:
                return found
    return None


def _places(folder: Path) -> Iterator[Path]:
    """Where its map may be: once its first thread has ended, the process's own file has nothing."""
    yield folder
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        yield from (folder / "task").iterdir()


def _read(maps: Path) -> set[bytes] | None:
    """By parts, as the kernel gives it: between two of them a row may be taken. None where it is empty."""
    found, rest, is_empty = set[bytes](), b"", True
    with maps.open("rb", buffering=0) as file:
        while part := file.read(_CHUNK):
            is_empty = False
            lines, _, rest = (rest + part).rpartition(b"\n")
            found |= code_files(lines)
    return None if is_empty else found


def code_size(folder: Path) -> bytes | None:
    """What a process's status says of its code's size, much cheaper than its map; None where it does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        found = _CODE_SIZE.search(KeptFile(f"{folder}/status", keep=False).read(_CHUNK))
        return found[0] if found else None
    return None


class Mapped(BetweenRows):
    """Looks in a thread of its own, early at first, then at most once a second and within the budget."""

    def __init__(self, row_period_ns: int) -> None:
        super().__init__(due_ns=math.inf)
        self._patience_ns = 1.5 * row_period_ns if row_period_ns <= OFTEN_NS else 0.0
        self._zero_ns, self._spent_ns, self._looks = 0, 0, 0
        self._files: set[bytes] = set()
        self._seen: dict[tuple[int, int], tuple[bytes | None, int]] = {}
        """Processes whose map was read: their code's size then, and when."""
        self._refused: dict[tuple[int, int], str] = {}
        """Processes whose map could not be read when it was looked at last, and why."""
        self._nothing = NOT_STARTED
        self.trouble: list[str] = []
        """Why files may be missing, beside what single processes refuse."""

    def start(self, zero_ns: int) -> None:
        """Begin; the first look comes a tenth of a second after `zero_ns`, which is now."""
        self._nothing, self._zero_ns = TOO_SHORT, zero_ns
        threading.Thread(target=self._run, name="sidecar-mapped", daemon=True).start()

    def content(self) -> dict[str, Any]:
        """What the file says, as of now. A byte that is no text is a surrogate (PEP 383)."""
        files = sorted(name.decode("utf-8", "surrogateescape") for name in self._files.copy())
        missing = self._missing(bool(files))
        return {
            "schema": SCHEMA,
            "files": files,
            "looks": self._looks,
            "processes": len(self._seen),
            "missing": missing,
        }

    def unfinished(self) -> dict[str, Any]:
        """What the file says until it is written at the end."""
        return self.content() | {"missing": CUT}

    def _missing(self, has_files: bool) -> str | None:
        """Why files are missing, or all of them; None where nothing is known to be."""
        refused = Counter(self._refused.copy().values())
        told = [
            f"processes whose map could not be read ({why}): {count}"
            for why, count in refused.items()
        ]
        reasons = [*self.trouble, *sorted(told)]
        if not reasons and not has_files:
            reasons = [NO_FILE if self._seen else _refused_to_all() or self._nothing]
        return "; ".join(reasons) or None

    def _run(self) -> None:
        due_ns: float = self._zero_ns + EARLY_NS[0]
        while not self._stopped:
            self._wanted.clear()
            self._due_ns = due_ns
            self._wanted.wait(max(0.0, (due_ns + self._patience_ns - time.monotonic_ns()) / 1e9))
            self._due_ns = math.inf
            if not self._stopped:
                due_ns = self._look()

    def _look(self) -> float:
        """Look at every process; when the next look is due."""
        began_ns, began_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
        for key in self._processes:
            try:
                self._look_at(key, began_ns)
            except Exception as error:  # whatever it is: the others are looked at all the same
                self._refused[key] = reason(error)
        self._looks += 1
        self._spent_ns += time.thread_time_ns() - began_cpu_ns
        if self._looks < len(EARLY_NS):
            planned_ns = self._zero_ns + EARLY_NS[self._looks]
        else:
            planned_ns = began_ns + PERIOD_NS
        return max(planned_ns, self._zero_ns + (self._spent_ns - CREDIT_NS) / BUDGET)

    def _look_at(self, key: tuple[int, int], now_ns: int) -> None:
        """Read a process's map, if it may have other code than before."""
        pid, start = key
        folder = Path(f"/proc/{pid}")
        size = code_size(folder)
        before, read_ns = self._seen.get(key, (None, 0))
        is_same = size is not None and size == before and key not in self._refused
        if is_same and now_ns - read_ns < AGAIN_NS:
            return
        found = process_code_files(folder)
        stat = linux.read_stat(pid)
        # `hidepid=2` says of a process that hides that it does not exist; its clock knows better.
        if stat is None and linux.leads_a_process(pid):
            self._refused[key] = HIDES
        # Its number may be another's by now.
        if found is not None and stat is not None and stat.start == start:
            self._files |= found
            self._seen[key] = size, now_ns
            self._refused.pop(key, None)


def _refused_to_all() -> str | None:
    """Why no process's map can be read here, not even this one's; None where it can."""
    try:
        os.close(os.open("/proc/self/maps", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return f"/proc/PID/maps: {reason(error)}"
    return None
