"""Known loads: programs that write down what the kernel accounts them, as truth for a sampler.

Started by file name, `python -I -S loads.py NAME TRUTH_FILE KEY=NUMBER ...`, and importing nothing
of this package for that. The truth is one JSON object. A load is quiet for `lead_s`, works from
`begin_ns` to `end_ns`, is quiet again until `final_ns` (all monotonic) and exits without clean-up.
`accounts` holds, for each process, moments and what the kernel accounted it then: CPU nanoseconds,
with children it waited for, or bytes. `own_cpu_ns` is all CPU of its tree that the load knows at
the end; `parent` is the CPU of the process that started it, at begin and end of the work.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
# Quiet before and after the work: at 10 Hz at least two rows.
LEAD_S = 0.22
HOLD_S = 0.25
# Between two marks of a busy process.
MARK_NS = 5_000_000
MIB = 2**20
SHARED_BYTES = 64 * MIB
# The last one is lower, so that the peak is not simply the last value.
PLATEAUS_BYTES = (64 * MIB, 128 * MIB, 192 * MIB, 96 * MIB)
STEP_BYTES = 32 * MIB
# Longer than a row at 10 Hz, so that each quiet and each step has a row of its own.
STEP_QUIET_S = 0.13
STEP_S = 0.17
DUTY_NS = 40_000_000

Truth = dict[str, Any]
Marks = list[tuple[int, int]]


def mark(marks: Marks) -> int:
    """Note this moment and the CPU of this process and its children; return the moment."""
    now_ns = time.monotonic_ns()
    marks.append((now_ns, known_cpu_ns()))
    return now_ns


def known_cpu_ns() -> int:
    """CPU of this process, of all children that it has waited for, and of those they waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    waited_us = round(usage.ru_utime * 1e6) + round(usage.ru_stime * 1e6)
    return time.process_time_ns() + 1000 * waited_us


def parent_mark() -> tuple[int, int]:
    """This moment, and the CPU nanoseconds of the process that started the load."""
    # The clock of all threads of a process, as clock_getcpuclockid(3) builds its id.
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
    """Ask the kernel to kill this process with its parent: no busy load must outlive its test."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def in_child(work: Callable[[], object], orphan: bool = False) -> int:
    """Fork a process that does `work`; return the file descriptor that its result can be read from.

    An orphan leads its own session, and the process between it and this one has ended.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        # The process between ends at once: its child is then no child of this one.
        if orphan and os.fork():
            os._exit(0)
        if orphan:
            os.setsid()
        else:
            end_with_parent()
        with os.fdopen(writer, "w") as file:
            json.dump(work(), file)
        # Without the clean-up of the parent, of which this process is a copy.
        os._exit(0)
    os.close(writer)
    if orphan:
        os.waitpid(pid, 0)
    return reader


def answer(reader: int) -> Any:
    """Wait for the result of a process of `in_child`, but not for its end."""
    with os.fdopen(reader) as file:
        return json.load(file)


class Window:
    """The quiet before the work, the work's two ends, and the quiet after it."""

    def __init__(self, lead_s: float) -> None:
        """Sleep for the lead, then begin."""
        self.marks: Marks = []
        time.sleep(lead_s)
        self._parent = [parent_mark()]
        self.begin_ns = mark(self.marks)

    def close(self, accounts: Sequence[Marks] = (), lost_ns: int = 0, **more: object) -> Truth:
        """End the work, hold, and put the truth together.

        `accounts` are those of other processes; `lost_ns` is the CPU of those that this process
        cannot wait for.
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
            "accounts": [self.marks, *accounts],
            "parent": self._parent,
            "lost_ns": lost_ns,
            **more,
        }


def wait_for_children() -> None:
    """Wait for every child, so that their CPU is accounted to this process."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def idle(window: Window, seconds: float) -> Truth:
    """Do nothing."""
    time.sleep(seconds)
    return window.close()


def timed_loop(window: Window, rate_hz: float, seconds: float) -> Truth:
    """Sleep until each deadline `begin_ns + k / rate_hz`; `times_ns` are the moments of waking."""
    times_ns: list[int] = []
    for number in range(1, int(rate_hz * seconds) + 1):
        sleep_until(window.begin_ns + int(number * 1e9 / rate_hz))
        times_ns.append(time.monotonic_ns())
    return window.close(times_ns=times_ns)


def half_core(window: Window, seconds: float) -> Truth:
    """Use half of one core: 20 ms of CPU out of every 40 ms."""
    for start_ns in range(window.begin_ns, window.begin_ns + int(seconds * 1e9), DUTY_NS):
        sleep_until(start_ns)
        mark(window.marks)
        burn_cpu(DUTY_NS // 2)
        mark(window.marks)
    return window.close()


def full_cores(window: Window, processes: float, seconds: float) -> Truth:
    """Keep processes busy, each for all of the time."""
    until_ns = window.begin_ns + int(seconds * 1e9)
    readers = [in_child(lambda: burn_until(until_ns)) for _ in range(int(processes))]
    return window.close([answer(reader) for reader in readers])


def short_children(window: Window, children: float, cpu_s: float) -> Truth:
    """Start children one after the other, each using `cpu_s`, and wait for each."""
    for _ in range(int(children)):
        pid = os.fork()
        if pid == 0:
            burn_cpu(int(cpu_s * 1e9))
            os._exit(0)
        os.waitpid(pid, 0)
        mark(window.marks)
    return window.close()


def orphan(window: Window, seconds: float) -> Truth:
    """Keep an orphan busy, outside its parents' session; its account is the last one."""
    marks = answer(in_child(lambda: burn_until(window.begin_ns + int(seconds * 1e9)), orphan=True))
    return window.close([marks], lost_ns=marks[-1][1])


def filled(size: int, flags: int) -> mmap.mmap:
    """Anonymous memory with every page touched."""
    memory = mmap.mmap(-1, size, flags=flags | mmap.MAP_ANONYMOUS)
    # A page takes memory only once it is written.
    for page in range(0, size, mmap.PAGESIZE):
        memory[page] = 1
    return memory


def memory_steps(window: Window, seconds: float) -> Truth:
    """Hold each of PLATEAUS_BYTES for a part of the time; `plateaus` are VmRSS, `peak` is VmHWM."""
    plateaus: list[Marks] = []
    for size in PLATEAUS_BYTES:
        memory = filled(size, mmap.MAP_PRIVATE)
        before = (time.monotonic_ns(), kernel_bytes("status", "VmRSS"))
        time.sleep(seconds / len(PLATEAUS_BYTES))
        plateaus.append([before, (time.monotonic_ns(), kernel_bytes("status", "VmRSS"))])
        memory.close()
    return window.close(plateaus=plateaus, peak_bytes=kernel_bytes("status", "VmHWM"))


def kernel_bytes(file: str, key: str) -> int:
    """One value of /proc/self/FILE, in bytes; raises LookupError if the kernel has none."""
    for line in Path(f"/proc/self/{file}").read_text().splitlines():
        if line.startswith(key + ":"):
            # The unit that these files call kB is 1024 bytes.
            return int(line.split()[1]) * 1024
    raise LookupError(f"/proc/self/{file} has no {key}")


def shared_memory(window: Window, processes: float, seconds: float) -> Truth:
    """Hold the same memory in several processes; `pss` is the Pss of each, as it read it itself."""
    memory = filled(SHARED_BYTES, mmap.MAP_SHARED)
    ready, until_ns = os.pipe(), time.monotonic_ns() + int((0.3 + seconds) * 1e9)

    def hold() -> Marks:
        touched = sum(memory[page] for page in range(0, SHARED_BYTES, mmap.PAGESIZE))
        # A page counts for a process only once it has touched it.
        os.write(ready[1], b"." * (touched > 0))
        return pss_until(until_ns)

    readers = [in_child(hold) for _ in range(int(processes) - 1)]
    waiting = len(readers)
    while waiting:
        waiting -= len(os.read(ready[0], waiting))
    begin_ns = time.monotonic_ns()
    pss = [pss_until(until_ns)]
    pss += [answer(reader) for reader in readers]
    return window.close(pss=pss, shared_ns=[begin_ns, until_ns])


def pss_until(moment_ns: int) -> Marks:
    """Read this process's Pss in bytes, four times a second until a monotonic moment."""
    marks: Marks = []
    while True:
        marks.append((time.monotonic_ns(), kernel_bytes("smaps_rollup", "Pss")))
        if marks[-1][0] >= moment_ns:
            return marks
        sleep_until(min(moment_ns, marks[-1][0] + 250_000_000))


def steps(window: Window, count: float) -> Truth:
    """Let memory and CPU jump up, in turns, at moments that drift against those of any sampler.

    `memory` holds [begin, all there, given back, bytes], `cpu` holds [begin, end, CPU nanoseconds].
    """
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
    """Allocate STEP_BYTES, hold and free them; return the three moments, and the bytes."""
    begin_ns = time.monotonic_ns()
    memory = filled(STEP_BYTES, mmap.MAP_PRIVATE)
    there_ns = time.monotonic_ns()
    time.sleep(STEP_S)
    gone_ns = time.monotonic_ns()
    memory.close()
    return [begin_ns, there_ns, gone_ns, STEP_BYTES]


LOADS: dict[str, Callable[..., Truth]] = {
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


def main(name: str, truth: str, *settings: str) -> None:
    """Run one load and write its truth, or as `error` what it cannot read on this machine."""
    numbers: dict[str, float] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        numbers[key] = float(value)
    lead_s = numbers.pop("lead_s", LEAD_S)
    try:
        content = LOADS[name](Window(lead_s), **numbers)
    except (LookupError, OSError) as error:
        content = {"error": str(error)}
    text = json.dumps(content).removesuffix("}")
    # Read as late as possible: making the text takes CPU, too.
    own_cpu_ns = known_cpu_ns() + content.get("lost_ns", 0)
    Path(truth).write_text(f'{text}, "own_cpu_ns": {own_cpu_ns}}}', encoding="utf-8")
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
