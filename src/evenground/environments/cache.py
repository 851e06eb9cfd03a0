"""The cache: the folder of environments and images, and where tools keep their own caches."""

from __future__ import annotations

import fcntl
import os
import pwd
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from evenground.errors import EvengroundError

CACHE = "EVENGROUND_CACHE"
TOOLS = "XDG_CACHE_HOME"
ELSEWHERE = f"point {CACHE} to a folder that can be written"


def cache_dir(variables: Mapping[str, str] = os.environ) -> Path:
    """Our folder: EVENGROUND_CACHE, or one in the user's caches.

    Raises EvengroundError if there is no home folder.
    """
    if folder := variables.get(CACHE):
        return Path(folder).absolute()
    try:
        return _of_tools(variables) / "evenground"
    except KeyError:
        what = "there is no home folder to keep environments in"
        raise EvengroundError(what, CACHE, ELSEWHERE) from None


def _of_tools(variables: Mapping[str, str]) -> Path:
    """The user's folder for caches; raises KeyError for a user without a home."""
    if folder := variables.get(TOOLS):
        return Path(folder).absolute()
    home = variables.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    return Path(home, ".cache").absolute()


def with_cache(env: Mapping[str, str]) -> dict[str, str]:
    """`env` with a folder for tools' caches in ours if the user's own cannot be written.

    EVENGROUND_CACHE is absolute in the result: the command may run in another folder.
    """
    result = dict(env)
    try:
        caches = _of_tools(os.environ)
        caches.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=caches):
            pass
    except (OSError, KeyError):
        result[TOOLS] = str(cache_dir() / "tools")
        # Else ours would move with it.
        result[CACHE] = str(cache_dir())
    if env.get(CACHE):
        result[CACHE] = str(cache_dir())
    return result


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the right to build at `path`: two invocations would take each other's files away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        # Some file systems have no locks.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
