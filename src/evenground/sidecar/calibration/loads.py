"""Known loads: small programs that write down what the kernel accounts them, as truth for a sampler beside.

Started by file name, `python -I -S loads.py NAME TRUTH_FILE KEY=NUMBER ...`, and standing alone for that.
The truth is one JSON object. A load is quiet for `lead_s`, works from `begin_ns` to `end_ns`, is quiet again
until `final_ns` (all monotonic) and leaves without tidying up. `accounts` holds, for each process, moments
and what the kernel accounted it then: CPU nanoseconds, waited-for children included, or bytes.
`own_cpu_ns` is all CPU of its tree that the load knows of at the end; `parent` is the CPU of the process
that started it, at begin and end of the work.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

PR_SET_PDEATHSIG: Final = 1
LEAD_S: Final = 0.22
HOLD_S: Final = 0.25
MARK_NS: Final = 5_000_000
MIB: Final = 2**20
SHARED_BYTES: Final = 64 * MIB
PLATEAUS_BYTES: Final = (64 * MIB, 128 * MIB, 192 * MIB, 96 * MIB)
STEP_BYTES: Final = 32 * MIB
STEP_QUIET_S: Final = 0.13
STEP_S: Final = 0.17
DUTY_NS: Final = 40_000_000

Truth = dict[str, Any]
Marks = list[tuple[int, int]]


def mark(marks: Marks) -> int:
    """Note this moment and the CPU nanoseconds of this process and its waited-for children; the moment."""
    now_ns = time.monotonic_ns()
    marks.append((now_ns, known_cpu_ns()))
    return now_ns


def known_cpu_ns() -> int:
    """CPU of this process, of all children it has waited for, and of those they waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    waited_us = round(usage.ru_utime * 1e6) + round(usage.ru_stime * 1e6)
    return time.process_time_ns() + 1000 * waited_us


def parent_mark() -> tuple[int, int]:
    """This moment and the CPU nanoseconds of the process that started the load, its threads included."""
    return time.monotonic_ns(), time.clock_gettime_ns((~os.getppid() << 3) | 2)


def sleep_until(moment_ns: int) -> None:
    """Sleep to an absolute monotonic moment."""
    time.sleep(max(0, moment_ns - time.monotonic_ns()) / 1e9)


def burn_until(moment_ns: int) -> Marks:
    """Keep one core busy until a monotonic moment; a mark every 5 ms."""
    marks: Marks = []
    next_ns = mark(marks) + MARK_NS
    while (now_ns := time.monotonic_ns()) < moment_ns:
        if now_ns >= next_ns:
            next_ns = mark(marks) + MARK_NS
    mark(marks)
    return marks


def burn_cpu(cpu_ns: int) -> None:
    """Keep one core busy until this process has used `cpu_ns` more."""
    until_ns = time.process_time_ns() + cpu_ns
    while time.process_time_ns() < until_ns:
        pass


def end_with_parent() -> None:
    """Ask the kernel to kill this process when its parent is gone: a busy load must not outlive its test."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def in_child(work: Callable[[], object], orphan: bool = False) -> int:
    """Fork a process that does `work` and sends what it returns; the file descriptor to read it from.

    An orphan leads a session of its own, and the process between it and this one has ended.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        if orphan and os.fork():
            os._exit(0)
        if orphan:
            os.setsid()
        else:
            end_with_parent()
        with os.fdopen(writer, "w") as file:
            json.dump(work(), file)
        os._exit(0)
    os.close(writer)
    if orphan:
        os.waitpid(pid, 0)
    return reader


def answer(reader: int) -> Any:
    """What the child of `in_child` sent; waits until it has, but not for its end."""
    with os.fdopen(reader) as file:
        return json.load(file)


class Window:
    """The quiet before the work, the work's two ends, and the quiet after it."""

    def __init__(self, lead_s: float) -> None:
        """Sleep the lead, then begin."""
        self.marks: Marks = []
        time.sleep(lead_s)
        self._parent = [parent_mark()]
        self.begin_ns = mark(self.marks)

    def close(self, accounts: list[Marks] | None = None, lost_ns: int = 0, **more: object) -> Truth:
        """End the work, hold, and put the truth together.

        `accounts` are those of other processes; `lost_ns` is the CPU of those that nobody here can wait for.
        """
        end_ns = mark(self.marks)
        self._parent.append(parent_mark())
        time.sleep(HOLD_S)
        final_ns = mark(self.marks)
        wait_for_children()
        return {
            "begin_ns": self.begin_ns,
            "end_ns": end_ns,
            "final_ns": final_ns,
            "accounts": [self.marks, *(accounts or [])],
            "parent": self._parent,
            "lost_ns": lost_ns,
            **more,
        }


def wait_for_children() -> None:
    """Wait for every child, so that their CPU is accounted to this process."""
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return


def idle(seconds: float, lead_s: float = LEAD_S) -> Truth:
    """Does nothing."""
    window = Window(lead_s)
    time.sleep(seconds)
    return window.close()


def timed_loop(rate_hz: float, seconds: float, lead_s: float = LEAD_S) -> Truth:
    """Sleeps to deadline k at `begin_ns + k / rate`, and nothing else; `times_ns` are its wakings."""
    window = Window(lead_s)
    times_ns: list[int] = []
    for number in range(1, int(rate_hz * seconds) + 1):
        sleep_until(window.begin_ns + int(number * 1e9 / rate_hz))
        times_ns.append(time.monotonic_ns())
    return window.close(times_ns=times_ns)


def half_core(seconds: float, lead_s: float = LEAD_S) -> Truth:
    """Half of one core: 20 ms of CPU out of every 40 ms."""
    window = Window(lead_s)
    for start_ns in range(window.begin_ns, window.begin_ns + int(seconds * 1e9), DUTY_NS):
        sleep_until(start_ns)
        mark(window.marks)
        burn_cpu(DUTY_NS // 2)
        mark(window.marks)
    return window.close()


def full_cores(processes: float, seconds: float, lead_s: float = LEAD_S) -> Truth:
    """Busy processes, each for all of the time."""
    window = Window(lead_s)
    until_ns = window.begin_ns + int(seconds * 1e9)
    readers = [in_child(lambda: burn_until(until_ns)) for _ in range(int(processes))]
    return window.close([answer(reader) for reader in readers])


def short_children(children: float, cpu_s: float, lead_s: float = LEAD_S) -> Truth:
    """Children one after the other, each burning `cpu_s` and waited for."""
    window = Window(lead_s)
    for _ in range(int(children)):
        if (pid := os.fork()) == 0:
            burn_cpu(int(cpu_s * 1e9))
            os._exit(0)
        os.waitpid(pid, 0)
        mark(window.marks)
    return window.close()


def orphan(seconds: float, lead_s: float = LEAD_S) -> Truth:
    """A process that left its parents and their session is busy; its account is the last one."""
    window = Window(lead_s)
    marks = answer(in_child(lambda: burn_until(window.begin_ns + int(seconds * 1e9)), orphan=True))
    return window.close([marks], lost_ns=marks[-1][1])


def filled(size: int, flags: int) -> mmap.mmap:
    """Anonymous memory with every page touched."""
    memory = mmap.mmap(-1, size, flags=flags | mmap.MAP_ANONYMOUS)
    for page in range(0, size, mmap.PAGESIZE):
        memory[page] = 1
    return memory


def memory_steps(seconds: float, lead_s: float = LEAD_S) -> Truth:
    """Holds each of PLATEAUS_BYTES for its part of the time; `plateaus` are its VmRSS, `peak` is VmHWM."""
    window = Window(lead_s)
    plateaus: list[Marks] = []
    for size in PLATEAUS_BYTES:
        memory = filled(size, mmap.MAP_PRIVATE)
        before = (time.monotonic_ns(), kernel_bytes("status", "VmRSS"))
        time.sleep(seconds / len(PLATEAUS_BYTES))
        plateaus.append([before, (time.monotonic_ns(), kernel_bytes("status", "VmRSS"))])
        memory.close()
    return window.close(plateaus=plateaus, peak_bytes=kernel_bytes("status", "VmHWM"))


def kernel_bytes(file: str, key: str) -> int:
    """One value in bytes of /proc/self/FILE; LookupError where the kernel gives none."""
    for line in Path(f"/proc/self/{file}").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"/proc/self/{file} has no {key}")


def shared_memory(processes: float, seconds: float, lead_s: float = LEAD_S) -> Truth:
    """Processes that hold the same memory, all pages touched; `pss` are their Pss as each read its own."""
    window = Window(lead_s)
    memory = filled(SHARED_BYTES, mmap.MAP_SHARED)
    ready, until_ns = os.pipe(), time.monotonic_ns() + int((0.3 + seconds) * 1e9)

    def hold() -> Marks:
        touched = sum(memory[page] for page in range(0, SHARED_BYTES, mmap.PAGESIZE))
        os.write(ready[1], b"." * (touched > 0))
        return pss_until(until_ns)

    readers = [in_child(hold) for _ in range(int(processes) - 1)]
    waiting = len(readers)
    while waiting:
        waiting -= len(os.read(ready[0], waiting))
    begin_ns = time.monotonic_ns()
    pss = [pss_until(until_ns), *map(answer, readers)]
    return window.close(pss=pss, shared_ns=[begin_ns, until_ns])


def pss_until(moment_ns: int) -> Marks:
    """This process's Pss in bytes, four times a second until a monotonic moment."""
    marks: Marks = []
    while True:
        marks.append((time.monotonic_ns(), kernel_bytes("smaps_rollup", "Pss")))
        if marks[-1][0] >= moment_ns:
            return marks
        sleep_until(min(moment_ns, marks[-1][0] + 250_000_000))


def steps(count: float, lead_s: float = LEAD_S) -> Truth:
    """Memory and CPU that jump up, in turns, at moments that drift against any sampler's.

    Quiet and step are longer than a row at 10 Hz, so that each has a row of its own.
    `memory` holds [begin, all there, given back, bytes], `cpu` holds [begin, end, CPU nanoseconds].
    """
    window = Window(lead_s)
    memory, cpu = [], []
    for number in range(int(count)):
        time.sleep(STEP_QUIET_S + 0.013 * (number % 7))
        memory.append(memory_step())
        time.sleep(STEP_QUIET_S)
        begin_ns, used_ns = time.monotonic_ns(), time.process_time_ns()
        burn_until(begin_ns + int(STEP_S * 1e9))
        cpu.append([begin_ns, time.monotonic_ns(), time.process_time_ns() - used_ns])
    return window.close(memory=memory, cpu=cpu)


def memory_step() -> list[int]:
    """Take STEP_BYTES, hold them, give them back; the three moments, and the bytes."""
    begin_ns = time.monotonic_ns()
    memory = filled(STEP_BYTES, mmap.MAP_PRIVATE)
    there_ns = time.monotonic_ns()
    time.sleep(STEP_S)
    gone_ns = time.monotonic_ns()
    memory.close()
    return [begin_ns, there_ns, gone_ns, STEP_BYTES]


LOADS: Final[dict[str, Callable[..., Truth]]] = {
    load.__name__: load
    for load in (
        idle,
        timed_loop,
        half_core,
        full_cores,
        short_children,
        orphan,
        memory_steps,
        shared_memory,
        steps,
    )
}


def main(name: str, truth: str, *numbers: str) -> None:
    """Run one load and write its truth; what it cannot find out stands there as `error`.

    `own_cpu_ns` is read as late as can be.
    """
    given = {key: float(value) for key, value in (word.split("=") for word in numbers)}
    try:
        content = LOADS[name](**given)
    except (LookupError, OSError) as error:
        content = {"error": str(error)}
    text = json.dumps(content).removesuffix("}")
    own_cpu_ns = known_cpu_ns() + content.get("lost_ns", 0)
    Path(truth).write_text(f'{text}, "own_cpu_ns": {own_cpu_ns}}}', encoding="utf-8")
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
