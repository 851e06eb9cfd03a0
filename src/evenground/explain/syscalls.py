"""Names of the system calls in which a thread can wait; other numbers stay numbers.

`restart_syscall`: a wait with a time limit that was interrupted, by py-spy as an example, and goes on.
"""

from __future__ import annotations

import platform
from typing import Final

RESTARTED: Final = "restart_syscall"
# arch/x86/entry/syscalls/syscall_64.tbl
_X86_64: Final = {
    0: "read",
    1: "write",
    7: "poll",
    9: "mmap",
    10: "mprotect",
    11: "munmap",
    16: "ioctl",
    17: "pread64",
    18: "pwrite64",
    19: "readv",
    20: "writev",
    23: "select",
    28: "madvise",
    34: "pause",
    35: "nanosleep",
    42: "connect",
    43: "accept",
    44: "sendto",
    45: "recvfrom",
    46: "sendmsg",
    47: "recvmsg",
    61: "wait4",
    65: "semop",
    70: "msgrcv",
    72: "fcntl",
    73: "flock",
    74: "fsync",
    75: "fdatasync",
    128: "rt_sigtimedwait",
    130: "rt_sigsuspend",
    202: "futex",
    208: "io_getevents",
    219: RESTARTED,
    220: "semtimedop",
    230: "clock_nanosleep",
    232: "epoll_wait",
    243: "mq_timedreceive",
    247: "waitid",
    270: "pselect6",
    271: "ppoll",
    281: "epoll_pwait",
    288: "accept4",
    299: "recvmmsg",
}
# include/uapi/asm-generic/unistd.h
_AARCH64: Final = {
    4: "io_getevents",
    22: "epoll_pwait",
    25: "fcntl",
    29: "ioctl",
    32: "flock",
    63: "read",
    64: "write",
    65: "readv",
    66: "writev",
    67: "pread64",
    68: "pwrite64",
    72: "pselect6",
    73: "ppoll",
    82: "fsync",
    83: "fdatasync",
    95: "waitid",
    98: "futex",
    101: "nanosleep",
    115: "clock_nanosleep",
    128: RESTARTED,
    133: "rt_sigsuspend",
    137: "rt_sigtimedwait",
    183: "mq_timedreceive",
    188: "msgrcv",
    192: "semtimedop",
    193: "semop",
    202: "accept",
    203: "connect",
    206: "sendto",
    207: "recvfrom",
    211: "sendmsg",
    212: "recvmsg",
    215: "munmap",
    222: "mmap",
    226: "mprotect",
    233: "madvise",
    242: "accept4",
    243: "recvmmsg",
    260: "wait4",
}
# Since Linux 5.1 new calls have the same number everywhere.
_BOTH: Final = {426: "io_uring_enter", 441: "epoll_pwait2", 449: "futex_waitv", 455: "futex_wait"}
_NAMES: Final = {"x86_64": _X86_64 | _BOTH, "aarch64": _AARCH64 | _BOTH}


def syscall_name(number: int, machine: str = platform.machine()) -> str:
    """The call of that number on a processor of the kind `machine`; `system call N` where it has no name."""
    return _NAMES.get(machine, _BOTH).get(number, f"system call {number}")
