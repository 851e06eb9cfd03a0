"""Names of the system calls in which a thread can wait; other numbers stay numbers."""

from __future__ import annotations

import platform
from typing import Final

# Name, and its number on x86_64 (arch/x86/entry/syscalls/syscall_64.tbl in Linux's sources) and on
# aarch64 (include/uapi/asm-generic/unistd.h).
_TABLE: Final = """\
read 0 63
write 1 64
poll 7 -
mmap 9 222
mprotect 10 226
munmap 11 215
ioctl 16 29
pread64 17 67
pwrite64 18 68
readv 19 65
writev 20 66
select 23 -
madvise 28 233
pause 34 -
nanosleep 35 101
connect 42 203
accept 43 202
sendto 44 206
recvfrom 45 207
sendmsg 46 211
recvmsg 47 212
wait4 61 260
semop 65 193
msgrcv 70 188
fcntl 72 25
flock 73 32
fsync 74 82
fdatasync 75 83
rt_sigtimedwait 128 137
rt_sigsuspend 130 133
futex 202 98
io_getevents 208 4
restart_syscall 219 128
semtimedop 220 192
clock_nanosleep 230 115
epoll_wait 232 -
mq_timedreceive 243 183
waitid 247 95
pselect6 270 72
ppoll 271 73
epoll_pwait 281 22
accept4 288 242
recvmmsg 299 243
io_uring_enter 426 426
epoll_pwait2 441 441
futex_waitv 449 449
futex_wait 455 455
"""


def _names(column: int) -> dict[str, str]:
    """Return number -> name, of the numbers in a column of the table."""
    rows = [line.split() for line in _TABLE.splitlines()]
    return {row[column]: row[0] for row in rows}


_NAMES: Final = {"x86_64": _names(1), "aarch64": _names(2)}


def syscall_name(number: str, machine: str = platform.machine()) -> str:
    """Return the name of a system call on a processor like `x86_64`; `system call N` if unknown."""
    return _NAMES.get(machine, {}).get(number, f"system call {number}")
