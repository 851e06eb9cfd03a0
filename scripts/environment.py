#!/usr/bin/env python3
"""Build one locked Python environment in the cache, or say where it is.

Standard library only, and so is what it imports.

An environment is a pure function of its lock and of Python's minor version: it stands at
``CACHE/envs/NAME-HASH`` where HASH is the start of the sha256 of ``envs/NAME.txt`` and that version. So a
changed lock gives a new folder, a reverted one finds the old folder again, and working copies share what they
have in common.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

# Where Python is told to leave a script's folder out (PYTHONSAFEPATH), its neighbours are found all the same.
sys.path.insert(0, str(Path(__file__).resolve().parent))
import _path  # noqa: F401
import site_settings
from evenground.disk import bytes_of_environment

ROOT = Path(__file__).resolve().parents[1]
MARKER = "evenground-complete"
WHOLE = ROOT / "scripts/whole.py"
# Published as source only, and pure Python. All else would be compiled for an hour, or fail to.
FROM_SOURCE = ("antlr4-python3-runtime", "connection-pool", "jsonpyth")
MENDS = "docs/environments.md"
ELSEWHERE = "point EVENGROUND_CACHE to a folder that can be written"


def caches() -> Path:
    """Where this user's programs keep what can be had again; KeyError for a user without a home."""
    given = os.environ.get("XDG_CACHE_HOME")
    if given:
        return Path(given).absolute()
    home = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    return Path(home, ".cache").absolute()


def cache_dir() -> Path:
    """Folder for environments and locks: EVENGROUND_CACHE, else one in the user's cache folder."""
    given = os.environ.get("EVENGROUND_CACHE")
    try:
        return Path(given).absolute() if given else caches() / "evenground"
    except KeyError:
        raise SystemExit(
            f"error: there is no home folder to keep environments in: {ELSEWHERE}"
        ) from None


def lock_file(name: str) -> Path:
    """The hash-locked requirements of environment `name`; SystemExit when there is none."""
    path = ROOT / "envs" / f"{name}.txt"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.txt")))
        raise SystemExit(f"error: no environment '{name}' (envs/{name}.txt); there are: {known}")
    return path


def env_dir(name: str) -> Path:
    """Folder of environment `name` for this Python; it need not exist yet."""
    return cache_dir() / "envs" / folder_name(lock_file(name))


def folder_name(lock: Path) -> str:
    """`NAME-HASH`, of the lock's content and this Python's minor version."""
    content = lock.read_bytes() + "python{}.{}".format(*sys.version_info).encode()
    return f"{lock.stem}-{hashlib.sha256(content).hexdigest()[:12]}"


def build(name: str) -> Path:
    """Make environment `name` whole and return its folder; one that is whole is kept."""
    folder = env_dir(name)
    if not fault(folder):
        return folder
    need_free_space(folder, bytes_of_environment(name))
    with alone(folder):
        # Another call may have built it meanwhile.
        found = fault(folder)
        if (folder / MARKER).is_file() and found:
            print(f"the environment '{name}' is broken: {found}", file=sys.stderr, flush=True)
        if found:
            make(name, folder)
    return folder


def fault(folder: Path) -> str:
    """Why the environment in `folder` cannot be used, in one line; empty where it can."""
    if not (folder / MARKER).is_file():
        return "it is not complete"
    return ask_whole(folder, "look", folder / MARKER)[1]


def ask_whole(folder: Path, *words: str | Path, home: str = "") -> tuple[str, str]:
    """What `whole.py` prints of the environment in `folder`, and what it finds wrong there."""
    command = [str(folder / "bin/python"), "-I", str(WHOLE), *map(str, words)]
    env = site_settings.for_tools(os.environ)
    if home:
        env["HOME"] = home
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, errors="replace")
    except OSError as error:
        return "", f"its Python cannot be started: {error.strerror}"
    if done.returncode < 0:
        return "", f"its Python was ended by signal {-done.returncode}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    said = lines[-1].strip() if lines else f"exit code {done.returncode}"
    return done.stdout, said if done.returncode else ""


def forget_broken(names: Iterable[str]) -> None:
    """Take the marker from those of `names` that have one and are broken: they are built anew."""
    for name in names:
        folder = env_dir(name)
        found = fault(folder) if (folder / MARKER).is_file() else ""
        if found:
            print(f"the environment '{name}' is broken: {found}", file=sys.stderr, flush=True)
            (folder / MARKER).unlink()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the right to build in `folder`: two calls would take each other's files away."""
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        # Some file systems have no locks.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(name: str, folder: Path) -> None:
    """Build environment `name` in `folder`, from nothing; it is marked when its packages work."""
    print(f"building the environment '{name}' (once per lock) ...", file=sys.stderr, flush=True)
    (folder / MARKER).unlink(missing_ok=True)
    if name == "uv":
        install_with_pip(folder)
    else:
        install_with_uv(name, folder)
    with tempfile.TemporaryDirectory(prefix="evenground-home-") as home:
        # Some packages write into the home folder when they are imported.
        packages, found = ask_whole(folder, "list", lock_file(name), home=home)
    if found:
        raise SystemExit(
            f"error: the environment '{name}' does not work ({folder}): {found}: see {MENDS}"
        )
    isolate_commands(folder)
    beside = folder / f".{MARKER}"
    beside.write_text(packages.splitlines()[-1] + "\n", encoding="utf-8")
    beside.rename(folder / MARKER)


def install_with_pip(folder: Path) -> None:
    """Install uv, the one package that Python's own means must do for."""
    if importlib.util.find_spec("ensurepip") is None:
        raise SystemExit(f"error: {sys.executable} has no ensurepip: apt install python3-venv")
    venv = [sys.executable, "-I", "-m", "venv", "--clear", str(folder)]
    run("make an environment for uv", venv, site_settings.for_tools(os.environ))
    pip = [str(folder / "bin/python"), "-I", "-m", "pip"]
    words = ["install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    words += ["-r", str(lock_file("uv"))]
    run("install uv", [*pip, *words], site_settings.variables_for_pip(site_settings.pip_settings()))


def install_with_uv(name: str, folder: Path) -> None:
    """Install the lock of environment `name` into `folder`."""
    lock, python = str(lock_file(name)), str(folder / "bin/python")
    sync = [
        "pip",
        "sync",
        "--quiet",
        "--require-hashes",
        "--python",
        python,
        "--only-binary",
        ":all:",
    ]
    sync += [word for package in FROM_SOURCE for word in ("--no-binary", package)]
    what = f"build the environment '{name}'"
    run_uv(
        what,
        ["venv", "--quiet", "--no-project", "--clear", "--python", sys.executable, str(folder)],
    )
    # Trainings write no byte code: without it each would compile its framework anew.
    run_uv(what, [*sync, "--compile-bytecode", lock])
    run_uv(what, [*sync, "--check", lock])


def run_uv(what: str, words: list[str]) -> None:
    """Call uv to do `what`, with the site's indexes, proxies and certificates and nothing else of it."""
    uv, settings = build("uv") / "bin/uv", site_settings.pip_settings()
    env = with_cache(site_settings.variables_for_uv(settings))
    with tempfile.TemporaryDirectory(prefix="evenground-uv-") as folder:
        file = Path(folder, "uv.toml")
        file.write_text(site_settings.uv_file(settings), encoding="utf-8")
        run(what, [str(uv), "--config-file", str(file), *words], env)


def with_cache(env: Mapping[str, str]) -> dict[str, str]:
    """`env`, good in any folder, with a cache for tools in ours where the user's own cannot be written."""
    ours = {"EVENGROUND_CACHE": str(cache_dir())}
    try:
        caches().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=caches()):
            return {**env, **(ours if env.get("EVENGROUND_CACHE") else {})}
    except (OSError, KeyError):
        # Ours stays where it is, whatever the folder of all caches is now.
        return {**env, **ours, "XDG_CACHE_HOME": str(cache_dir() / "tools")}


def isolate_commands(folder: Path) -> None:
    """Let the commands of the environment start its Python with `-I`: what is set for Python stays outside.

    Somebody who has activated it calls them with all of his own variables.
    """
    started = f"#!{folder}/bin/python"
    for path in (folder / "bin").iterdir():
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        for python in (started, f"{started}3"):
            if content.startswith(f"{python}\n".encode()):
                path.write_bytes(
                    content.replace(f"{python}\n".encode(), f"{python} -I\n".encode(), 1)
                )
        # How installers begin a command whose Python has a blank in its path, or a long one.
        if content.startswith(b"#!/bin/sh\n'''exec' "):
            path.write_bytes(content.replace(b' "$0" "$@"', b' -I "$0" "$@"', 1))


def need_free_space(folder: Path, at_least_bytes: int) -> None:
    """Refuse to start a build that the disk cannot hold, or in a folder that cannot be written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.parent):
            free = shutil.disk_usage(folder.parent).free
    except OSError as error:
        raise SystemExit(
            f"error: cannot write ({folder.parent}): {error.strerror}: {ELSEWHERE}"
        ) from None
    if free < at_least_bytes:
        raise SystemExit(
            f"error: {free / 2**30:.1f} GiB free in {folder.parent}, an environment needs "
            f"{at_least_bytes / 2**30:.0f}: make room or point EVENGROUND_CACHE elsewhere"
        )


def run(what: str, command: list[str], env: Mapping[str, str]) -> None:
    """Run `command` to do `what`; a failure ends this script with one line below what the command said."""
    tool = Path(command[0]).name
    try:
        status = subprocess.run(command, env=env).returncode
    except OSError as error:
        raise SystemExit(f"error: cannot {what}: {command[0]}: {error.strerror}") from None
    if status:
        version = "{}.{}.{}".format(*sys.version_info)
        said = f"exit code {status} from {tool} for Python {version}, which says why above"
        raise SystemExit(f"error: cannot {what}: {said}: {MENDS} has the fixes")


def cli(main: Callable[[], None]) -> None:
    """Run `main`; what the system refuses is one line on standard error and exit code 1."""
    try:
        main()
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise SystemExit(f"error: {error.strerror or error}{where}: {ELSEWHERE}") from None


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Build one locked Python environment in the cache."
    )
    parser.add_argument("name", help="its requirements are envs/NAME.txt")
    parser.add_argument("--where", action="store_true", help="print its folder, build nothing")
    arguments = parser.parse_args()
    print(env_dir(arguments.name) if arguments.where else build(arguments.name))


if __name__ == "__main__":
    cli(main)
