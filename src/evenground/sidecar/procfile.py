"""A file below /proc or /sys that is read again and again."""

from __future__ import annotations

import os


class KeptFile:
    """A file that stays open between readings, or is opened for each when descriptors are scarce.

    A kept descriptor belongs to its process, not to the pid: reading fails once that process is
    gone, even if a new process has the same pid.
    """

    def __init__(self, path: str, keep: bool) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if keep else -1

    def read(self, size: int = 1024) -> bytes:
        """The first `size` bytes as they are now; OSError if the file or its process is gone."""
        if self._fd >= 0:
            return os.pread(self._fd, size, 0)
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(fd, size, 0)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
