"""Building a locked Python environment in the cache.

An environment is a pure function of its lock and of Python's minor version: it is in
``CACHE/envs/NAME-HASH``; HASH is the start of the sha256 of ``envs/NAME.txt`` and that version.
So a changed lock has a new folder, a reverted one finds the old folder again, and working copies
share the environments that they have in common.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from evenground import logs
from evenground.environments import site_settings
from evenground.environments.cache import ELSEWHERE, alone, cache_dir, with_cache
from evenground.errors import EvengroundError, words_of
from evenground.files import require_space, writing

ROOT = Path(__file__).resolve().parents[3]
MARKER = "evenground-complete"
WHOLE = Path(__file__).with_name("whole.py")
# Published as source only, and pure Python. Other sources would be compiled for an hour, or fail.
FROM_SOURCE = ("antlr4-python3-runtime", "connection-pool", "jsonpyth")
FIXES = "docs/environments.md has the fixes"
GIB = 2**30
# About what one environment's packages take, together with their download.
CPU_BYTES, CUDA_BYTES = 2 * GIB, 7 * GIB
# The index has no PyTorch for the processor alone: its wheel brings CUDA, and needs it.
LARGE = {"torch": 8 * GIB}


def lock_file(name: str) -> Path:
    """The hash-locked requirements of environment `name`; raises EvengroundError without them."""
    path = ROOT / "envs" / f"{name}.txt"
    if not path.is_file():
        known = ", ".join(sorted(lock.stem for lock in path.parent.glob("*.txt")))
        raise EvengroundError(f"no environment '{name}'", f"envs/{name}.txt", f"there are: {known}")
    return path


def env_dir(name: str) -> Path:
    """Folder of environment `name` for this Python; it need not exist yet."""
    return cache_dir() / "envs" / folder_name(lock_file(name))


def folder_name(lock: Path) -> str:
    """`NAME-HASH`, of the lock's content and this Python's minor version."""
    content = lock.read_bytes() + "python{}.{}".format(*sys.version_info).encode()
    return f"{lock.stem}-{hashlib.sha256(content).hexdigest()[:12]}"


def build(name: str) -> Path:
    """Return the folder of environment `name`; build it first if it is not complete.

    Raises EvengroundError if that cannot be done.
    """
    folder = env_dir(name)
    if not fault(folder):
        return folder
    parent = folder.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"cannot write: {words_of(error)}"
        raise EvengroundError(what, str(parent), ELSEWHERE) from None
    require_space(parent, bytes_of_environment(name))
    with writing(folder), alone(folder):
        # Another invocation may have built it meanwhile.
        forget_if_broken(name, folder)
        if not (folder / MARKER).is_file():
            make(name, folder)
    return folder


def fault(folder: Path) -> str:
    """Why the environment in `folder` cannot be used, in one line; empty if it can."""
    if not (folder / MARKER).is_file():
        return "it is not complete"
    _, fault = run_whole(folder, "look", folder / MARKER)
    return fault


def run_whole(folder: Path, command: str, file: Path, home: str = "") -> tuple[str, str]:
    """Run `whole.py` in the environment in `folder`; return its output and what is wrong there."""
    env = site_settings.for_tools(os.environ)
    if home:
        env["HOME"] = home
    try:
        done = subprocess.run(
            [str(folder / "bin/python"), "-I", str(WHOLE), command, str(file)],
            env=env,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        return "", f"its Python cannot be started: {error.strerror}"
    if done.returncode == 0:
        return done.stdout, ""
    if done.returncode < 0:
        return "", f"its Python was ended by signal {-done.returncode}"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return "", (lines or [f"exit code {done.returncode}"])[-1]


def forget_broken(names: Iterable[str]) -> None:
    """Remove the markers of environments that are broken, so that they are built again."""
    for name in names:
        forget_if_broken(name, env_dir(name))


def forget_if_broken(name: str, folder: Path) -> None:
    """Remove the marker of an environment that was complete and is not whole any more."""
    found = fault(folder)
    if (folder / MARKER).is_file() and found:
        logs.warning(f"the environment '{name}' is broken: {found}")
        (folder / MARKER).unlink()


def make(name: str, folder: Path) -> None:
    """Build environment `name` from nothing in `folder`, and mark it as complete.

    Raises EvengroundError if its packages do not work.
    """
    logs.info(f"building the environment '{name}' (once per lock) ...")
    if name == "uv":
        install_with_pip(folder)
    else:
        install_with_uv(name, folder)
    with tempfile.TemporaryDirectory(prefix="evenground-home-") as home:
        # Some packages write into the home folder when they are imported.
        packages, found = run_whole(folder, "list", lock_file(name), home=home)
    if found:
        what = f"the environment '{name}' does not work: {found}"
        raise EvengroundError(what, str(folder), FIXES)
    isolate_commands(folder)
    temporary = folder / f".{MARKER}"
    temporary.write_text(packages.splitlines()[-1] + "\n", encoding="utf-8")
    temporary.rename(folder / MARKER)


def install_with_pip(folder: Path) -> None:
    """Install uv with the standard library's pip; raises EvengroundError without ensurepip."""
    if importlib.util.find_spec("ensurepip") is None:
        what = "this Python has no ensurepip"
        raise EvengroundError(what, sys.executable, "apt install python3-venv")
    venv = [sys.executable, "-I", "-m", "venv", "--clear", str(folder)]
    run("make an environment for uv", venv, site_settings.for_tools(os.environ))
    pip = [str(folder / "bin/python"), "-I", "-m", "pip", "install", "--quiet"]
    pip += ["--disable-pip-version-check", "--require-hashes", "-r", str(lock_file("uv"))]
    run("install uv", pip, site_settings.variables_for_pip(site_settings.pip_settings()))


def install_with_uv(name: str, folder: Path) -> None:
    """Install the lock of environment `name` into `folder`."""
    lock = str(lock_file(name))
    what = f"build the environment '{name}'"
    venv = ["venv", "--quiet", "--no-project", "--clear", "--python", sys.executable]
    run_uv(what, venv + [str(folder)])
    sync = ["pip", "sync", "--quiet", "--require-hashes"]
    sync += ["--python", str(folder / "bin/python"), "--only-binary", ":all:"]
    for package in FROM_SOURCE:
        sync += ["--no-binary", package]
    # Trainings write no byte code: without it each would compile its framework again.
    run_uv(what, sync + ["--compile-bytecode", lock])
    run_uv(what, sync + ["--check", lock])


def run_uv(what: str, args: list[str]) -> None:
    """Run uv to do `what`; of the site's settings it gets indexes, proxies and certificates."""
    uv = str(build("uv") / "bin/uv")
    settings = site_settings.pip_settings()
    env = with_cache(site_settings.variables_for_uv(settings))
    with tempfile.TemporaryDirectory(prefix="evenground-uv-") as folder:
        file = Path(folder, "uv.toml")
        file.write_text(site_settings.uv_file(settings), encoding="utf-8")
        run(what, [uv, "--config-file", str(file)] + args, env)


def isolate_commands(folder: Path) -> None:
    """Let the environment's commands start its Python with `-I`, which ignores PYTHON variables.

    In an activated environment the user calls them with all of his variables.
    """
    python = f"{folder}/bin/python"
    for path in (folder / "bin").iterdir():
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        for name in (python, f"{python}3"):
            first_line = f"#!{name}\n".encode()
            if content.startswith(first_line):
                isolated = f"#!{name} -I\n".encode()
                path.write_bytes(isolated + content.removeprefix(first_line))
        # How installers begin a command whose Python has a blank in its path, or a long path.
        if content.startswith(b"#!/bin/sh\n'''exec' "):
            path.write_bytes(content.replace(b' "$0" "$@"', b' -I "$0" "$@"', 1))


def bytes_of_environment(name: str) -> int:
    """About how many bytes building environment `name` takes."""
    if name.endswith("-cuda"):
        return CUDA_BYTES
    return LARGE.get(name, CPU_BYTES)


def run(what: str, command: list[str], env: Mapping[str, str]) -> None:
    """Run `command` to do `what`; raises EvengroundError if it fails."""
    tool = command[0]
    try:
        status = subprocess.run(command, env=env).returncode
    except OSError as error:
        raise EvengroundError(f"cannot {what}: {words_of(error)}", tool, FIXES) from None
    if status:
        version = "{}.{}.{}".format(*sys.version_info)
        said = f"exit code {status} from {Path(tool).name} for Python {version}"
        raise EvengroundError(f"cannot {what}: {said}, which says why above", tool, FIXES)
