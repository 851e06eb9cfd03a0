"""Files that processes of the tree have mapped as code: programs and libraries."""

from __future__ import annotations

import contextlib
import errno
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
# The first looks, after the start: otherwise what a short run loads is not seen.
EARLY_NS = (100_000_000, 200_000_000, 400_000_000, 800_000_000)
PERIOD_NS = 1_000_000_000
# After this time a map is read though its process has as much code as before.
AGAIN_NS = 30_000_000_000
# Most CPU seconds a second that looking may cost; above it, looks come less often.
BUDGET = 0.001
# What may be spent beforehand, so that the first looks come early.
CREDIT_NS = 10_000_000
# If rows come as often as this, a look waits for one: the next row is farthest away then.
OFTEN_NS = 100_000_000

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
    """Executable files among lines of /proc/PID/maps (proc_pid_maps(5)), memory left out."""
    names = set()
    for line in maps.split(b"\n"):
        # Address, rights such as r-xp, offset, device, inode, name.
        fields = line.split(None, 5)
        if len(fields) == 6 and fields[1][2:3] == b"x" and fields[5].startswith(b"/"):
            names.add(fields[5])
    return {name for name in map(_file_name, names) if name}


def _file_name(written: bytes) -> bytes | None:
    """The name of a file, from the kernel's writing of it; None for memory."""
    name = written.removesuffix(_DELETED)
    if _MEMORY.fullmatch(name):
        return None
    # Programs remove POSIX shared memory at once, as a rule; what is left in /dev/shm is a file.
    if name != written and name.startswith(b"/dev/shm/"):
        return None
    # Only a line's end is written as an escape here; any other backslash is the name's own.
    return name.replace(b"\\012", b"\n")


def process_code_files(folder: Path) -> set[bytes] | None:
    """`code_files` of a process by its folder in /proc; None if it has ended.

    Raises OSError if this user may not read it.
    """
    for task in _tasks(folder):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            files = _read(task / "maps")
            if files is not None:
                return files
    return None


def _tasks(folder: Path) -> Iterator[Path]:
    # Once the first thread has ended, the process's own map is empty; other threads still have it.
    yield folder
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        yield from (folder / "task").iterdir()


def _read(maps: Path) -> set[bytes] | None:
    """Read a map in pieces, so that rows may be taken in between; None if it is empty."""
    files: set[bytes] | None = None
    rest = b""
    with maps.open("rb", buffering=0) as file:
        while piece := file.read(_CHUNK):
            lines, _, rest = (rest + piece).rpartition(b"\n")
            files = (files or set()) | code_files(lines)
    return files


def code_size(folder: Path) -> bytes | None:
    """A process's lines on its code's size, much cheaper than its map; None if there are none."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        match = _CODE_SIZE.search(KeptFile(f"{folder}/status", keep=False).read(_CHUNK))
        if match:
            return match[0]
    return None


class Mapped(BetweenRows):
    """Looks in a thread, early at first, then at most once a second, within the budget."""

    def __init__(self, row_period_ns: int) -> None:
        super().__init__(due_ns=math.inf)
        self._patience_ns = 1.5 * row_period_ns if row_period_ns <= OFTEN_NS else 0.0
        self._zero_ns = 0
        self._spent_ns = 0
        self._looks = 0
        self._files: set[bytes] = set()
        # Processes whose map was read: their code's size then, and when.
        self._seen: dict[tuple[int, int], tuple[bytes | None, int]] = {}
        # Processes whose map could not be read at the last look, and why.
        self._refused: dict[tuple[int, int], str] = {}
        self._nothing = NOT_STARTED
        # Why files may be missing, apart from what single processes refuse.
        self.trouble: list[str] = []

    def start(self, zero_ns: int) -> None:
        """Begin; the first look comes a tenth of a second after `zero_ns`, which is now."""
        self._nothing = TOO_SHORT
        self._zero_ns = zero_ns
        threading.Thread(target=self._run, name="sidecar-mapped", daemon=True).start()

    def content(self) -> dict[str, Any]:
        """Content of the file as of now; a byte that is not UTF-8 is a surrogate (PEP 383)."""
        files = sorted(name.decode("utf-8", "surrogateescape") for name in self._files.copy())
        return {
            "schema": SCHEMA,
            "files": files,
            "looks": self._looks,
            "processes": len(self._seen),
            "missing": self._missing(bool(files)),
        }

    def unfinished(self) -> dict[str, Any]:
        """Content of the file until it is written at the end."""
        return self.content() | {"missing": CUT}

    def _missing(self, has_files: bool) -> str | None:
        """Why files are missing, or all of them; None if nothing is known to be."""
        refused = Counter(self._refused.copy().values())
        counts = [
            f"processes whose map could not be read ({why}): {count}"
            for why, count in refused.items()
        ]
        reasons = self.trouble + sorted(counts)
        if reasons:
            return "; ".join(reasons)
        if has_files:
            return None
        if self._seen:
            return NO_FILE
        return _refused_to_all() or self._nothing

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
        """Look at every process; returns when the next look is due."""
        began_ns = time.monotonic_ns()
        began_cpu_ns = time.thread_time_ns()
        for key in self._processes:
            try:
                self._look_at(key, began_ns)
            except Exception as error:  # the other processes are looked at all the same
                self._refused[key] = _why_refused(error)
        self._looks += 1
        self._spent_ns += time.thread_time_ns() - began_cpu_ns
        planned_ns = began_ns + PERIOD_NS
        if self._looks < len(EARLY_NS):
            planned_ns = self._zero_ns + EARLY_NS[self._looks]
        # The budget grows with time: by then as much has been earned as was spent.
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
        files = process_code_files(folder)
        stat = linux.read_stat(pid)
        # With `hidepid=2` a hidden process looks as if it did not exist; its clock still answers.
        if stat is None and linux.leads_a_process(pid):
            self._refused[key] = HIDES
        # The start time tells whether the pid has become another process's meanwhile.
        if files is not None and stat is not None and stat.start == start:
            self._files |= files
            self._seen[key] = (size, now_ns)
            self._refused.pop(key, None)


def _why_refused(error: Exception) -> str:
    # Without `hidepid` another user's files in /proc are there, and refused by EACCES.
    if isinstance(error, OSError) and error.errno == errno.EPERM:
        return HIDES
    return reason(error)


def _refused_to_all() -> str | None:
    """Why no process's map can be read here, not even this one's; None if it can."""
    try:
        os.close(os.open("/proc/self/maps", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return f"/proc/PID/maps: {reason(error)}"
    return None
