"""`envs/NAME.txt`: which versions of which packages an environment is locked to."""

from __future__ import annotations

import re

# A pin: name, version, and what begins a marker, as `; sys_platform == "linux"`.
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)(\s*;)?", re.M)
Lock = dict[str, set[str]]
"""Package to the versions allowed; "" is one of them where it is wanted on some machines only."""


def parse_lock(text: str) -> Lock:
    """What a hash-locked requirements file allows, by packages' normalised names."""
    found: Lock = {}
    for name, version, marker in _PIN.findall(text):
        allowed = found.setdefault(normalised(name), set())
        allowed.add(version)
        if marker:
            allowed.add("")
    return found


def normalised(name: str) -> str:
    """A package's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()
