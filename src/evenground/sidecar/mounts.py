"""What is mounted where, from /proc/self/mountinfo."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

# The kernel writes blanks, tabs, line ends and backslashes of a path as octal numbers.
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of mountinfo (proc(5)): which part of which file system is mounted where."""

    device: str
    """`major:minor`."""
    root: str
    """The folder or file of the file system that is mounted."""
    point: str
    kind: str = ""
    """Type of the file system, e.g. `ext4` or `nfs4`."""
    options: str = ""
    """Those of the file system, separated by commas."""

    def inside(self, path: str) -> list[str]:
        """The names of the folders from `point` to a path of the file system."""
        whole = PurePosixPath(path)
        # In a container only a part of the file system may be mounted.
        if whole.is_relative_to(self.root):
            whole = whole.relative_to(self.root)
        return [name for name in whole.parts if name != "/"]


def read_mounts(mountinfo: Path) -> list[Mount]:
    """Read every mount that a process sees, in order; raises OSError or ValueError."""
    lines = mountinfo.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    mounts: list[Mount] = []
    for line in lines:
        # Before the hyphen are optional fields, of which a line has none or several.
        before, _, after = line.partition(" - ")
        _, _, device, root, point = before.split(" ")[:5]
        kind, _, source_and_options = after.partition(" ")
        mounts.append(
            Mount(
                device=device,
                root=_unescaped(root),
                point=_unescaped(point),
                kind=kind,
                options=source_and_options.rpartition(" ")[2],
            )
        )
    return mounts


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)
